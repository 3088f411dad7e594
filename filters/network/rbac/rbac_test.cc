#include "filters/network/rbac/rbac.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "proxy/net/transport.h"
#include "proxy/stats/store.h"
#include "proxy/upstream/worker_context.h"

namespace remora::rbac {
namespace {

using policy::Condition;
using policy::DecisionCounters;
using policy::DecisionKeys;
using policy::Mode;
using Status = NetworkFilter::Status;

class NetworkRbacTest : public testing::Test,
                        public NetworkFilterContext,
                        public ConnectionHandler {
 protected:
  NetworkRbacTest() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ::fcntl(fds[1], F_SETFL, O_NONBLOCK);
    client_ = Socket(fds[0]);
    connection_ = std::make_unique<Connection>(
        loop_, Socket(fds[1]), raw_transport_factory()->make(fds[1], {}), ConnectionLimits{});
    connection_->set_handler(*this);
    config_.shadow_keys = DecisionKeys::make(Mode::Shadow, "");
    config_.enforced_counters = DecisionCounters(*store_, Mode::Enforced, "tcp.", "");
    config_.shadow_counters = DecisionCounters(*store_, Mode::Shadow, "tcp.", "");
  }

  // --- NetworkFilterContext ---
  Connection& connection() override { return *connection_; }
  ConnectionFacts& facts() override { return facts_; }
  WorkerContext& worker() override { return worker_; }
  void continue_reading() override {}
  void set_termination_details(std::string_view details) override { details_ = details; }
  bool draining() const override { return false; }
  // --- ConnectionHandler ---
  void on_connected() override {}
  void on_data(Buffer&, bool) override {}
  void on_closed(CloseCause) override {}
  void on_write_high_water() override {}
  void on_write_low_water() override {}

  static std::shared_ptr<const policy::Engine> to_state(policy::Action action) {
    policy::Rules rules;
    rules.action = action;
    StringMatch yes;
    yes.text = "yes";
    rules.rules.push_back(
        {"state", Condition{policy::Always{}}, Condition{policy::FilterStateIs{"k", yes}}});
    return std::make_shared<const policy::Engine>(std::move(rules));
  }
  static std::shared_ptr<const policy::Engine> everybody(policy::Action action) {
    policy::Rules rules;
    rules.action = action;
    rules.rules.push_back({"all", Condition{policy::Always{}}, Condition{policy::Always{}}});
    return std::make_shared<const policy::Engine>(std::move(rules));
  }
  NetworkRbac& make() {
    filter_ = std::make_unique<NetworkRbac>(config_, *this);
    return *filter_;
  }
  uint64_t denied() {
    return store_->group<policy::RbacSchema>("tcp.rbac")->at(0).value(policy::RbacStat::denied);
  }
  uint64_t allowed() {
    return store_->group<policy::RbacSchema>("tcp.rbac")->at(0).value(policy::RbacStat::allowed);
  }

  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 1};
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  NetworkRbacConfig config_;
  Socket client_;
  ConnectionFacts facts_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<NetworkRbac> filter_;
  std::string details_;
  Buffer bytes_{loop_.blocks()};
};

TEST_F(NetworkRbacTest, ARefusedConnectionIsClosedBeforeAnythingBehindHearsOfIt) {
  config_.enforced = everybody(policy::Action::Deny);
  EXPECT_EQ(make().on_new_connection(), Status::StopIteration);
  EXPECT_TRUE(connection_->closing());
  EXPECT_EQ(details_, "rbac_access_denied_matched_policy[all]");
  EXPECT_EQ(denied(), 1u);
}

TEST_F(NetworkRbacTest, AnAllowedConnectionIsDecidedOnce) {
  config_.enforced = everybody(policy::Action::Allow);
  NetworkRbac& filter = make();
  EXPECT_EQ(filter.on_new_connection(), Status::Continue);
  EXPECT_EQ(filter.on_data(bytes_, false), Status::Continue);
  EXPECT_EQ(filter.on_data(bytes_, false), Status::Continue);
  EXPECT_EQ(allowed(), 1u);
}

TEST_F(NetworkRbacTest, APolicyOnWhatFiltersLeaveWaitsForBytes) {
  config_.enforced = to_state(policy::Action::Allow);
  config_.at_once = false;
  NetworkRbac& filter = make();
  EXPECT_EQ(filter.on_new_connection(), Status::Continue);
  facts_.filter_state.set("k", "yes");
  EXPECT_EQ(filter.on_data(bytes_, false), Status::Continue);
  EXPECT_EQ(allowed(), 1u);
}

TEST_F(NetworkRbacTest, ContinuousEnforcementDecidesAnew) {
  config_.enforced = to_state(policy::Action::Deny);
  config_.at_once = false;
  config_.when = NetworkRbacConfig::When::Continuously;
  NetworkRbac& filter = make();
  EXPECT_EQ(filter.on_new_connection(), Status::Continue);
  EXPECT_EQ(filter.on_data(bytes_, false), Status::Continue);
  facts_.filter_state.set("k", "yes");
  EXPECT_EQ(filter.on_data(bytes_, false), Status::StopIteration);
  EXPECT_TRUE(connection_->closing());
  EXPECT_EQ(allowed(), 1u);
  EXPECT_EQ(denied(), 1u);
}

TEST_F(NetworkRbacTest, ADelayedRefusalHoldsEverythingUntilItsTime) {
  config_.enforced = everybody(policy::Action::Deny);
  config_.delay_deny_ms = 50;
  NetworkRbac& filter = make();
  EXPECT_EQ(filter.on_new_connection(), Status::StopIteration);
  EXPECT_EQ(filter.on_data(bytes_, false), Status::StopIteration);
  EXPECT_FALSE(connection_->closing());
  EXPECT_EQ(denied(), 1u);
  while (!connection_->closing()) loop_.run_once(100);
}

TEST_F(NetworkRbacTest, AShadowPolicyRefusesNobodyAndLeavesItsDecision) {
  config_.shadow = everybody(policy::Action::Deny);
  EXPECT_EQ(make().on_new_connection(), Status::Continue);
  std::string json;
  append_json(*facts_.metadata.find("envoy.filters.network.rbac"), json);
  EXPECT_EQ(json, "{\"shadow_effective_policy_id\":\"all\",\"shadow_engine_result\":\"denied\"}");
}

}  // namespace
}  // namespace remora::rbac
