#include "proxy/policy/engine.h"

#include <gtest/gtest.h>

#include "proxy/policy/enforcement.h"
#include "proxy/policy/test_facts.h"
#include "proxy/stats/store.h"

namespace remora::policy {
namespace {

using testing::exactly;
using Outcome = MatchTree::Outcome;

Condition to_port(uint32_t port) { return Condition{LocalPortIn{port, port + 1}}; }

Rules::Rule rule(std::string name, Condition permission) {
  return {std::move(name), std::move(permission), Condition{Always{}}};
}

class EngineTest : public ::testing::Test, protected testing::TestFacts {
 protected:
  Decision decide(Action action, uint32_t port) {
    Rules rules;
    rules.action = action;
    rules.rules.push_back(rule("first", to_port(1)));
    rules.rules.push_back(rule("second", to_port(port)));
    return Engine(std::move(rules)).decide(facts());
  }
};

TEST_F(EngineTest, AllowAllowsWhatMatchesAndNothingElse) {
  const Decision match = decide(Action::Allow, 8080);
  EXPECT_TRUE(match.allowed);
  EXPECT_EQ(match.rule, 1u);
  EXPECT_FALSE(match.log);
  EXPECT_FALSE(decide(Action::Allow, 2).allowed);
  EXPECT_FALSE(decide(Action::Allow, 2).rule);
}

TEST_F(EngineTest, DenyDeniesWhatMatchesAndNothingElse) {
  EXPECT_FALSE(decide(Action::Deny, 8080).allowed);
  EXPECT_TRUE(decide(Action::Deny, 2).allowed);
}

TEST_F(EngineTest, LogAllowsAndSaysWhetherToLog) {
  EXPECT_TRUE(decide(Action::Log, 2).allowed);
  EXPECT_EQ(decide(Action::Log, 2).log, false);
  EXPECT_EQ(decide(Action::Log, 8080).log, true);
}

TEST_F(EngineTest, NoRulesAllowNothing) { EXPECT_FALSE(Engine(Rules{}).decide(facts()).allowed); }

TEST_F(EngineTest, ARuleNeedsItsPrincipalToo) {
  Rules rules;
  rules.rules.push_back({"r", Condition{Always{}}, Condition{Authenticated{}}});
  EXPECT_FALSE(Engine(std::move(rules)).decide(facts()).allowed);
}

class TreeTest : public EngineTest {
 protected:
  TreeTest() {
    tree_.leaves = {{"allow", Action::Allow}, {"deny", Action::Deny}};
    request.add("x", "abc");
  }
  static Condition header_is(std::string_view value) {
    return Condition{InputIs{{Input::Header, "x"}, exactly(value)}};
  }
  std::string found() {
    const Engine engine(std::move(tree_));
    const Decision decision = engine.decide(facts());
    EXPECT_EQ(decision.allowed, decision.rule == 0u);
    return decision.rule ? std::string(engine.name(*decision.rule)) : "none";
  }
  static Outcome next(MatchTree::Node node) {
    return std::make_unique<const MatchTree::Node>(std::move(node));
  }
  MatchTree tree_;
};

TEST_F(TreeTest, AnEmptyTreeDenies) { EXPECT_EQ(found(), "none"); }

TEST_F(TreeTest, TheFirstThatMatchesWins) {
  MatchTree::List list;
  list.matchers.emplace_back(header_is("no"), 1u);
  list.matchers.emplace_back(header_is("abc"), 0u);
  tree_.root.by = std::move(list);
  EXPECT_EQ(found(), "allow");
}

TEST_F(TreeTest, AMatchThatLeadsNowhereIsNone) {
  MatchTree::List inner, list;
  inner.matchers.emplace_back(header_is("no"), 0u);
  MatchTree::Node node;
  node.by = std::move(inner);
  list.matchers.emplace_back(header_is("abc"), next(std::move(node)));
  tree_.root.by = std::move(list);
  tree_.root.otherwise = 1u;
  EXPECT_EQ(found(), "deny");
}

TEST_F(TreeTest, TheLongestPrefixThatLeadsSomewhereWins) {
  MatchTree::PrefixMap map{{Input::Header, "x"}, {}};
  map.outcomes.emplace_back("abc", next({}));
  map.outcomes.emplace_back("ab", 0u);
  map.outcomes.emplace_back("", 1u);
  tree_.root.by = std::move(map);
  EXPECT_EQ(found(), "allow");
}

TEST_F(TreeTest, AnAbsentInputMatchesNotEvenTheEmptyPrefix) {
  request.remove("x");
  MatchTree::PrefixMap map{{Input::Header, "x"}, {}};
  map.outcomes.emplace_back("", 0u);
  tree_.root.by = std::move(map);
  EXPECT_EQ(found(), "none");
}

TEST_F(TreeTest, AnExactMapTakesTheWholeValue) {
  MatchTree::ExactMap map{{Input::Header, "x"}, {}};
  map.outcomes.emplace("ab", 1u);
  map.outcomes.emplace("abc", 0u);
  tree_.root.by = std::move(map);
  EXPECT_EQ(found(), "allow");
}

TEST_F(TreeTest, AHeaderThatIsThereTwiceIsJudgedBothWays) {
  request.add("x", "admin");
  const auto negated = [](Toward toward) {
    return Condition{Not{std::make_unique<const Condition>(
        Condition{InputIs{{Input::Header, "x"}, exactly("admin"), opposite(toward)}})}};
  };
  EXPECT_FALSE(negated(Toward::Grant).holds(facts()));
  EXPECT_TRUE(negated(Toward::Refuse).holds(facts()));
}

class EnforcementTest : public EngineTest {
 protected:
  EnforcementTest() {
    Rules rules;
    rules.rules.push_back(rule("my rule\tno. 1", to_port(8080)));
    engine_ = std::make_unique<Engine>(std::move(rules));
  }
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  std::unique_ptr<Engine> engine_;
};

TEST_F(EnforcementTest, ADenialNamesItsRuleInOneWord) {
  EXPECT_EQ(denial_details({false, 0u, {}}, *engine_),
            "rbac_access_denied_matched_policy[my_rule_no._1]");
  EXPECT_EQ(denial_details({}, *engine_), "rbac_access_denied_matched_policy[none]");
}

TEST_F(EnforcementTest, ADecisionIsLeftForOthers) {
  Metadata metadata;
  leave_decision({true, 0u, true}, *engine_, DecisionKeys::make(Mode::Shadow, "p_"), "f", metadata);
  leave_log_hint({true, 0u, true}, metadata);
  std::string json;
  append_json(*metadata.find("f"), json);
  EXPECT_EQ(json,
            "{\"p_shadow_effective_policy_id\":\"my rule\\u0009no. 1\","
            "\"p_shadow_engine_result\":\"allowed\"}");
  EXPECT_EQ(metadata.find("envoy.common")->at("access_log_hint"), MetadataValue(true));
}

TEST_F(EnforcementTest, DecisionsAreCountedUnderEnvoysNames) {
  DecisionCounters counters(*store_, Mode::Enforced, "http.in", "rules.");
  counters.track_rules(*store_, *engine_);
  counters.count({true, 0u, {}}, 0);
  counters.count({false, {}, {}}, 0);
  auto all = store_->group<RbacSchema>("http.in.rbac.rules");
  EXPECT_EQ(all->at(0).value(RbacStat::allowed), 1u);
  EXPECT_EQ(all->at(0).value(RbacStat::denied), 1u);
  auto one = store_->group<RbacRuleSchema>("http.in.rbac.rules.policy.my rule\tno. 1");
  EXPECT_EQ(one->at(0).value(RbacRuleStat::allowed), 1u);
}

}  // namespace
}  // namespace remora::policy
