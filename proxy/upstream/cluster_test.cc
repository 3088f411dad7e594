// Clusters and their map: choosing hosts, retries, updates, removal, original destinations.
#include "proxy/upstream/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/metadata_criteria.h"
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

TEST_F(ClusterTest, IsMadeWhenFirstAskedForOfWhatCameLast) {
  const auto made = [this] {
    int count = 0;
    map->for_each([&count](Cluster&) { ++count; });
    return count;
  };
  shared = std::make_shared<ClusterShared>(config, *store);
  hosts = make_host_set(testing::assignment({testing::locality({endpoint("10.0.0.1")})}), nullptr);
  const uint64_t generation = map->generation();
  map->update(std::make_shared<ClusterConfig>(config), shared, hosts);
  config.connect_timeout_ms = 1;
  map->update(std::make_shared<ClusterConfig>(config), shared, hosts);
  update_hosts({endpoint("10.0.0.2")});
  EXPECT_EQ(map->generation(), generation + 3);
  EXPECT_EQ(map->size(), 1u);
  EXPECT_EQ(made(), 0);
  EXPECT_EQ(cluster().config().connect_timeout_ms, 1u);
  EXPECT_EQ(cluster().pick_host({}), host());
  EXPECT_EQ(made(), 1);
  map->update(std::make_shared<ClusterConfig>(config),
              std::make_shared<ClusterShared>(config, *store), hosts);
  EXPECT_EQ(made(), 0) << "other statistics";
  map->remove("test");
  EXPECT_THAT(map->find("test"), IsNull());
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

TEST_F(ClusterTest, ARetryMayAvoidHostsForWhatTheyAre) {
  EndpointConfig canary = endpoint("10.0.0.1");
  canary.canary = true;
  EndpointConfig labelled = endpoint("10.0.0.2");
  HostLabels labels;
  labels.fields.emplace("version", MetadataList{std::string("1"), std::string("2")});
  labelled.extras.edit().labels = std::make_shared<const HostLabels>(labels);
  const std::vector<EndpointConfig> all = {canary, labelled, endpoint("10.0.0.3")};
  apply(all);
  const std::vector<MetadataStruct> avoided = {{{"version", std::string("2")}}};
  std::set<std::string> seen;
  PickContext context;
  context.avoid_canaries = true;
  context.avoid_labels = &avoided;
  context.max_attempts = 100;
  for (int i = 0; i < 20; ++i) seen.insert(cluster().pick_host(context)->address().ip_string());
  EXPECT_EQ(seen, std::set<std::string>{"10.0.0.3"});
  apply({canary});
  EXPECT_THAT(cluster().pick_host(context), NotNull()) << "there is no other";
}

TEST_F(ClusterTest, AHostMayBeAskedForByAddress) {
  EndpointConfig draining = endpoint("10.0.0.3", 80, 1, Health::Unhealthy);
  draining.status = EndpointStatus::Draining;
  draining.draining = true;
  const std::vector<EndpointConfig> all = {endpoint("10.0.0.1"),
                                           endpoint("10.0.0.2", 80, 1, Health::Degraded), draining};
  apply(all);
  PickContext context;
  const auto chosen = [&](std::string_view address) {
    context.override_host = address;
    const HostPtr host = cluster().pick_host(context);
    return host == nullptr ? std::string("nobody") : host->address().ip_string();
  };
  EXPECT_EQ(chosen("10.0.0.2:80"), "10.0.0.2") << "degraded, but it was asked for";
  EXPECT_NE(chosen("10.0.0.3:80"), "10.0.0.3") << "it drains";
  EXPECT_NE(chosen("10.0.0.9:80"), "nobody") << "there is no such host, so another";
  context.override_host_strict = true;
  EXPECT_EQ(chosen("10.0.0.3:80"), "nobody");
  EXPECT_EQ(chosen("10.0.0.9:80"), "nobody");
  EXPECT_NE(chosen(""), "nobody") << "nobody was asked for";
  BalancingConfig balancing;
  balancing.override_host_status = 1 << static_cast<uint32_t>(EndpointStatus::Draining);
  config.balancing = std::make_shared<BalancingConfig>(balancing);
  apply(all);
  EXPECT_EQ(chosen("10.0.0.3:80"), "10.0.0.3");
  EXPECT_EQ(chosen("10.0.0.1:80"), "nobody");
}

/// The members of an aggregate cluster in one map.
class AggregateTest : public ClusterTestBase {
 protected:
  void add(const std::string& name, std::vector<LocalityEndpoints> localities) {
    ClusterConfig member;
    member.name = name;
    const auto set = make_host_set(testing::assignment(std::move(localities)), nullptr, member);
    map->update(std::make_shared<ClusterConfig>(member),
                std::make_shared<ClusterShared>(member, *store), set);
  }
  void aggregate(std::vector<std::string> members) {
    BalancingConfig balancing;
    balancing.members = std::move(members);
    config.balancing = std::make_shared<BalancingConfig>(std::move(balancing));
    apply_sets({});
  }
  /// How often each host was chosen.
  std::map<std::string, int> spread(int picks = 1'000) {
    std::map<std::string, int> counts;
    for (int i = 0; i < picks; ++i) {
      PickContext context;
      const HostPtr host = cluster().member_for(context).pick_host(context);
      ++counts[host == nullptr ? "nobody" : host->address().ip_string()];
    }
    return counts;
  }
};

TEST_F(AggregateTest, MembersServeInOrderOfPreference) {
  add("first", {mixed(1, 0, 1, 0), mixed(1, 0, 0, 1)});
  add("second", {testing::locality({endpoint("10.9.0.1")})});
  aggregate({"first", "missing", "second"});
  auto counts = spread();
  EXPECT_NEAR(counts["10.0.0.1"], 700, 60) << "50% healthy";
  EXPECT_NEAR(counts["10.1.0.1"], 300, 60) << "the same cluster's next priority";
  EXPECT_EQ(counts.size(), 2u);
  add("first", {mixed(0, 0, 2, 0)});
  EXPECT_EQ(spread()["10.9.0.1"], 1'000) << "a change of a member counts at once";
  map->remove("second");
  EXPECT_EQ(spread().count("10.9.0.1"), 0u);
}

TEST_F(AggregateTest, WithoutHostsThereIsNobody) {
  aggregate({"missing"});
  EXPECT_EQ(spread(10)["nobody"], 10);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_none_healthy), 10u);
}

TEST_F(ClusterTest, ConnectionsMayEndWhenHostsChange) {
  BalancingConfig balancing;
  balancing.close_connections_on_host_set_change = true;
  config.balancing = std::make_shared<BalancingConfig>(balancing);
  apply({endpoint_at(server.address())});
  TestPeer peer;
  exchange(&peer);
  update_hosts({endpoint_at(server.address())});
  settle();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 1u) << "the same hosts";
  update_hosts({endpoint_at(server.address()), endpoint("10.0.0.2")});
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
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
