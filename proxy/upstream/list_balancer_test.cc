// Balancers over lists of hosts: distributions checked against their weights by the chi-square
// statistic, with random numbers that are the same in every run.
#include "proxy/upstream/list_balancer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/previous_priorities.h"
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
    config_.balancing = std::make_shared<BalancingConfig>(balancing_);
    const BalancerParts parts = {
        std::make_shared<ClusterConfig>(config_), worker_, shared_, own_hosts_, {"", "here", ""}};
    balancer_ = std::make_unique<ListBalancer>(parts, hosts_);
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

  /// Where each of a request's attempts goes, all of which fail.
  std::string priorities_tried(uint32_t frequency, int attempts) {
    PreviousPriorities previous(frequency);
    std::string tried;
    for (int i = 0; i < attempts; ++i) {
      PickContext context;
      if (i > 0) context.previous_priorities = &previous;
      const HostPtr host = balancer_->pick(context);
      tried += std::to_string(host->priority());
      previous.attempted(host);
    }
    return tried;
  }

  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 42};
  uint64_t stat(stats::ClusterStat which) { return shared_.stats().at(0).value(which); }

  ClusterConfig config_;
  BalancingConfig balancing_;
  std::shared_ptr<const HostSet> own_hosts_;  // of the cluster that this proxy is part of
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  ClusterShared shared_{config_, *store_};
  std::shared_ptr<const HostSet> hosts_;
  std::unique_ptr<ListBalancer> balancer_;
};

using stats::ClusterStat;

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
  EXPECT_LT(chi_square(pick(100'000), weights), kChiSquareLimit9);
}

TEST_F(ListBalancerTest, LeastRequestIsUniformWhenIdle) {
  config_.lb = LbPolicy::LeastRequest;
  over({mixed(10, 0, 0)});
  Counts weights;
  for (const HostPtr& host : hosts_->priorities[0].hosts) weights[host->address().ip_string()] = 1;
  EXPECT_LT(chi_square(pick(100'000), weights), kChiSquareLimit9);
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

TEST_F(ListBalancerTest, WeightsAreFollowedOverManyPicks) {
  Counts weights;
  std::vector<EndpointConfig> endpoints;
  for (uint32_t i = 1; i <= 10; ++i) {
    endpoints.push_back(endpoint("10.0.0." + std::to_string(i), 80, i));
    weights["10.0.0." + std::to_string(i)] = static_cast<int>(i);
  }
  for (const LbPolicy policy : {LbPolicy::RoundRobin, LbPolicy::LeastRequest}) {
    config_.lb = policy;
    over({locality(endpoints)});
    EXPECT_LT(chi_square(pick(100'000), weights), kChiSquareLimit9);
  }
}

TEST_F(ListBalancerTest, AFullScanFindsTheLeastBusy) {
  config_.lb = LbPolicy::LeastRequest;
  balancing_.full_scan = true;
  over({mixed(5, 0, 0)});
  const HostList& hosts = hosts_->priorities[0].hosts;
  for (const HostPtr& host : hosts) host->counters.rq_active = 3;
  hosts[3]->counters.rq_active = 2;
  EXPECT_EQ(pick(50).size(), 1u);
  hosts[1]->counters.rq_active = 2;
  const Counts counts = pick(10'000);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_NEAR(counts.at("10.0.0.2"), 5'000, 200) << "by chance among those that are alike";
}

TEST_F(ListBalancerTest, AHostThatHasOnlyBegunGetsAGrowingPart) {
  const MonotonicMs now = loop_.time().now_ms;
  const auto counts_after = [&](uint64_t age_ms) {
    over({mixed(2, 0, 0)});
    hosts_->priorities[0].hosts[0]->set_serving_since(now - 6'001);
    hosts_->priorities[0].hosts[1]->set_serving_since(now - age_ms);
    return pick(1'100)["10.0.0.2"];
  };
  balancing_.slow_start.window_ms = 6'000;
  for (const LbPolicy policy : {LbPolicy::RoundRobin, LbPolicy::LeastRequest}) {
    config_.lb = policy;
    EXPECT_NEAR(counts_after(0), 100, 3) << "1 to 10: never less than a tenth";
    EXPECT_NEAR(counts_after(3'000), 367, 4) << "1 to 2";
    EXPECT_NEAR(counts_after(5'400), 521, 4) << "9 to 10";
  }
  config_.lb = LbPolicy::RoundRobin;
  EXPECT_NEAR(counts_after(6'000), 550, 1) << "over";
  balancing_.slow_start.aggression = 2;  // the square root of a quarter
  EXPECT_NEAR(counts_after(1'500), 367, 4);
  balancing_.slow_start.min_weight = 0.5;
  EXPECT_NEAR(counts_after(10), 367, 4);
}

TEST_F(ListBalancerTest, HostsKeepTheirAgeOverUpdates) {
  over({mixed(1, 0, 1)});
  const HostPtr well = hosts_->priorities[0].hosts[0];
  EXPECT_NE(well->serving_since(), 0u);
  EXPECT_EQ(hosts_->priorities[0].hosts[1]->serving_since(), 0u) << "it has not begun";
  well->set_serving_since(5);
  over({mixed(1, 0, 1)});
  EXPECT_EQ(well->serving_since(), 5u);
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
  EXPECT_EQ(stat(stats::ClusterStat::lb_healthy_panic), 400u);
}

TEST_F(ListBalancerTest, PanicMayFailTraffic) {
  balancing_.fail_traffic_on_panic = true;
  over({mixed(1, 0, 3)});
  EXPECT_THAT(balancer_->pick({}), IsNull());
  EXPECT_EQ(stat(stats::ClusterStat::lb_healthy_panic), 1u);
}

TEST_F(ListBalancerTest, AnAggregateClusterMayHaveChosenThePriority) {
  over({mixed(1, 0, 0, 0), mixed(1, 1, 0, 1)});
  PickContext context;
  context.choice = PriorityChoice{1, true};
  EXPECT_EQ(balancer_->pick(context)->address().ip_string(), "10.1.0.2");
  context.choice = PriorityChoice{7, false};
  EXPECT_THAT(balancer_->pick(context), IsNull()) << "there is none";
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

// Zone aware routing. Hosts of zone "here" are 10.0.0.*, of "far" 10.0.1.*, of "other" 10.0.2.*.
class ZoneTest : public ListBalancerTest {
 protected:
  using Sizes = std::vector<int>;  // hosts in "here", "far", "other"

  static std::vector<LocalityEndpoints> zones(const Sizes& healthy, const Sizes& unhealthy = {}) {
    const char* names[] = {"here", "far", "other"};
    std::vector<LocalityEndpoints> out;
    for (size_t zone = 0; zone < healthy.size(); ++zone) {
      std::vector<EndpointConfig> endpoints;
      const int sick = zone < unhealthy.size() ? unhealthy[zone] : 0;
      for (int i = 0; i < healthy[zone] + sick; ++i) {
        endpoints.push_back(endpoint("10.0." + std::to_string(zone) + "." + std::to_string(i + 1),
                                     80, 1, i < sick ? Health::Unhealthy : Health::Healthy));
      }
      if (!endpoints.empty()) out.push_back(locality(std::move(endpoints), names[zone]));
    }
    return out;
  }
  void set_own(const Sizes& healthy, const Sizes& unhealthy = {}) {
    own_hosts_ = make_host_set(assignment(zones(healthy, unhealthy)), nullptr);
  }
  /// Percent of the traffic by zone.
  std::vector<int> spread(int picks = 20'000) {
    std::vector<int> sums(3);
    for (const auto& [host, count] : pick(picks)) sums[static_cast<size_t>(host[5] - '0')] += count;
    for (int& sum : sums) sum = (sum * 100 + picks / 2) / picks;
    return sums;
  }
};

struct ZoneCase {
  std::string name;
  std::vector<int> own, upstream, percent;
};
class ZoneTable : public ZoneTest, public ::testing::WithParamInterface<ZoneCase> {};

// What a proxy in zone "here" sends where, as Envoy's documentation works it out.
TEST_P(ZoneTable, TrafficStaysAsFarAsThereIsRoom) {
  const ZoneCase& c = GetParam();
  balancing_.zone_aware.min_cluster_size = 1;
  set_own(c.own);
  over(zones(c.upstream));
  const std::vector<int> seen = spread();
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(seen[i], c.percent[i], 1) << i;
}

const ZoneCase kZoneCases[] = {
    {"Balanced", {2, 2}, {3, 3}, {100, 0, 0}},
    {"MoreRoomHere", {1, 3}, {3, 3}, {100, 0, 0}},
    {"HalfAsMuchRoom", {2, 2}, {1, 3}, {50, 50, 0}},
    {"ThreeQuarters", {4, 1}, {6, 4}, {75, 25, 0}},
    {"RestByRoom", {4, 4, 2}, {2, 4, 2}, {63, 25, 13}},
    {"NobodyHere", {2, 2}, {0, 2, 2}, {0, 0, 100}},
    {"OwnElsewhereToo", {1, 1, 2}, {1, 1, 2}, {100, 0, 0}},
    {"OneUpstreamZone", {2, 2}, {6}, {100, 0, 0}},
    {"OneZoneOfOurs", {2}, {2, 2}, {50, 50, 0}},
};
INSTANTIATE_TEST_SUITE_P(Zones, ZoneTable, ::testing::ValuesIn(kZoneCases),
                         [](const auto& info) { return info.param.name; });

TEST_F(ZoneTest, PicksAreCounted) {
  set_own({2, 2});
  over(zones({3, 3}));
  pick(10);
  EXPECT_EQ(stat(ClusterStat::lb_zone_routing_all_directly), 10u);
  over(zones({2, 6}));
  pick(1'000);
  const uint64_t stayed = stat(ClusterStat::lb_zone_routing_sampled);
  EXPECT_NEAR(static_cast<double>(stayed), 500, 80);
  EXPECT_EQ(stat(ClusterStat::lb_zone_routing_cross_zone), 1'000 - stayed);
  EXPECT_EQ(stat(ClusterStat::lb_recalculate_zone_structures), 2u);
}

TEST_F(ZoneTest, SmallClustersAreSpreadEvenly) {
  set_own({2, 2});
  over(zones({2, 3}));
  EXPECT_NEAR(spread()[0], 40, 1);
  EXPECT_EQ(stat(ClusterStat::lb_zone_cluster_too_small), 1u);
}

TEST_F(ZoneTest, ZonesDoNotCountWhereOurOwnIsUnknown) {
  own_hosts_ =
      make_host_set(assignment({mixed(2, 0, 0, 0, "far"), mixed(2, 0, 0, 0, "others")}), nullptr);
  over(zones({3, 6}));
  EXPECT_NEAR(spread()[0], 33, 1);
  EXPECT_EQ(stat(ClusterStat::lb_local_cluster_not_ok), 1u);
}

TEST_F(ZoneTest, ZonesDoNotCountWhileOurOwnClusterPanics) {
  set_own({1, 1}, {2, 1});
  over(zones({3, 6}));
  EXPECT_NEAR(spread(9'000)[0], 33, 1);
  EXPECT_EQ(stat(ClusterStat::lb_local_cluster_not_ok), 9'000u);
}

TEST_F(ZoneTest, APartOfTheRequestsMayKeepToZones) {
  balancing_.zone_aware.routing_percent = 50;
  set_own({2, 2});
  over(zones({4, 4}));
  EXPECT_NEAR(spread()[0], 75, 1) << "half stay here, half go anywhere";
}

TEST_F(ZoneTest, OnlyHealthyHostsMakeRoom) {
  balancing_.zone_aware.min_cluster_size = 1;
  set_own({2, 2});
  over(zones({1, 3}, {2, 0}));
  EXPECT_NEAR(spread()[0], 50, 1);
}

TEST_F(ListBalancerTest, LocalityWeightsAreIgnoredUnlessConfigured) {
  over({mixed(1, 0, 0, 0, "a", 9), mixed(1, 0, 0, 0, "b", 1)});
  for (const auto& [host, count] : pick(200)) EXPECT_EQ(count, 100) << host;
}

TEST_F(ListBalancerTest, RetriesGoToPrioritiesThatWereNotTried) {
  over({mixed(2, 0, 0, 0), mixed(2, 0, 0, 1), mixed(2, 0, 0, 2)});
  EXPECT_EQ(priorities_tried(1, 6), "012012") << "and begin anew when there is no other";
  EXPECT_EQ(priorities_tried(2, 6), "001122");
  over({mixed(2, 0, 0, 0), mixed(0, 0, 2, 1), mixed(0, 1, 2, 2)});
  EXPECT_EQ(priorities_tried(1, 5), "02020") << "whoever serves";
  over({mixed(0, 0, 1, 0)});
  EXPECT_EQ(priorities_tried(1, 3), "000") << "in panic, as ever";
}

}  // namespace
}  // namespace remora::upstream
