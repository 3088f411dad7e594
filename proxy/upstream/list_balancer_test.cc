// Balancers over lists of hosts: distributions checked against their weights by the chi-square
// statistic, with random numbers that are the same in every run.
#include "proxy/upstream/list_balancer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "proxy/upstream/test_hosts.h"

namespace remora::upstream {
namespace {

using testing::assignment;
using testing::endpoint;
using ::testing::IsNull;
using testing::locality;
using testing::mixed;

using Counts = std::map<std::string, int>;

class ListBalancerTest : public ::testing::Test {
 protected:
  ListBalancer& over(std::vector<LocalityEndpoints> localities) {
    hosts_ = make_host_set(assignment(std::move(localities)), hosts_.get());
    balancer_ =
        std::make_unique<ListBalancer>(std::make_shared<ClusterConfig>(config_), hosts_, worker_);
    return *balancer_;
  }

  Counts pick(int times) {
    Counts counts;
    for (int i = 0; i < times; ++i) ++counts[balancer_->pick({})->address().ip_string()];
    return counts;
  }

  // Sum of (seen - expected)^2 / expected.
  static double chi_square(const Counts& seen, const Counts& weights) {
    double total = 0, picks = 0, sum = 0;
    for (const auto& [host, weight] : weights) total += weight;
    for (const auto& [host, count] : seen) picks += count;
    for (const auto& [host, weight] : weights) {
      const double expected = picks * weight / total;
      const double difference = (seen.contains(host) ? seen.at(host) : 0) - expected;
      sum += difference * difference / expected;
    }
    return sum;
  }

  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 42};
  ClusterConfig config_;
  std::shared_ptr<const HostSet> hosts_;
  std::unique_ptr<ListBalancer> balancer_;
};

// 99.9% of truly random samples stay below this (9 degrees of freedom).
constexpr double kChiSquareLimit9 = 27.9;

TEST_F(ListBalancerTest, NoHostsGiveNobody) {
  over({});
  EXPECT_THAT(balancer_->pick({}), IsNull());
}

TEST_F(ListBalancerTest, RoundRobinVisitsEachInTurn) {
  over({mixed(5, 0, 0)});
  for (const auto& [host, count] : pick(500)) EXPECT_EQ(count, 100) << host;
}

TEST_F(ListBalancerTest, RoundRobinStartsAnywhere) {
  Counts first;
  for (int i = 0; i < 200; ++i) {
    over({mixed(4, 0, 0)});
    ++first[balancer_->pick({})->address().ip_string()];
  }
  EXPECT_EQ(first.size(), 4u) << "workers and updates would all begin with the same host";
}

TEST_F(ListBalancerTest, WeightedRoundRobinIsExactAndSmooth) {
  over({locality(
      {endpoint("10.0.0.1", 80, 5), endpoint("10.0.0.2", 80, 1), endpoint("10.0.0.3", 80, 1)})});
  const Counts counts = pick(700);
  EXPECT_NEAR(counts.at("10.0.0.1"), 500, 2);
  EXPECT_NEAR(counts.at("10.0.0.2"), 100, 2);
  EXPECT_NEAR(counts.at("10.0.0.3"), 100, 2);
  for (int round = 0; round < 20; ++round) EXPECT_LE(pick(7)["10.0.0.1"], 6);
}

TEST_F(ListBalancerTest, RandomIsUniform) {
  config_.lb = LbPolicy::Random;
  over({mixed(10, 0, 0)});
  Counts weights;
  for (const HostPtr& host : hosts_->priorities[0].hosts) weights[host->address().ip_string()] = 1;
  EXPECT_LT(chi_square(pick(20000), weights), kChiSquareLimit9);
}

TEST_F(ListBalancerTest, LeastRequestIsUniformWhenIdle) {
  config_.lb = LbPolicy::LeastRequest;
  over({mixed(10, 0, 0)});
  Counts weights;
  for (const HostPtr& host : hosts_->priorities[0].hosts) weights[host->address().ip_string()] = 1;
  EXPECT_LT(chi_square(pick(20000), weights), kChiSquareLimit9);
}

TEST_F(ListBalancerTest, LeastRequestTakesTheLessBusyOfTwo) {
  config_.lb = LbPolicy::LeastRequest;
  over({mixed(2, 0, 0)});
  hosts_->priorities[0].hosts[0]->counters.rq_active = 10;
  const Counts counts = pick(10000);
  // Only a draw of the busy host twice picks it: one in four.
  EXPECT_NEAR(counts.at("10.0.0.1"), 2500, 150);
}

TEST_F(ListBalancerTest, LeastRequestWithMoreChoicesAvoidsTheBusyBetter) {
  config_.lb = LbPolicy::LeastRequest;
  config_.choice_count = 5;
  over({mixed(2, 0, 0)});
  hosts_->priorities[0].hosts[0]->counters.rq_active = 10;
  EXPECT_NEAR(pick(10000)["10.0.0.1"], 10000 / 32, 60);
}

TEST_F(ListBalancerTest, WeightedLeastRequestFollowsWeightsWhenIdle) {
  config_.lb = LbPolicy::LeastRequest;
  over({locality({endpoint("10.0.0.1", 80, 3), endpoint("10.0.0.2", 80, 1)})});
  EXPECT_NEAR(pick(400)["10.0.0.1"], 300, 2);
}

TEST_F(ListBalancerTest, WeightedLeastRequestDividesWeightByLoad) {
  config_.lb = LbPolicy::LeastRequest;
  over({locality({endpoint("10.0.0.1", 80, 4), endpoint("10.0.0.2", 80, 2)})});
  hosts_->priorities[0].hosts[0]->counters.rq_active = 3;  // 4 / (3 + 1) = 1 against 2
  EXPECT_NEAR(pick(300)["10.0.0.1"], 100, 3);
}

TEST_F(ListBalancerTest, ActiveRequestBiasOfZeroLooksAtWeightsOnly) {
  config_.lb = LbPolicy::LeastRequest;
  config_.active_request_bias = 0;
  over({locality({endpoint("10.0.0.1", 80, 4), endpoint("10.0.0.2", 80, 2)})});
  hosts_->priorities[0].hosts[0]->counters.rq_active = 30;
  EXPECT_NEAR(pick(300)["10.0.0.1"], 200, 3);
}

TEST_F(ListBalancerTest, UnhealthyHostsGetNothing) {
  over({mixed(3, 0, 2)});
  const Counts counts = pick(300);
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_FALSE(counts.contains("10.0.0.4"));
  EXPECT_FALSE(counts.contains("10.0.0.5"));
}

TEST_F(ListBalancerTest, TooFewHealthyIsPanicAndIsCounted) {
  over({mixed(1, 0, 3)});
  EXPECT_EQ(pick(400).size(), 4u);
  EXPECT_EQ(balancer_->take_panics(), 400u);
  EXPECT_EQ(balancer_->take_panics(), 0u);
}

TEST_F(ListBalancerTest, WithPanicOffNobodyHealthyIsNobody) {
  config_.panic_threshold_percent = 0;
  over({mixed(0, 0, 3)});
  EXPECT_THAT(balancer_->pick({}), IsNull());
}

TEST_F(ListBalancerTest, DegradedHostsTakeWhatHealthyOnesCannot) {
  over({mixed(2, 2, 0)});  // 50% healthy: 70% of the load, the rest to the degraded ones
  const Counts counts = pick(10000);
  EXPECT_NEAR(counts.at("10.0.0.1") + counts.at("10.0.0.2"), 7000, 200);
  EXPECT_NEAR(counts.at("10.0.0.3") + counts.at("10.0.0.4"), 3000, 200);
}

TEST_F(ListBalancerTest, TheNextPriorityTakesWhatSpillsOver) {
  over({mixed(1, 0, 1, 0), mixed(2, 0, 0, 1)});  // 50% healthy: 70%, and 30%
  const Counts counts = pick(10000);
  EXPECT_NEAR(counts.at("10.0.0.1"), 7000, 200);
  EXPECT_NEAR(counts.at("10.1.0.1"), 1500, 150);
  EXPECT_NEAR(counts.at("10.1.0.2"), 1500, 150);
}

TEST_F(ListBalancerTest, ARequestsOwnRandomBitsChooseThePriority) {
  over({mixed(1, 0, 1, 0), mixed(1, 0, 0, 1)});
  PickContext low, high;
  low.random = 100;   // 1 of 100
  high.random = 199;  // 100 of 100
  EXPECT_EQ(balancer_->pick(low)->address().ip_string(), "10.0.0.1");
  EXPECT_EQ(balancer_->pick(high)->address().ip_string(), "10.1.0.1");
}

TEST_F(ListBalancerTest, LocalityWeightsSplitTheLoad) {
  config_.locality_weighted = true;
  over({mixed(2, 0, 0, 0, "a", 3), mixed(1, 0, 0, 0, "b", 1)});
  const Counts counts = pick(400);
  EXPECT_NEAR(counts.at("10.0.2.1"), 100, 2) << "one host of b, weight 1 of 4";
  EXPECT_NEAR(counts.at("10.0.4.1"), 150, 2) << "two hosts of a, weight 3 of 4";
  EXPECT_NEAR(counts.at("10.0.4.2"), 150, 2);
}

TEST_F(ListBalancerTest, ALocalitysWeightShrinksWithItsHealth) {
  config_.locality_weighted = true;
  // Half of a is healthy: 1 * 1.4 * 0.5 = 0.7 against 1.
  over({mixed(2, 0, 2, 0, "a", 1), mixed(4, 0, 0, 0, "bb", 1)});
  const Counts counts = pick(1700);
  EXPECT_NEAR(counts.at("10.0.2.1") + counts.at("10.0.2.2"), 700, 3);
}

TEST_F(ListBalancerTest, LocalitiesWithoutWeightGetNothingWhenWeighted) {
  config_.locality_weighted = true;
  over({mixed(1, 0, 0, 0, "a", 1), mixed(1, 0, 0, 0, "bbb", 0)});
  EXPECT_EQ(pick(100).size(), 1u);
}

TEST_F(ListBalancerTest, LocalityWeightsAreIgnoredUnlessConfigured) {
  over({mixed(1, 0, 0, 0, "a", 9), mixed(1, 0, 0, 0, "b", 1)});
  for (const auto& [host, count] : pick(200)) EXPECT_EQ(count, 100) << host;
}

}  // namespace
}  // namespace remora::upstream
