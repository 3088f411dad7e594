// A policy at work in a filter: the engine, the names under which its decisions are left in dynamic
// metadata, and its counters. Once for what is enforced, once for what is only tried out (shadow).
// Immutable; shared by the workers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/metadata.h"
#include "proxy/policy/engine.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schema.h"

namespace remora::stats {
class Store;
}

namespace remora::policy {

// --- PREFIX.rbac.RULES_PREFIX ---
#define REMORA_RBAC_STATS(X) X(Counter, allowed) X(Counter, denied)
REMORA_STATS_SCHEMA(Rbac, REMORA_RBAC_STATS, REMORA_NO_STATS, REMORA_NO_STATS)
#define REMORA_RBAC_SHADOW_STATS(X) X(Counter, shadow_allowed) X(Counter, shadow_denied)
REMORA_STATS_SCHEMA(RbacShadow, REMORA_RBAC_SHADOW_STATS, REMORA_NO_STATS, REMORA_NO_STATS)
// --- PREFIX.rbac.RULES_PREFIX.policy.NAME ---
#define REMORA_RBAC_RULE_STATS(X) X(OptionalCounter, allowed) X(OptionalCounter, denied)
REMORA_STATS_SCHEMA(RbacRule, REMORA_RBAC_RULE_STATS, REMORA_NO_STATS, REMORA_NO_STATS)
#define REMORA_RBAC_SHADOW_RULE_STATS(X) \
  X(OptionalCounter, shadow_allowed) X(OptionalCounter, shadow_denied)
REMORA_STATS_SCHEMA(RbacShadowRule, REMORA_RBAC_SHADOW_RULE_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

enum class Mode : uint8_t { Enforced, Shadow };

/// Counts decisions, and those of each rule where that is asked for.
class DecisionCounters {
 public:
  DecisionCounters() = default;
  /// `prefix` is that of the filter ("http.ingress"), `rules_prefix` what tells several filters
  /// apart.
  DecisionCounters(stats::Store& store, Mode mode, std::string_view prefix,
                   std::string_view rules_prefix);
  void track_rules(stats::Store& store, const Engine& engine);

  void count(const Decision& decision, uint32_t worker) const;

 private:
  Mode mode_ = Mode::Enforced;
  std::string prefix_;
  std::shared_ptr<stats::Group<RbacSchema>> enforced_;
  std::shared_ptr<stats::Group<RbacShadowSchema>> shadow_;
  std::vector<std::shared_ptr<stats::Group<RbacRuleSchema>>> rules_;
  std::vector<std::shared_ptr<stats::Group<RbacShadowRuleSchema>>> shadow_rules_;
};

/// Under which keys a decision is left for those behind.
struct DecisionKeys {
  std::string rule;    // "enforced_effective_policy_id"
  std::string result;  // "enforced_engine_result"
  static DecisionKeys make(Mode mode, std::string_view rules_prefix);
};

/// Leaves the decision in `metadata` under `filter` ("envoy.filters.http.rbac").
void leave_decision(const Decision& decision, const Engine& engine, const DecisionKeys& keys,
                    std::string_view filter, Metadata& metadata);

/// Leaves what a LOG policy says, where it says anything, for access logs to filter by.
void leave_log_hint(const Decision& decision, Metadata& metadata);

/// "rbac_access_denied_matched_policy[NAME]", one word.
std::string denial_details(const Decision& decision, const Engine& engine);

}  // namespace remora::policy
