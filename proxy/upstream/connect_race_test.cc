// Hosts with several addresses, and connections made ahead, against servers on loopback.
#include "proxy/upstream/connect_race.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/upstream/address_order.h"
#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/test_cluster.h"

namespace remora::upstream {
namespace {

using stats::ClusterStat;
using testing::ClusterTestBase;
using ::testing::ElementsAre;
using testing::endpoint_at;
using testing::HttpPoolTestBase;
using testing::TestPeer;
using testing::TestRequest;
using testing::TestServer;

Address ip(const std::string& text) { return *Address::from_ip(text, 80); }

std::vector<std::string> ordered(std::vector<std::string> addresses, const AddressOrder& order) {
  EndpointConfig endpoint;
  endpoint.address = ip(addresses.front());
  for (size_t i = 1; i < addresses.size(); ++i) {
    endpoint.extras.edit().more_addresses.push_back(ip(addresses[i]));
  }
  std::vector<std::string> out;
  for (const Address& address : addresses_in_order(endpoint, order)) {
    out.push_back(address.ip_string());
  }
  return out;
}

TEST(AddressOrder, FamiliesTakeTurns) {
  const std::vector<std::string> mixed = {"1.1.1.1", "2.2.2.2", "3.3.3.3", "::1", "::2"};
  EXPECT_THAT(ordered(mixed, {}), ElementsAre("1.1.1.1", "::1", "2.2.2.2", "::2", "3.3.3.3"));
  EXPECT_THAT(ordered(mixed, {Address::Family::V6, 1}),
              ElementsAre("::1", "1.1.1.1", "::2", "2.2.2.2", "3.3.3.3"));
  EXPECT_THAT(ordered(mixed, {Address::Family::V4, 2}),
              ElementsAre("1.1.1.1", "2.2.2.2", "::1", "3.3.3.3", "::2"));
  EXPECT_THAT(ordered({"1.1.1.1"}, {Address::Family::V6, 1}), ElementsAre("1.1.1.1"));
}

/// An address at which nobody listens.
Address closed_address() { return TestServer().address(); }

/// An address that never answers: its server takes no more connections.
class Silence {
 public:
  Silence() {
    ListenOptions options;
    options.backlog = 0;
    listener_ = *listen_on(*Address::from_ip("127.0.0.1", 0), options);
    address_ = local_address_of(listener_.fd());
    for (int i = 0; i < 3; ++i) {
      int error = 0;
      fill_.push_back(connect_to(address_, {}, &error));
      if (!is_connected(fill_.back().fd())) return;
    }
  }
  const Address& address() const { return address_; }

 private:
  static bool is_connected(int fd) {
    pollfd ready = {fd, POLLOUT, 0};
    return ::poll(&ready, 1, 100) == 1;
  }
  Socket listener_;
  Address address_;
  std::vector<Socket> fill_;
};

class ConnectRaceTest : public HttpPoolTestBase {
 protected:
  Cluster& host_at(const Address& first, std::vector<Address> more) {
    EndpointConfig endpoint = endpoint_at(first);
    endpoint.extras.edit().more_addresses = std::move(more);
    return apply({endpoint});
  }
  void start(TestRequest& request) {
    request.start(cluster(), host());
    run_until([&] { return request.sender != nullptr || request.failure; });
  }
};

TEST_F(ConnectRaceTest, TheNextAddressFollowsARefusal) {
  host_at(closed_address(), {closed_address(), server.address()});
  TestRequest request(loop);
  start(request);
  ASSERT_NE(request.sender, nullptr);
  EXPECT_EQ(request.connection->connection().peer_address(), server.address());
  TestPeer peer = server.accept();
  loop.run_once(0);
  peer.read_head();
  peer.answer("ok");
  run_until([&] { return request.done(); });
  EXPECT_EQ(request.body, "ok");
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 3u) << "every attempt";
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_fail), 0u);
}

TEST_F(ConnectRaceTest, WhenAllRefuseTheConnectionFails) {
  host_at(closed_address(), {closed_address()});
  TestRequest request(loop);
  start(request);
  EXPECT_EQ(request.failure, PoolFailure::ConnectFailed);
  EXPECT_EQ(request.failure_detail, "") << "each attempt may have failed for another reason";
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_fail), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
  EXPECT_EQ(in_use(Resource::Connections), 0u);
}

TEST_F(ConnectRaceTest, TheNextAddressIsTriedBesideASilentOne) {
  Silence silence;
  host_at(silence.address(), {server.address()});
  loop.run_once(0);  // its clock stood still meanwhile
  const uint64_t began = monotonic_now_ms();
  TestRequest request(loop);
  start(request);
  ASSERT_NE(request.sender, nullptr);
  EXPECT_GE(monotonic_now_ms() - began, 290u);
  EXPECT_EQ(request.connection->connection().peer_address(), server.address());
}

TEST_F(ConnectRaceTest, TheTimeIsForAllAttempts) {
  Silence silence, another;
  config.connect_timeout_ms = 400;
  host_at(silence.address(), {another.address()});
  TestRequest request(loop);
  start(request);
  EXPECT_EQ(request.failure, PoolFailure::ConnectTimeout);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_timeout), 1u);
  EXPECT_EQ(in_use(Resource::Connections), 0u);
}

TEST_F(ConnectRaceTest, ARaceMayBeGivenUp) {
  Silence silence;
  host_at(silence.address(), {server.address()});
  {
    TestRequest request(loop);
    request.start(cluster(), host());
  }
  update_hosts({});
  settle();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
  EXPECT_EQ(in_use(Resource::Connections), 0u);
}

class TcpSession final : public TcpWaiter {
 public:
  void on_tcp_ready(std::unique_ptr<TcpConnection> ready) override {
    connection = std::move(ready);
  }
  void on_tcp_failure(PoolFailure reason, std::string_view, const HostPtr&) override {
    failure = reason;
  }
  std::unique_ptr<TcpConnection> connection;
  std::optional<PoolFailure> failure;
};

TEST_F(ConnectRaceTest, TcpConnectionsRaceToo) {
  host_at(closed_address(), {server.address()});
  TcpSession session;
  TcpAcquired acquired = cluster().acquire_tcp(host(), session);
  run_until([&] { return session.connection != nullptr || session.failure; });
  ASSERT_NE(session.connection, nullptr);
  EXPECT_EQ(session.connection->connection().peer_address(), server.address());
  session.connection.reset();
  EXPECT_EQ(in_use(Resource::Connections), 0u);
}

TEST_F(ConnectRaceTest, ATcpRaceMayBeGivenUp) {
  Silence silence;
  host_at(silence.address(), {server.address()});
  TcpSession session;
  TcpAcquired acquired = cluster().acquire_tcp(host(), session);
  loop.run_once(0);
  acquired.pending.reset();
  settle();
  EXPECT_EQ(in_use(Resource::Connections), 0u);
}

// --- connections made ahead ---

class PreconnectTest : public HttpPoolTestBase {
 protected:
  void expect(double of_host, double of_cluster) {
    BalancingConfig balancing;
    balancing.preconnect = {of_host, of_cluster};
    config.balancing = std::make_shared<BalancingConfig>(balancing);
  }
  uint64_t connections_for_one_request() {
    const uint64_t before = stat(ClusterStat::upstream_cx_total);
    TestRequest request(loop);
    request.start(cluster(), host());
    run_until([&] { return request.sender != nullptr; });
    settle();
    return stat(ClusterStat::upstream_cx_total) - before;
  }
};

TEST_F(PreconnectTest, AHostGetsRoomForMoreThanIsAsked) {
  for (const auto& [ratio, connections] : {std::pair(1.0, 1), {1.5, 2}, {2.0, 2}, {3.0, 3}}) {
    map->remove("test");
    shared.reset();
    expect(ratio, 1);
    one_host();
    EXPECT_EQ(connections_for_one_request(), connections) << ratio;
  }
}

TEST_F(PreconnectTest, CircuitBreakersBoundWhatIsAhead) {
  expect(3, 1);
  config.default_thresholds.max_connections = 2;
  one_host();
  EXPECT_EQ(connections_for_one_request(), 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_overflow), 1u);
}

TEST_F(PreconnectTest, WhoIsUnwellGetsNoMoreThanIsAsked) {
  expect(3, 1);
  EndpointConfig endpoint = endpoint_at(server.address());
  endpoint.health = Health::Unhealthy;
  apply({endpoint});
  EXPECT_EQ(connections_for_one_request(), 1u);
}

TEST_F(PreconnectTest, TheHostNextInTurnIsConnectedBefore) {
  TestServer second, third;
  expect(1, 2);
  apply(
      {endpoint_at(server.address()), endpoint_at(second.address()), endpoint_at(third.address())});
  const HostPtr first = cluster().pick_host({});
  TestRequest request(loop);
  request.start(cluster(), first);
  run_until([&] { return request.sender != nullptr; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 3u) << "the request's, and two foretold";
  const HostPtr next = cluster().pick_host({});
  EXPECT_NE(next, first);
  EXPECT_EQ(next->counters.cx_total.load(), 1u) << "the one that was foretold";
}

}  // namespace
}  // namespace remora::upstream
