#include "proxy/policy/enforcement.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include "proxy/stats/store.h"

namespace remora::policy {
namespace {

absl::string_view view(std::string_view text) { return {text.data(), text.size()}; }

/// One dot between the two, whether they bring it or not.
std::string joined(std::string_view prefix, std::string_view name) {
  while (prefix.ends_with('.')) prefix.remove_suffix(1);
  while (name.ends_with('.')) name.remove_suffix(1);
  if (prefix.empty() || name.empty()) return std::string(prefix.empty() ? name : prefix);
  return absl::StrCat(view(prefix), ".", view(name));
}

template <class Schema>
std::vector<std::shared_ptr<stats::Group<Schema>>> groups_of(stats::Store& store,
                                                             const std::string& prefix,
                                                             const Engine& engine) {
  std::vector<std::shared_ptr<stats::Group<Schema>>> groups;
  for (uint32_t i = 0; i < engine.size(); ++i) {
    groups.push_back(store.group<Schema>(absl::StrCat(prefix, ".policy.", view(engine.name(i)))));
  }
  return groups;
}

}  // namespace

DecisionCounters::DecisionCounters(stats::Store& store, Mode mode, std::string_view prefix,
                                   std::string_view rules_prefix)
    : mode_(mode), prefix_(joined(joined(prefix, "rbac"), rules_prefix)) {
  if (mode == Mode::Enforced) {
    enforced_ = store.group<RbacSchema>(prefix_);
  } else {
    shadow_ = store.group<RbacShadowSchema>(prefix_);
  }
}

void DecisionCounters::track_rules(stats::Store& store, const Engine& engine) {
  if (mode_ == Mode::Enforced) {
    rules_ = groups_of<RbacRuleSchema>(store, prefix_, engine);
  } else {
    shadow_rules_ = groups_of<RbacShadowRuleSchema>(store, prefix_, engine);
  }
}

void DecisionCounters::count(const Decision& decision, uint32_t worker) const {
  const bool allowed = decision.allowed;
  if (mode_ == Mode::Enforced) {
    enforced_->at(worker).inc(allowed ? RbacStat::allowed : RbacStat::denied);
    if (!decision.rule || rules_.empty()) return;
    rules_[*decision.rule]->at(worker).inc(allowed ? RbacRuleStat::allowed : RbacRuleStat::denied);
    return;
  }
  shadow_->at(worker).inc(allowed ? RbacShadowStat::shadow_allowed : RbacShadowStat::shadow_denied);
  if (!decision.rule || shadow_rules_.empty()) return;
  shadow_rules_[*decision.rule]->at(worker).inc(allowed ? RbacShadowRuleStat::shadow_allowed
                                                        : RbacShadowRuleStat::shadow_denied);
}

DecisionKeys DecisionKeys::make(Mode mode, std::string_view rules_prefix) {
  const absl::string_view kind = mode == Mode::Enforced ? "enforced" : "shadow";
  return {absl::StrCat(view(rules_prefix), kind, "_effective_policy_id"),
          absl::StrCat(view(rules_prefix), kind, "_engine_result")};
}

void leave_decision(const Decision& decision, const Engine& engine, const DecisionKeys& keys,
                    std::string_view filter, Metadata& metadata) {
  MetadataStruct& fields = metadata.at(filter);
  if (decision.rule) {
    const std::string_view name = engine.name(*decision.rule);
    if (!name.empty()) fields.insert_or_assign(keys.rule, MetadataValue(name));
  }
  fields.insert_or_assign(keys.result, MetadataValue(decision.allowed ? "allowed" : "denied"));
}

void leave_log_hint(const Decision& decision, Metadata& metadata) {
  if (!decision.log) return;
  metadata.at("envoy.common").insert_or_assign("access_log_hint", MetadataValue(*decision.log));
}

std::string denial_details(const Decision& decision, const Engine& engine) {
  const std::string_view name =
      decision.rule && !engine.name(*decision.rule).empty() ? engine.name(*decision.rule) : "none";
  std::string out = "rbac_access_denied_matched_policy[";
  for (char c : name) out += absl::ascii_isspace(static_cast<unsigned char>(c)) ? '_' : c;
  out += ']';
  return out;
}

}  // namespace remora::policy
