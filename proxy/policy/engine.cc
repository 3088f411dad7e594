#include "proxy/policy/engine.h"

#include <algorithm>

namespace remora::policy {
namespace {

Decision decide_by(const Rules& rules, const Facts& facts) {
  Decision decision;
  for (uint32_t i = 0; i < rules.rules.size() && !decision.rule; ++i) {
    const Rules::Rule& rule = rules.rules[i];
    if (rule.permission.holds(facts) && rule.principal.holds(facts)) decision.rule = i;
  }
  const bool matched = decision.rule.has_value();
  decision.allowed = rules.action == Action::Log || matched == (rules.action == Action::Allow);
  if (rules.action == Action::Log) decision.log = matched;
  return decision;
}

// -------------------------------------------------------------------------------------------------
// trees

std::optional<uint32_t> follow(const MatchTree::Outcome& outcome, const Facts& facts) {
  if (const auto* leaf = std::get_if<uint32_t>(&outcome)) return *leaf;
  return find_leaf(*std::get<std::unique_ptr<const MatchTree::Node>>(outcome), facts);
}

// What matches and then leads nowhere has not matched: the next one is tried.
std::optional<uint32_t> find_by(const MatchTree::List& list, const Facts& facts) {
  for (const auto& [condition, outcome] : list.matchers) {
    if (!condition.holds(facts)) continue;
    if (auto leaf = follow(outcome, facts)) return leaf;
  }
  return std::nullopt;
}

std::optional<uint32_t> find_by(const MatchTree::ExactMap& map, const Facts& facts) {
  std::string buffer;
  const auto text = text_of(map.input, facts, buffer);
  if (!text) return std::nullopt;
  const auto at = map.outcomes.find(*text);
  return at == map.outcomes.end() ? std::nullopt : follow(at->second, facts);
}

std::optional<uint32_t> find_by(const MatchTree::PrefixMap& map, const Facts& facts) {
  std::string buffer;
  const auto text = text_of(map.input, facts, buffer);
  if (!text) return std::nullopt;
  for (const auto& [prefix, outcome] : map.outcomes) {
    if (!text->starts_with(prefix)) continue;
    if (auto leaf = follow(outcome, facts)) return leaf;
  }
  return std::nullopt;
}

Decision decide_by(const MatchTree& tree, bool leaf_logs, const Facts& facts) {
  Decision decision;
  decision.rule = find_leaf(tree.root, facts);
  if (!decision.rule) return decision;
  const Action action = tree.leaves[*decision.rule].action;
  decision.allowed = action != Action::Deny;
  if (leaf_logs) decision.log = action == Action::Log;
  return decision;
}

bool reads_what_filters_leave(const MatchTree::Node& node);

bool outcome_reads(const MatchTree::Outcome& outcome) {
  const auto* next = std::get_if<std::unique_ptr<const MatchTree::Node>>(&outcome);
  return next != nullptr && reads_what_filters_leave(**next);
}

bool reads_what_filters_leave(const MatchTree::Node& node) {
  if (node.otherwise && outcome_reads(*node.otherwise)) return true;
  if (const auto* list = std::get_if<MatchTree::List>(&node.by)) {
    return std::ranges::any_of(list->matchers, [](const auto& matcher) {
      return matcher.first.reads_what_filters_leave() || outcome_reads(matcher.second);
    });
  }
  const auto map_reads = [](const auto& map) {
    return map.input.input == Input::FilterState ||
           std::ranges::any_of(map.outcomes,
                               [](const auto& entry) { return outcome_reads(entry.second); });
  };
  if (const auto* exact = std::get_if<MatchTree::ExactMap>(&node.by)) return map_reads(*exact);
  return map_reads(std::get<MatchTree::PrefixMap>(node.by));
}

}  // namespace

std::optional<uint32_t> find_leaf(const MatchTree::Node& node, const Facts& facts) {
  const auto leaf = std::visit([&](const auto& by) { return find_by(by, facts); }, node.by);
  return leaf || !node.otherwise ? leaf : follow(*node.otherwise, facts);
}

Engine::Engine(MatchTree tree)
    : by_(std::move(tree)),
      leaf_logs_(std::ranges::any_of(std::get<MatchTree>(by_).leaves,
                                     [](const auto& leaf) { return leaf.action == Action::Log; })) {
}

Decision Engine::decide(const Facts& facts) const {
  if (const auto* rules = std::get_if<Rules>(&by_)) return decide_by(*rules, facts);
  return decide_by(std::get<MatchTree>(by_), leaf_logs_, facts);
}

std::string_view Engine::name(uint32_t rule) const {
  if (const auto* rules = std::get_if<Rules>(&by_)) return rules->rules[rule].name;
  return std::get<MatchTree>(by_).leaves[rule].name;
}

uint32_t Engine::size() const {
  if (const auto* rules = std::get_if<Rules>(&by_)) {
    return static_cast<uint32_t>(rules->rules.size());
  }
  return static_cast<uint32_t>(std::get<MatchTree>(by_).leaves.size());
}

bool Engine::reads_what_filters_leave() const {
  if (const auto* rules = std::get_if<Rules>(&by_)) {
    return std::ranges::any_of(rules->rules, [](const Rules::Rule& rule) {
      return rule.permission.reads_what_filters_leave() ||
             rule.principal.reads_what_filters_leave();
    });
  }
  return policy::reads_what_filters_leave(std::get<MatchTree>(by_).root);
}

}  // namespace remora::policy
