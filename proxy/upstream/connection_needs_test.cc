// Connections that only some requests may use, and connections that are ended from outside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/upstream/http_pool.h"
#include "proxy/upstream/test_cluster.h"

namespace remora::upstream {
namespace {

using stats::ClusterStat;
using testing::endpoint_at;
using testing::TestPeer;
using testing::TestRequest;

/// A transport factory that remembers what it was asked for.
class AskedFactory final : public TransportFactory {
 public:
  std::unique_ptr<Transport> make(int fd, const TransportOptions& options) const override {
    names.emplace_back(options.server_name);
    protocols.emplace_back(options.alpn);
    hosts.emplace_back(options.host_name);
    return raw_transport_factory()->make(fd, options);
  }
  bool secure() const override { return false; }

  mutable std::vector<std::string> names, protocols, hosts;
};

class ConnectionNeedsTest : public testing::HttpPoolTestBase {
 protected:
  /// One whole request with `needs`; leaves the connection idle.
  void exchange_for(std::string_view key, TestPeer* peer) {
    ConnectionNeeds needs;
    needs.key = needs.server_name = key;
    TestRequest request(loop);
    request.start(cluster(), host(), Priority::Default, needs);
    run_until([&] { return request.sender != nullptr || request.failure; });
    if (!request.immediate) *peer = server.accept();
    loop.run_once(0);
    peer->read_head();
    peer->answer("ok");
    run_until([&] { return request.done(); });
    EXPECT_EQ(request.body, "ok");
  }
  void end_all(Ending how) {
    cluster().end_connections([](const Transport&) { return true; }, how);
  }
};

TEST_F(ConnectionNeedsTest, RequestsWithDifferentNeedsShareNoConnection) {
  auto factory = std::make_shared<AskedFactory>();
  config.transport = factory;
  one_host();
  TestPeer anybody, one, other;
  exchange(&anybody);
  exchange_for("one", &one);
  exchange_for("other", &other);
  exchange_for("one", &one);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 3u);
  EXPECT_THAT(factory->names, ::testing::ElementsAre("", "one", "other"));
  EXPECT_THAT(factory->protocols, ::testing::Each("http/1.1"));
}

TEST_F(ConnectionNeedsTest, APoolForSomeGoesWithItsLastConnection) {
  one_host();
  TestPeer peer;
  exchange_for("one", &peer);
  EXPECT_EQ(in_use(Resource::Pools), 1u);
  peer.close();
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  settle();
  EXPECT_EQ(in_use(Resource::Pools), 0u);
  TestPeer again;
  exchange_for("one", &again);
  EXPECT_EQ(in_use(Resource::Pools), 1u);
}

TEST_F(ConnectionNeedsTest, APoolForSomeDrainsWithItsHost) {
  one_host();
  TestPeer peer;
  exchange_for("one", &peer);
  update_hosts({});
  settle();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
  EXPECT_EQ(in_use(Resource::Pools), 0u);
}

TEST_F(ConnectionNeedsTest, ConnectionsThatAreEndedPolitelyFinishTheirRequests) {
  one_host();
  TestPeer idle, busy;
  exchange(&idle);
  exchange_for("one", &busy);
  ConnectionNeeds needs;
  needs.key = "one";
  TestRequest request(loop);
  request.start(cluster(), host(), Priority::Default, needs);
  ASSERT_TRUE(request.immediate);
  end_all(Ending::Politely);
  settle();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 1u) << "the idle one is closed";
  busy.read_head();
  busy.answer("ok");
  run_until([&] { return request.done(); });
  EXPECT_EQ(request.body, "ok");
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
}

TEST_F(ConnectionNeedsTest, ConnectionsThatAreEndedAtOnceResetTheirRequests) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  TestRequest request(loop);
  request.start(cluster(), host());
  ASSERT_TRUE(request.immediate);
  end_all(Ending::AtOnce);
  EXPECT_TRUE(request.reset_reason);
  settle();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
}

TEST(TransportMatchTest, TheFirstWhoseCriteriaTheHostHasServesIt) {
  ClusterConfig config;
  config.transport_matches = {{"tls", {{"mode", "tls"}, {"zone", "a"}}, nullptr},
                              {"rest", {}, nullptr}};
  EXPECT_EQ(config.transport_for({{"mode", {"tls"}}, {"zone", {"b", "a"}}}), 1u);
  EXPECT_EQ(config.transport_for({{"mode", {"tls"}}}), 2u);
  EXPECT_EQ(config.transport_for({}), 2u);
  config.transport_matches.pop_back();
  EXPECT_EQ(config.transport_for({}), 0u);
}

}  // namespace
}  // namespace remora::upstream
