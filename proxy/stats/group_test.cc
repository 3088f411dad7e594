#include "proxy/stats/group.h"

#include <gtest/gtest.h>

#include "proxy/stats/names.h"
#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"

namespace remora::stats {
namespace {

class GroupTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> store_ = *Store::make({}, 2);
  std::shared_ptr<Group<ClusterSchema>> group_ = store_->group<ClusterSchema>(cluster_prefix("a"));

  /// A metric's merged value; -1 when it is not shown.
  int64_t shown(std::string_view name) {
    int64_t value = -1;
    store_->scrape([&](const Metric& metric) {
      if (metric.name == name) value = static_cast<int64_t>(metric.value);
    });
    return value;
  }
  bool used(std::string_view name) {
    bool used = false;
    store_->scrape([&](const Metric& metric) {
      if (metric.name == name) used = metric.used;
    });
    return used;
  }
};

TEST_F(GroupTest, AThreadAlwaysGetsItsOwnSlab) {
  EXPECT_EQ(&group_->at(0), &group_->at(0));
  EXPECT_NE(&group_->at(0), &group_->at(1));
}

TEST_F(GroupTest, CountersOfAllThreadsAreSummed) {
  group_->at(0).inc(ClusterStat::upstream_rq_total);
  group_->at(1).add(ClusterStat::upstream_rq_total, 10);
  group_->at(store_->main_index()).inc(ClusterStat::upstream_rq_total);
  EXPECT_EQ(shown("cluster.a.upstream_rq_total"), 12);
}

TEST_F(GroupTest, AGaugeMayBeRaisedHereAndLoweredThere) {
  group_->at(0).inc(ClusterStat::upstream_cx_active);
  group_->at(0).inc(ClusterStat::upstream_cx_active);
  group_->at(1).dec(ClusterStat::upstream_cx_active);
  EXPECT_EQ(shown("cluster.a.upstream_cx_active"), 1);
  EXPECT_EQ(group_->at(0).value(ClusterStat::upstream_cx_active), 2u);
}

TEST_F(GroupTest, AGaugeCanBeSet) {
  auto& slab = group_->at(0);
  slab.add(ClusterStat::upstream_cx_tx_bytes_buffered, 100);
  slab.sub(ClusterStat::upstream_cx_tx_bytes_buffered, 40);
  slab.set(ClusterStat::upstream_cx_tx_bytes_buffered, 7);
  EXPECT_EQ(slab.value(ClusterStat::upstream_cx_tx_bytes_buffered), 7u);
}

TEST_F(GroupTest, AGaugeBackAtZeroWasUsed) {
  EXPECT_FALSE(used("cluster.a.upstream_cx_active"));
  group_->at(0).inc(ClusterStat::upstream_cx_active);
  group_->at(0).dec(ClusterStat::upstream_cx_active);
  EXPECT_EQ(shown("cluster.a.upstream_cx_active"), 0);
  EXPECT_TRUE(used("cluster.a.upstream_cx_active"));
}

TEST_F(GroupTest, MetricsOfTheMainThread) {
  EXPECT_EQ(shown("cluster.a.membership_total"), 0);
  EXPECT_FALSE(used("cluster.a.membership_total"));
  group_->set(ClusterMainStat::membership_total, 5);
  group_->inc(ClusterMainStat::membership_change);
  group_->set(ClusterMainStat::warming_state, 0);
  EXPECT_EQ(shown("cluster.a.membership_total"), 5);
  EXPECT_EQ(shown("cluster.a.membership_change"), 1);
  EXPECT_TRUE(used("cluster.a.warming_state"));
}

TEST_F(GroupTest, OptionalMetricsShowOnceWritten) {
  EXPECT_EQ(shown("cluster.a.circuit_breakers.default.remaining_cx"), -1);
  EXPECT_EQ(shown("cluster.a.circuit_breakers.default.cx_open"), 0);
  group_->set(ClusterMainStat::default_remaining_cx, 1024);
  EXPECT_EQ(shown("cluster.a.circuit_breakers.default.remaining_cx"), 1024);
}

TEST_F(GroupTest, AnswersAreCountedByCodeClassAndTotal) {
  auto& slab = group_->at(0);
  slab.count_response(ClusterScope::All, 200);
  slab.count_response(ClusterScope::All, 204);
  slab.count_response(ClusterScope::All, 503);
  slab.count_response(ClusterScope::External, 200);
  group_->at(1).count_response(ClusterScope::All, 200);
  EXPECT_EQ(shown("cluster.a.upstream_rq_200"), 2);
  EXPECT_EQ(shown("cluster.a.upstream_rq_204"), 1);
  EXPECT_EQ(shown("cluster.a.upstream_rq_2xx"), 3);
  EXPECT_EQ(shown("cluster.a.upstream_rq_5xx"), 1);
  EXPECT_EQ(shown("cluster.a.upstream_rq_completed"), 4);
  EXPECT_EQ(shown("cluster.a.external.upstream_rq_completed"), 1);
  EXPECT_EQ(shown("cluster.a.internal.upstream_rq_completed"), -1);
  EXPECT_EQ(shown("cluster.a.upstream_rq_4xx"), -1);
}

TEST_F(GroupTest, CodesOutsideTheRangeAreUnknown) {
  group_->at(0).count_response(ClusterScope::All, 999);
  EXPECT_EQ(shown("cluster.a.upstream_rq_unknown"), 1);
  EXPECT_EQ(shown("cluster.a.upstream_rq_999"), -1);
  EXPECT_EQ(shown("cluster.a.upstream_rq_completed"), 1);
}

TEST_F(GroupTest, ClassesOfADownstreamAreFixedCounters) {
  auto http = store_->group<HttpSchema>(http_prefix("in"));
  count_downstream_response(http->at(0), 101);
  count_downstream_response(http->at(0), 404);
  count_downstream_response(http->at(0), 404);
  EXPECT_EQ(shown("http.in.downstream_rq_1xx"), 1);
  EXPECT_EQ(shown("http.in.downstream_rq_2xx"), 0);
  EXPECT_EQ(shown("http.in.downstream_rq_4xx"), 2);
  EXPECT_EQ(shown("http.in.downstream_rq_completed"), 3);
}

TEST_F(GroupTest, ConnectionsOfAListenerAreAlsoShownPerWorker) {
  auto listener = store_->group<ListenerSchema>(listener_prefix("0.0.0.0:80"));
  listener->at(1).inc(ListenerStat::downstream_cx_total);
  EXPECT_EQ(shown("listener.0.0.0.0_80.downstream_cx_total"), 1);
  EXPECT_EQ(shown("listener.0.0.0.0_80.worker_0.downstream_cx_total"), 0);
  EXPECT_EQ(shown("listener.0.0.0.0_80.worker_1.downstream_cx_total"), 1);
  EXPECT_EQ(shown("listener.0.0.0.0_80.main_thread.downstream_cx_total"), -1);

  auto admin = store_->group<ListenerSchema>(listener_prefix("admin"));
  admin->at(store_->main_index()).inc(ListenerStat::downstream_cx_total);
  EXPECT_EQ(shown("listener.admin.main_thread.downstream_cx_total"), 1);
  EXPECT_EQ(shown("listener.admin.worker_0.downstream_cx_total"), -1);
}

#define TEST_FILTER_STATS(X) \
  X(Gauge, active) X(Counter, allowed) X(Counter, shadow, "policy.shadow")
REMORA_STATS_SCHEMA(TestFilter, TEST_FILTER_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

TEST_F(GroupTest, AFilterDefinesItsOwnSchema) {
  auto filter = store_->group<TestFilterSchema>("http.in.test");
  filter->at(0).inc(TestFilterStat::allowed);
  filter->at(0).add(TestFilterStat::shadow, 2);
  EXPECT_EQ(shown("http.in.test.allowed"), 1);
  EXPECT_EQ(shown("http.in.test.policy.shadow"), 2);
}

TEST_F(GroupTest, UnusedGroupsAreSmall) { EXPECT_LE(sizeof(Group<ClusterSchema>), 112u); }

}  // namespace
}  // namespace remora::stats
