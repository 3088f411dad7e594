// Clusters and their map: choosing hosts, retries, updates, removal, original destinations.
#include "proxy/upstream/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/upstream/test_cluster.h"

namespace remora::upstream {
namespace {

using stats::ClusterStat;
using testing::ClusterTestBase;
using testing::endpoint;
using testing::endpoint_at;
using ::testing::IsNull;
using testing::mixed;
using ::testing::NotNull;
using testing::TestPeer;
using testing::TestRequest;

using ClusterTest = ClusterTestBase;

TEST_F(ClusterTest, IsFoundByNameUntilRemoved) {
  EXPECT_THAT(map->find("test"), IsNull());
  apply({});
  EXPECT_THAT(map->find("test"), NotNull());
  EXPECT_EQ(map->size(), 1u);
  map->remove("test");
  map->remove("never was there");
  EXPECT_THAT(map->find("test"), IsNull());
  EXPECT_EQ(map->retired_count(), 0u) << "nothing of it was in use";
}

TEST_F(ClusterTest, NobodyToPickIsCounted) {
  apply({});
  EXPECT_THAT(cluster().pick_host({}), IsNull());
  EXPECT_EQ(stat(ClusterStat::upstream_cx_none_healthy), 1u);
}

TEST_F(ClusterTest, PanicIsCounted) {
  apply_sets({mixed(0, 0, 2)});
  EXPECT_THAT(cluster().pick_host({}), NotNull());
  EXPECT_EQ(stat(ClusterStat::lb_healthy_panic), 1u);
}

TEST_F(ClusterTest, NewHostsAreUsedAtOnce) {
  apply({endpoint("10.0.0.1")});
  EXPECT_EQ(cluster().pick_host({})->address().ip_string(), "10.0.0.1");
  update_hosts({endpoint("10.0.0.2")});
  EXPECT_EQ(cluster().pick_host({})->address().ip_string(), "10.0.0.2");
}

TEST_F(ClusterTest, ARetryAvoidsTheHostsAlreadyTried) {
  apply({endpoint("10.0.0.1"), endpoint("10.0.0.2")});
  const Host* tried[] = {host(0).get()};
  PickContext context;
  context.avoid = tried;
  context.avoid_count = 1;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(cluster().pick_host(context), host(1));
}

TEST_F(ClusterTest, ARetryTakesATriedHostWhenThereIsNoOther) {
  apply({endpoint("10.0.0.1")});
  const Host* tried[] = {host(0).get()};
  PickContext context;
  context.avoid = tried;
  context.avoid_count = 1;
  context.max_attempts = 5;
  EXPECT_EQ(cluster().pick_host(context), host(0));
}

TEST_F(ClusterTest, RetriesHaveALimitOfTheirOwn) {
  config.default_thresholds.max_retries = 2;
  apply({});
  EXPECT_TRUE(cluster().try_retry(Priority::Default));
  EXPECT_TRUE(cluster().try_retry(Priority::Default));
  EXPECT_FALSE(cluster().try_retry(Priority::Default));
  EXPECT_TRUE(cluster().try_retry(Priority::High));
  cluster().release_retry(Priority::Default);
  EXPECT_TRUE(cluster().try_retry(Priority::Default));
}

TEST_F(ClusterTest, PoolsHaveALimit) {
  config.default_thresholds.max_connection_pools = 1;
  apply({endpoint_at(server.address()), endpoint("127.0.0.1", 1)});
  TestPeer peer;
  exchange(&peer);
  TestRequest request(loop);
  request.start(cluster(), host(1));
  EXPECT_EQ(request.failure, PoolFailure::Overflow);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_pool_overflow), 1u);
}

TEST_F(ClusterTest, APinKeepsARemovedCluster) {
  apply({endpoint("10.0.0.1")});
  ClusterPin pin(cluster());
  map->remove("test");
  settle();
  EXPECT_TRUE(pin->retired());
  EXPECT_EQ(pin->config().name, "test");
  EXPECT_EQ(map->retired_count(), 1u);
  ClusterPin moved = std::move(pin);
  pin = ClusterPin();
  EXPECT_EQ(map->retired_count(), 1u);
  moved = ClusterPin();
  settle();
  EXPECT_EQ(map->retired_count(), 0u);
}

TEST_F(ClusterTest, OtherStatisticsMakeAnotherCluster) {
  Cluster* first = &apply({endpoint_at(server.address())});
  TestRequest request(loop);
  request.start(*first, host());
  run_until([&] { return request.sender != nullptr; });
  auto old_shared = std::exchange(shared, nullptr);
  config.alt_stat_name = "other";
  apply({endpoint_at(server.address())});
  EXPECT_NE(&cluster(), first);
  TestPeer peer = server.accept();
  loop.run_once(0);
  peer.read_head();
  peer.answer("ok");
  run_until([&] { return request.done(); });
  settle();
  EXPECT_EQ(request.body, "ok");
  EXPECT_EQ(map->retired_count(), 0u);
  EXPECT_EQ(old_shared->counts(Priority::Default).used(Resource::Connections), 0u);
  EXPECT_EQ(in_use(Resource::Connections), 0u);
}

TEST_F(ClusterTest, AnUnusedClusterHasNoSlabOfStatistics) {
  apply({endpoint("10.0.0.1")});
  bool used = false;
  store->scrape([&](const stats::Metric& metric) {
    if (metric.name == "cluster.test.upstream_cx_total" && metric.value > 0) used = true;
  });
  EXPECT_FALSE(used);
}

// --- ORIGINAL_DST ---

class OriginalDstClusterTest : public ClusterTestBase {
 protected:
  OriginalDstClusterTest() { config.discovery = Discovery::OriginalDst; }
  HostPtr pick(const Address& destination) {
    PickContext context;
    context.original_destination = &destination;
    return cluster().pick_host(context);
  }
  void use(const HostPtr& host, TestPeer* peer) {
    TestRequest request(loop);
    request.start(cluster(), host);
    run_until([&] { return request.sender != nullptr; });
    if (!request.immediate) *peer = server.accept();
    loop.run_once(0);
    peer->read_head();
    peer->answer("ok");
    run_until([&] { return request.done(); });
  }
};

TEST_F(OriginalDstClusterTest, ConnectsWhereTheClientWantedToGo) {
  apply({});
  const HostPtr host = pick(server.address());
  ASSERT_THAT(host, NotNull());
  TestPeer peer;
  use(host, &peer);
  EXPECT_EQ(pick(server.address()), host);
  use(host, &peer);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 1u);
}

TEST_F(OriginalDstClusterTest, KeepsHostsAndConnectionsOverUpdates) {
  apply({});
  const HostPtr host = pick(server.address());
  TestPeer peer;
  use(host, &peer);
  config.default_thresholds.max_requests = 5;
  apply({});
  settle();
  EXPECT_EQ(pick(server.address()), host);
  EXPECT_FALSE(peer.ended());
}

TEST_F(OriginalDstClusterTest, DropsHostsAndConnectionsWhenItBecomesAnotherKind) {
  apply({});
  const HostPtr host = pick(server.address());
  TestPeer peer;
  use(host, &peer);
  config.discovery = Discovery::Static;
  apply({endpoint("10.0.0.1")});
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_EQ(cluster().pick_host({})->address().ip_string(), "10.0.0.1");
}

TEST_F(OriginalDstClusterTest, ForgetsUnusedHosts) {
  config.cleanup_interval_ms = 10;
  apply({});
  std::weak_ptr<const Host> host = pick(*Address::from_ip("10.0.0.1", 80));
  run_until([&] { return host.expired(); });
}

TEST_F(OriginalDstClusterTest, InvalidDestinationsAreCounted) {
  config.original_dst_use_http_header = true;
  apply({});
  PickContext context;
  context.override_host_header = "somewhere";
  EXPECT_THAT(cluster().pick_host(context), IsNull());
  EXPECT_EQ(stat(ClusterStat::original_dst_host_invalid), 1u);
}

TEST_F(OriginalDstClusterTest, TheLoopGuardStopsTrafficToTheProxyItself) {
  map->set_loop_guard([this](const Address& address) { return address == server.address(); });
  apply({});
  EXPECT_THAT(pick(server.address()), IsNull());
  EXPECT_THAT(pick(server.address().with_port(1)), NotNull());
}

}  // namespace
}  // namespace remora::upstream
