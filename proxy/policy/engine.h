// Decides what a request or connection may do: a pure function of (compiled policies, facts).
// Policies come as a list of named rules or as a matching tree. Immutable; any thread. Documents:
// envoy.config.rbac.v3.RBAC, xds.type.matcher.v3.Matcher.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/policy/condition.h"

namespace remora::policy {

enum class Action : uint8_t { Allow, Deny, Log };

/// What was decided, and by which rule: an index into Engine::names().
struct Decision {
  bool allowed = false;
  std::optional<uint32_t> rule;  // none: no rule matched
  std::optional<bool> log;       // whether to log, where a policy has anything to say about it
};

/// Rules with one action for all. ALLOW allows what matches a rule and nothing else; DENY the
/// reverse; LOG everything.
struct Rules {
  struct Rule {
    std::string name;
    Condition permission, principal;
  };
  Action action = Action::Allow;
  std::vector<Rule> rules;  // the first that matches is the one named
};

/// A matching tree; what it does not match is denied.
struct MatchTree {
  struct Leaf {
    std::string name;
    Action action = Action::Allow;
  };
  struct Node;
  /// Index of a leaf, or what to ask next.
  using Outcome = std::variant<uint32_t, std::unique_ptr<const Node>>;
  struct List {
    std::vector<std::pair<Condition, Outcome>> matchers;  // in order
  };
  struct ExactMap {
    InputOf input;
    StringMap<Outcome> outcomes;
  };
  struct PrefixMap {
    InputOf input;
    std::vector<std::pair<std::string, Outcome>> outcomes;  // longest first
  };
  struct Node {
    std::variant<List, ExactMap, PrefixMap> by;
    std::optional<Outcome> otherwise;
  };

  std::vector<Leaf> leaves;
  Node root;
};

/// The leaf that the tree below `node` leads to; none: it leads nowhere.
std::optional<uint32_t> find_leaf(const MatchTree::Node& node, const Facts& facts);

class Engine {
 public:
  explicit Engine(Rules rules) : by_(std::move(rules)) {}
  explicit Engine(MatchTree tree);

  Decision decide(const Facts& facts) const;

  /// Of the rules or leaves, in the order of the configuration's compiled form.
  std::string_view name(uint32_t rule) const;
  uint32_t size() const;
  /// Whether what filters leave while bytes arrive may change a decision.
  bool reads_what_filters_leave() const;

 private:
  std::variant<Rules, MatchTree> by_;
  bool leaf_logs_ = false;
};

}  // namespace remora::policy
