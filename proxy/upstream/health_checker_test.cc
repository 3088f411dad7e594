#include "proxy/upstream/health_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "proxy/stats/store.h"
#include "proxy/upstream/test_hosts.h"

namespace remora::upstream {
namespace {

using testing::assignment;
using testing::endpoint;
using testing::locality;
using Kind = CheckResult::Kind;
using Stat = stats::HealthCheckStat;

/// Answers when the test says so.
class HandProbe final : public HealthProbe {
 public:
  HandProbe(std::map<const Host*, HandProbe*>& all, const Host* host, CheckDone done)
      : all_(all), host_(host), done(std::move(done)) {
    all_[host_] = this;
  }
  ~HandProbe() override { all_.erase(host_); }
  void start() override { asking = true; }
  void give_up() override { asking = false; }

 private:
  std::map<const Host*, HandProbe*>& all_;
  const Host* host_;

 public:
  CheckDone done;
  bool asking = false;
};

class HealthCheckerTest : public ::testing::Test, private HealthSink {
 protected:
  HealthCheckerTest() {
    config_.timeout_ms = 100;
    config_.interval_ms = config_.healthy_edge_ms = 1000;
    config_.unhealthy_ms = config_.unhealthy_edge_ms = 1000;
    config_.no_traffic_ms = config_.no_traffic_healthy_ms = 1000;
    config_.healthy_threshold = 2;
    config_.unhealthy_threshold = 2;
  }

  void start(int hosts) {
    for (int i = 0; i < hosts; ++i) {
      endpoints_.push_back(endpoint("10.0.0." + std::to_string(i + 1)));
    }
    remake();
    HealthChecker::Hooks hooks;
    hooks.on_changed = [this] {
      ++changes_;
      remake();
      checker_->set_hosts(*hosts_);
    };
    hooks.on_first_round = [this] { ++first_rounds_; };
    hooks.on_passed = [this](const Host&) {
      ++passes_;
      return false;
    };
    hooks.on_event = [this](const Host&, CheckEvent event) { events_.push_back(event); };
    hooks.random = [this] { return random_; };
    hooks.make_probe = [this](const HostPtr& host, CheckDone done) {
      return std::make_unique<HandProbe>(probes_, host.get(), std::move(done));
    };
    checker_ =
        std::make_unique<HealthChecker>("c", std::make_shared<HealthCheckConfig>(config_), wheel_,
                                        group_, 1, static_cast<HealthSink&>(*this), hooks);
    checker_->set_hosts(*hosts_);
    pass(1);
  }
  void remake() {
    cluster_.health_check = std::make_shared<HealthCheckConfig>(config_);
    hosts_ = make_host_set(assignment({locality(endpoints_)}), hosts_.get(), cluster_);
  }
  const HostPtr& host(size_t i) { return hosts_->priorities[0].hosts[i]; }
  void pass(uint64_t ms) {
    time_.now_ms += ms;
    wheel_.advance();
  }
  /// The check under way ends so.
  void answer(size_t i, Kind kind, bool excludes = false) {
    HandProbe* probe = probes_.at(host(i).get());
    ASSERT_TRUE(probe->asking);
    probe->asking = false;
    probe->done({kind, excludes});
  }
  /// The same, and then time passes until the next.
  void round(size_t i, Kind kind) {
    answer(i, kind);
    pass(1000);
  }
  bool asking(size_t i) { return probes_.at(host(i).get())->asking; }
  uint64_t stat(Stat which) { return group_->at(1).value(which); }

  TurnTime time_;
  TimerWheel wheel_{time_};
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  std::shared_ptr<stats::Group<stats::HealthCheckSchema>> group_ =
      store_->group<stats::HealthCheckSchema>("cluster.c.health_check");
  HealthCheckConfig config_;
  ClusterConfig cluster_;
  std::vector<EndpointConfig> endpoints_;
  std::shared_ptr<const HostSet> hosts_;
  std::map<const Host*, HandProbe*> probes_;
  std::unique_ptr<HealthChecker> checker_;
  std::vector<CheckEvent> events_;
  uint64_t random_ = 0;
  int changes_ = 0, first_rounds_ = 0, passes_ = 0;

 private:
  void on_immediate_failure(const std::string& cluster, HostPtr host) override {
    EXPECT_EQ(cluster, "c");
    checker_->on_immediate_failure(*host);
  }
};

TEST_F(HealthCheckerTest, TheFirstAnswerIsBelievedAtOnce) {
  start(2);
  EXPECT_EQ(hosts_->healthy_total(), 0u);
  EXPECT_FALSE(checker_->first_round_over());
  answer(0, Kind::Healthy);
  EXPECT_EQ(hosts_->healthy_total(), 1u);
  EXPECT_EQ(first_rounds_, 0);
  answer(1, Kind::Network);
  EXPECT_EQ(hosts_->healthy_total(), 1u);
  EXPECT_EQ(first_rounds_, 1);
  EXPECT_EQ(stat(Stat::healthy), 1u);
  EXPECT_EQ(stat(Stat::attempt), 2u);
  EXPECT_EQ(stat(Stat::success), 1u);
  EXPECT_EQ(stat(Stat::failure), 1u);
  EXPECT_EQ(stat(Stat::network_failure), 1u);
}

TEST_F(HealthCheckerTest, ThresholdsStandBetween) {
  start(1);
  round(0, Kind::Healthy);
  round(0, Kind::Retriable);
  EXPECT_EQ(hosts_->healthy_total(), 1u);
  round(0, Kind::Healthy);
  round(0, Kind::Network);
  EXPECT_EQ(hosts_->healthy_total(), 1u) << "they count in a row";
  round(0, Kind::Network);
  EXPECT_EQ(hosts_->healthy_total(), 0u);
  round(0, Kind::Healthy);
  EXPECT_EQ(hosts_->healthy_total(), 0u);
  round(0, Kind::Healthy);
  EXPECT_EQ(hosts_->healthy_total(), 1u);
}

TEST_F(HealthCheckerTest, WhatAHostSaysItselfCountsAtOnce) {
  start(1);
  round(0, Kind::Healthy);
  answer(0, Kind::Failed, true);
  EXPECT_EQ(hosts_->healthy_total(), 0u);
  EXPECT_EQ(host(0)->check_flags(), kCheckFailed | kCheckExcluded);
  EXPECT_EQ(hosts_->excluded_total(), 1u);
  pass(1000);
  round(0, Kind::Healthy);
  round(0, Kind::Healthy);
  EXPECT_EQ(host(0)->check_flags(), 0);
}

TEST_F(HealthCheckerTest, AnOrdinaryAnswerMaySaySo) {
  start(2);
  answer(0, Kind::Healthy);
  host(0)->health_sink()->on_immediate_failure("c", host(0));
  EXPECT_EQ(host(0)->check_flags(), kCheckFailed | kCheckExcluded);
  EXPECT_EQ(stat(Stat::passive_failure), 1u);
  EXPECT_EQ(stat(Stat::attempt), 2u);
  HealthChecker::release_all(*hosts_);
  EXPECT_EQ(host(0)->health_sink(), nullptr);
}

TEST_F(HealthCheckerTest, AHostServesSinceItWasLetIn) {
  start(1);
  EXPECT_EQ(host(0)->serving_since(), 0u);
  round(0, Kind::Healthy);
  const MonotonicMs first = host(0)->serving_since();
  EXPECT_NE(first, 0u);
  round(0, Kind::Healthy);
  EXPECT_EQ(host(0)->serving_since(), first);
  round(0, Kind::Failed);
  round(0, Kind::Healthy);
  round(0, Kind::Healthy);
  EXPECT_EQ(host(0)->serving_since(), time_.now_ms - 1000) << "it begins anew";
}

TEST_F(HealthCheckerTest, EventsTellWhatChanged) {
  using What = CheckEvent::What;
  using Failure = CheckEvent::Failure;
  const auto told = [this] {
    std::vector<std::tuple<What, Failure, bool>> out;
    for (const CheckEvent& event : std::exchange(events_, {})) {
      out.emplace_back(event.what, event.failure, event.first_check);
    }
    return out;
  };
  using ::testing::ElementsAre;
  using ::testing::FieldsAre;
  start(1);
  round(0, Kind::Network);
  EXPECT_THAT(told(), ElementsAre(FieldsAre(What::Failed, Failure::Network, true)));
  round(0, Kind::Healthy);
  round(0, Kind::Degraded);
  EXPECT_THAT(told(), ElementsAre(FieldsAre(What::Added, Failure::Active, false),
                                  FieldsAre(What::Degraded, Failure::Active, false)));
  round(0, Kind::Healthy);
  EXPECT_THAT(told(), ElementsAre(FieldsAre(What::NoLongerDegraded, Failure::Active, false)));
  round(0, Kind::Network);
  EXPECT_TRUE(told().empty()) << "one failure changes nothing";
  pass(100);
  EXPECT_THAT(told(), ElementsAre(FieldsAre(What::Ejected, Failure::Timeout, false)));
}

TEST_F(HealthCheckerTest, EveryCheckIsToldWhereThatIsWanted) {
  config_.log_all_failures = config_.log_all_successes = true;
  start(1);
  round(0, Kind::Healthy);
  EXPECT_EQ(events_.size(), 1u) << "that it was let in says that it passed";
  round(0, Kind::Healthy);
  round(0, Kind::Failed);
  ASSERT_EQ(events_.size(), 4u);
  EXPECT_EQ(events_[1].what, CheckEvent::What::Passed);
  EXPECT_EQ(events_[2].what, CheckEvent::What::Ejected);
  EXPECT_EQ(events_[3].what, CheckEvent::What::Failed);
  round(0, Kind::Healthy);
  EXPECT_EQ(events_.back().what, CheckEvent::What::Passed);
  host(0)->health_sink()->on_immediate_failure("c", host(0));
  EXPECT_EQ(events_.back().failure, CheckEvent::Failure::Passive);
}

TEST_F(HealthCheckerTest, SilenceIsAFailureOfTheNetwork) {
  start(1);
  pass(100);
  EXPECT_FALSE(asking(0));
  EXPECT_EQ(stat(Stat::network_failure), 1u);
  EXPECT_EQ(first_rounds_, 1);
  EXPECT_EQ(host(0)->check_flags(), kCheckFailed | kCheckTimeout);
}

TEST_F(HealthCheckerTest, DegradedHostsServeWhenOthersCannot) {
  start(1);
  round(0, Kind::Degraded);
  EXPECT_EQ(hosts_->healthy_total(), 0u);
  EXPECT_EQ(hosts_->degraded_total(), 1u);
  EXPECT_EQ(stat(Stat::degraded), 1u);
  round(0, Kind::Healthy);
  EXPECT_EQ(hosts_->degraded_total(), 0u);
  EXPECT_EQ(hosts_->healthy_total(), 1u);
  EXPECT_EQ(stat(Stat::degraded), 0u);
}

TEST_F(HealthCheckerTest, IntervalsFollowTheState) {
  config_.no_traffic_ms = 7000;
  config_.no_traffic_healthy_ms = 9000;
  config_.unhealthy_edge_ms = 300;
  config_.unhealthy_ms = 500;
  config_.healthy_edge_ms = 200;
  start(1);
  const auto next_after = [this](Kind kind) {
    answer(0, kind);
    const MonotonicMs from = time_.now_ms;
    while (!asking(0)) pass(1);
    return time_.now_ms - from;
  };
  EXPECT_EQ(next_after(Kind::Healthy), 9000u) << "nobody uses the cluster";
  EXPECT_EQ(next_after(Kind::Network), 7000u);
  host(0)->counters.cx_total = 1;
  EXPECT_EQ(next_after(Kind::Healthy), 1000u);
  EXPECT_EQ(next_after(Kind::Network), 300u);
  EXPECT_EQ(next_after(Kind::Network), 500u);
  EXPECT_EQ(next_after(Kind::Healthy), 200u);
  EXPECT_EQ(next_after(Kind::Healthy), 1000u);
}

TEST_F(HealthCheckerTest, JitterMakesIntervalsLonger) {
  config_.interval_jitter_percent = 50;
  config_.interval_jitter_ms = 100;
  config_.initial_jitter_ms = 1000;
  random_ = 99;
  start(1);
  EXPECT_FALSE(asking(0));
  pass(98);
  ASSERT_TRUE(asking(0));
  answer(0, Kind::Healthy);
  pass(1197);
  EXPECT_FALSE(asking(0));
  pass(1);
  EXPECT_TRUE(asking(0));
}

TEST_F(HealthCheckerTest, HostsComeAndGo) {
  start(2);
  answer(0, Kind::Healthy);
  endpoints_.pop_back();
  endpoints_.push_back(endpoint("10.0.0.9"));
  cluster_.discovery = Discovery::StrictDns;
  cluster_.ignores_new_hosts = true;
  remake();
  checker_->set_hosts(*hosts_);
  pass(1);
  EXPECT_EQ(probes_.size(), 2u);
  EXPECT_EQ(hosts_->excluded_total(), 1u);
  answer(1, Kind::Network);
  EXPECT_EQ(hosts_->excluded_total(), 0u) << "it has been asked";
  EXPECT_EQ(host(1)->check_flags(), kCheckFailed);
  checker_.reset();
  EXPECT_EQ(stat(Stat::healthy), 0u);
  EXPECT_TRUE(probes_.empty());
}

TEST_F(HealthCheckerTest, AHostThatIsNotToBeAskedIsHealthy) {
  endpoints_.push_back(endpoint("10.0.0.9"));
  endpoints_.back().extras.edit().check_disabled = true;
  start(0);
  EXPECT_TRUE(probes_.empty());
  EXPECT_TRUE(checker_->first_round_over());
  EXPECT_EQ(hosts_->healthy_total(), 1u);
}

TEST_F(HealthCheckerTest, WhoPassesStaysWhenDiscoveryDropsIt) {
  start(2);
  answer(0, Kind::Healthy);
  answer(1, Kind::Network);
  ClusterConfig cluster;
  cluster.discovery = Discovery::Eds;
  cluster.health_check = std::make_shared<HealthCheckConfig>(config_);
  const auto kept = make_host_set(assignment({}), hosts_.get(), cluster);
  ASSERT_EQ(kept->total(), 1u);
  EXPECT_EQ(kept->priorities[0].hosts[0], host(0));
  EXPECT_TRUE(host(0)->check_flag(kCheckRemoval));
  cluster.ignores_health_on_removal = true;
  EXPECT_EQ(make_host_set(assignment({}), kept.get(), cluster)->total(), 0u);
  remake();
  EXPECT_FALSE(host(0)->check_flag(kCheckRemoval)) << "it is listed again";
}

}  // namespace
}  // namespace remora::upstream
