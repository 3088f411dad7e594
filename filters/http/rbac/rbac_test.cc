#include "filters/http/rbac/rbac.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "proxy/router/route_table.h"
#include "proxy/stats/store.h"
#include "proxy/upstream/worker_context.h"

namespace remora::rbac {
namespace {

using http::FilterStatus;
using policy::Condition;
using policy::DecisionCounters;
using policy::DecisionKeys;
using policy::Mode;

/// A stream that remembers what it was asked to answer.
class FakeStream final : public http::FilterStream {
 public:
  FakeStream() : arena_(loop_.blocks()), headers_(arena_) { info_.connection = &connection_; }

  Arena& arena() override { return arena_; }
  WorkerContext& worker() override { return worker_; }
  http::StreamInfo& info() override { return info_; }
  http::HeaderMap& request_headers() override { return headers_; }
  http::HeaderMap* response_headers() override { return nullptr; }
  const router::Route* route() override { return nullptr; }
  const router::RouteDecision& route_decision() override { return decision_; }
  void clear_route_cache() override {}
  const void* route_config_of(std::string_view name) override {
    return name == "rbac" ? of_route : nullptr;
  }
  FilterStatus reply(const http::Failure& failure, std::string_view,
                     std::span<const http::ReplyHeader>) override {
    answered = failure;
    return replied();
  }
  void resume(http::Direction) override {}
  void reset(http::ResetReason) override {}
  void respond_informational(http::HeaderMap&) override {}
  void respond_headers(http::HeaderMap&, bool) override {}
  void respond_data(Buffer&, bool) override {}
  void respond_trailers(http::HeaderMap&) override {}
  void pause_request_body() override {}
  void resume_request_body() override {}
  uint32_t buffer_limit() const override { return 0; }

  std::optional<http::Failure> answered;
  const Policies* of_route = nullptr;

 private:
  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 1};
  Arena arena_;
  http::HeaderMap headers_;
  ConnectionFacts connection_;
  http::StreamInfo info_;
  router::RouteDecision decision_;
};

std::shared_ptr<const policy::Engine> everybody(policy::Action action) {
  policy::Rules rules;
  rules.action = action;
  rules.rules.push_back({"all", Condition{policy::Always{}}, Condition{policy::Always{}}});
  return std::make_shared<const policy::Engine>(std::move(rules));
}

class HttpRbacTest : public testing::Test {
 protected:
  HttpRbacTest() {
    config_.filter_name = "rbac";
    config_.policies = with_keys("", "s_");
    config_.counters = {DecisionCounters(*store_, Mode::Enforced, "http.in", ""),
                        DecisionCounters(*store_, Mode::Shadow, "http.in", "s_")};
    config_.override_counters = config_.counters;
  }
  static Policies with_keys(std::string_view enforced, std::string_view shadow) {
    return {nullptr, nullptr, DecisionKeys::make(Mode::Enforced, enforced),
            DecisionKeys::make(Mode::Shadow, shadow)};
  }
  FilterStatus::Value run() {
    HttpRbac filter(stream_, config_);
    return filter.on_request_headers(stream_.request_headers(), true).value();
  }
  std::string left() {
    std::string json;
    const MetadataStruct* fields = stream_.info().dynamic_metadata.find("envoy.filters.http.rbac");
    if (fields != nullptr) append_json(*fields, json);
    return json;
  }

  uint64_t denied(const std::string& prefix) {
    return store_->group<policy::RbacSchema>(prefix)->at(0).value(policy::RbacStat::denied);
  }

  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  HttpRbacConfig config_;
  FakeStream stream_;
};

TEST_F(HttpRbacTest, WithoutPoliciesEverybodyPasses) {
  EXPECT_EQ(run(), FilterStatus::kContinue);
  EXPECT_EQ(left(), "");
}

TEST_F(HttpRbacTest, ADeniedRequestIsAnsweredWith403) {
  config_.policies.enforced = everybody(policy::Action::Deny);
  EXPECT_EQ(run(), FilterStatus::kReplied);
  ASSERT_TRUE(stream_.answered);
  EXPECT_EQ(stream_.answered->status, 403);
  EXPECT_EQ(stream_.answered->flag, http::kNoFlag);
  EXPECT_EQ(stream_.answered->details, "rbac_access_denied_matched_policy[all]");
  EXPECT_EQ(stream_.answered->body, "RBAC: access denied");
  EXPECT_EQ(left(),
            "{\"enforced_effective_policy_id\":\"all\",\"enforced_engine_result\":\"denied\"}");
  EXPECT_EQ(denied("http.in.rbac"), 1u);
}

TEST_F(HttpRbacTest, AShadowPolicyRefusesNobody) {
  config_.policies.shadow = everybody(policy::Action::Deny);
  EXPECT_EQ(run(), FilterStatus::kContinue);
  EXPECT_EQ(left(),
            "{\"s_shadow_effective_policy_id\":\"all\",\"s_shadow_engine_result\":\"denied\"}");
}

TEST_F(HttpRbacTest, ALogPolicyLeavesAHint) {
  config_.policies.enforced = everybody(policy::Action::Log);
  EXPECT_EQ(run(), FilterStatus::kContinue);
  EXPECT_EQ(stream_.info().dynamic_metadata.find("envoy.common")->at("access_log_hint"),
            MetadataValue(true));
}

TEST_F(HttpRbacTest, ARoutesPoliciesStandForAllOfTheFilters) {
  config_.policies.enforced = everybody(policy::Action::Allow);
  config_.policies.shadow = everybody(policy::Action::Allow);
  Policies of_route = with_keys("r_", "");
  of_route.enforced = everybody(policy::Action::Deny);
  stream_.of_route = &of_route;
  EXPECT_EQ(run(), FilterStatus::kReplied);
  EXPECT_EQ(left(),
            "{\"r_enforced_effective_policy_id\":\"all\",\"r_enforced_engine_result\":\"denied\"}");
  EXPECT_EQ(denied("http.in.rbac"), 1u) << "counted with the filter's own";
}

TEST_F(HttpRbacTest, ARouteWithoutPrefixesLeavesItsDecisionsWhereTheFilterDoes) {
  config_.policies = with_keys("e_", "s_");
  Policies of_route;
  of_route.enforced = of_route.shadow = everybody(policy::Action::Allow);
  stream_.of_route = &of_route;
  EXPECT_EQ(run(), FilterStatus::kContinue);
  EXPECT_EQ(left(),
            "{\"e_enforced_effective_policy_id\":\"all\",\"e_enforced_engine_result\":\"allowed\","
            "\"s_shadow_effective_policy_id\":\"all\",\"s_shadow_engine_result\":\"allowed\"}");
}

TEST_F(HttpRbacTest, ARuleOfARouteIsNotTakenForOneOfTheFilter) {
  config_.policies.enforced = std::make_shared<const policy::Engine>(policy::Rules{});
  config_.counters.enforced.track_rules(*store_, *config_.policies.enforced);
  Policies of_route = with_keys("", "");
  of_route.enforced = everybody(policy::Action::Allow);
  stream_.of_route = &of_route;
  EXPECT_EQ(run(), FilterStatus::kContinue);
}

TEST_F(HttpRbacTest, ARouteWithoutPoliciesTurnsTheFilterOff) {
  config_.policies.enforced = everybody(policy::Action::Deny);
  const Policies none;
  stream_.of_route = &none;
  EXPECT_EQ(run(), FilterStatus::kContinue);
  EXPECT_EQ(left(), "");
}

}  // namespace
}  // namespace remora::rbac
