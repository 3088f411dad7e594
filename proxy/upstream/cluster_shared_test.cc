// What workers share of a cluster: limits in use, and the gauges made from them.
#include "proxy/upstream/cluster_shared.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "proxy/upstream/test_hosts.h"

namespace remora::upstream {
namespace {

using testing::assignment;
using testing::mixed;

TEST(ResourceCounts, TakesUpToTheLimit) {
  ResourceCounts counts;
  EXPECT_TRUE(counts.try_take(Resource::Requests, 2));
  EXPECT_TRUE(counts.try_take(Resource::Requests, 2));
  EXPECT_FALSE(counts.try_take(Resource::Requests, 2));
  EXPECT_TRUE(counts.at_limit(Resource::Requests, 2));
  EXPECT_EQ(counts.used(Resource::Pending), 0u);
  counts.release(Resource::Requests);
  EXPECT_TRUE(counts.try_take(Resource::Requests, 2));
}

TEST(ResourceCounts, WorkersTogetherNeverPassTheLimit) {
  ResourceCounts counts;
  std::atomic<uint32_t> held{0}, most{0};
  auto worker = [&] {
    for (int i = 0; i < 20000; ++i) {
      if (!counts.try_take(Resource::Connections, 3)) continue;
      const uint32_t now = ++held;
      uint32_t seen = most.load();
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      --held;
      counts.release(Resource::Connections);
    }
  };
  std::thread a(worker), b(worker), c(worker), d(worker);
  for (std::thread* thread : {&a, &b, &c, &d}) thread->join();
  EXPECT_LE(most.load(), 3u);
  EXPECT_EQ(counts.used(Resource::Connections), 0u);
}

TEST(RetryLimit, IsANumberOrAShareOfWhatIsInFlight) {
  ResourceCounts counts;
  CircuitBreakerThresholds thresholds;
  EXPECT_EQ(retry_limit(thresholds, counts), 3u);
  thresholds.retry_budget_percent = 20;
  EXPECT_EQ(retry_limit(thresholds, counts), 3u) << "never below the minimum";
  for (int i = 0; i < 40; ++i) counts.take(Resource::Requests);
  for (int i = 0; i < 10; ++i) counts.take(Resource::Pending);
  EXPECT_EQ(retry_limit(thresholds, counts), 10u);
}

class ClusterSharedTest : public ::testing::Test {
 protected:
  ClusterSharedTest() { config_.name = "test"; }

  std::map<std::string, uint64_t> scrape() {
    std::map<std::string, uint64_t> values;
    store_->scrape([&values](const stats::Metric& metric) {
      values[std::string(metric.name)] = metric.value;
    });
    return values;
  }

  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  ClusterConfig config_;
};

TEST_F(ClusterSharedTest, OpenBreakersShowInTheNextScrape) {
  config_.default_thresholds.max_connections = 1;
  config_.default_thresholds.track_remaining = true;
  ClusterShared shared(config_, *store_);
  EXPECT_EQ(scrape()["cluster.test.circuit_breakers.default.cx_open"], 0u);
  EXPECT_EQ(scrape()["cluster.test.circuit_breakers.default.remaining_cx"], 1u);
  shared.counts(Priority::Default).take(Resource::Connections);
  auto values = scrape();
  EXPECT_EQ(values["cluster.test.circuit_breakers.default.cx_open"], 1u);
  EXPECT_EQ(values["cluster.test.circuit_breakers.default.remaining_cx"], 0u);
  EXPECT_EQ(values["cluster.test.circuit_breakers.high.cx_open"], 0u);
  EXPECT_FALSE(values.contains("cluster.test.circuit_breakers.high.remaining_cx"));
  config_.default_thresholds.max_connections = 5;
  shared.set_config(config_);
  values = scrape();
  EXPECT_EQ(values["cluster.test.circuit_breakers.default.cx_open"], 0u);
  EXPECT_EQ(values["cluster.test.circuit_breakers.default.remaining_cx"], 4u);
}

TEST_F(ClusterSharedTest, MembershipFollowsTheHosts) {
  config_.alt_stat_name = "other";
  ClusterShared shared(config_, *store_);
  auto first = make_host_set(assignment({mixed(3, 1, 1)}), nullptr);
  shared.on_hosts(*first, nullptr);
  auto values = scrape();
  EXPECT_EQ(values["cluster.other.membership_total"], 5u);
  EXPECT_EQ(values["cluster.other.membership_healthy"], 3u);
  EXPECT_EQ(values["cluster.other.membership_degraded"], 1u);
  EXPECT_EQ(values["cluster.other.membership_change"], 1u);
  auto same = make_host_set(assignment({mixed(4, 0, 1)}), first.get());
  shared.on_hosts(*same, first.get());
  EXPECT_EQ(scrape()["cluster.other.membership_change"], 1u) << "the same hosts in other health";
  EXPECT_EQ(scrape()["cluster.other.membership_healthy"], 4u);
  auto fewer = make_host_set(assignment({mixed(4, 0, 0)}), same.get());
  shared.on_hosts(*fewer, same.get());
  EXPECT_EQ(scrape()["cluster.other.membership_change"], 2u);
}

}  // namespace
}  // namespace remora::upstream
