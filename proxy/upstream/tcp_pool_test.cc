// Upstream TCP connections against servers on loopback.
#include "proxy/upstream/tcp_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/test_cluster.h"

namespace remora::upstream {
namespace {

using stats::ClusterStat;
using testing::ClusterTestBase;
using testing::endpoint_at;
using testing::TestPeer;
using testing::TestServer;

/// One session: waits for its connection, then is its handler.
class Session final : public TcpWaiter, public ConnectionHandler {
 public:
  void start(Cluster& cluster, const HostPtr& host) {
    TcpAcquired acquired = cluster.acquire_tcp(host, *this);
    pending = std::move(acquired.pending);
    if (pending == nullptr) failure = acquired.failure;
  }
  bool done() const { return connection != nullptr || failure; }

  std::unique_ptr<PendingRequest> pending;
  std::unique_ptr<TcpConnection> connection;
  std::optional<PoolFailure> failure;
  std::string failure_detail;
  std::string received;
  std::optional<CloseCause> closed;

 private:
  void on_tcp_ready(std::unique_ptr<TcpConnection> ready) override {
    pending.reset();
    connection = std::move(ready);
    connection->connection().set_handler(*this);
  }
  void on_tcp_failure(PoolFailure reason, std::string_view detail, const HostPtr&) override {
    pending.reset();
    failure = reason;
    failure_detail = std::string(detail);
  }
  void on_connected() override { ADD_FAILURE() << "connected before it was handed over"; }
  void on_data(Buffer& data, bool) override {
    received += data.to_string();
    data.clear();
    connection->count_bytes();
  }
  void on_closed(CloseCause cause) override { closed = cause; }
  void on_write_high_water() override {}
  void on_write_low_water() override {}
};

class TcpPoolTest : public ClusterTestBase {
 protected:
  Cluster& one_host() { return apply({endpoint_at(server.address())}); }
  TestPeer connect(Session& session) {
    session.start(cluster(), host());
    run_until([&] { return session.done(); });
    return server.accept();
  }
  void write(Session& session, std::string_view text) {
    Buffer data(loop.blocks());
    data.append(text);
    session.connection->connection().write(data, false);
  }
};

TEST_F(TcpPoolTest, AConnectionIsHandedOverWhenItStands) {
  one_host();
  Session session;
  session.start(cluster(), host());
  ASSERT_NE(session.pending, nullptr);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_active), 1u);
  run_until([&] { return session.done(); });
  ASSERT_NE(session.connection, nullptr);
  EXPECT_EQ(session.connection->host(), host());
  EXPECT_EQ(session.connection->connection().peer_address(), server.address());
  EXPECT_NE(session.connection->connection().id(), 0u);

  TestPeer peer = server.accept();
  write(session, "hello");
  settle();
  EXPECT_EQ(peer.read_until("hello"), "hello");
  peer.write("welcome");
  run_until([&] { return session.received == "welcome"; });

  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_total), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_active), 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_rx_bytes_total), 7u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_tx_bytes_total), 5u);
  EXPECT_EQ(host()->counters.cx_active, 1u);
}

TEST_F(TcpPoolTest, BytesOfAServerThatSpeaksFirstAreNotLost) {
  one_host();
  Session session;
  session.start(cluster(), host());
  TestPeer peer = server.accept();
  peer.write("banner");
  run_until([&] { return session.received == "banner"; });
}

TEST_F(TcpPoolTest, DestroyingTheConnectionClosesItAndGivesTheCountsBack) {
  one_host();
  Session session;
  TestPeer peer = connect(session);
  session.connection.reset();
  EXPECT_FALSE(session.closed) << "its user asked for it";
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_local), 1u);
  EXPECT_EQ(in_use(Resource::Connections), 0u);
  EXPECT_EQ(in_use(Resource::Requests), 0u);
  EXPECT_EQ(host()->counters.cx_active, 0u);
}

TEST_F(TcpPoolTest, AConnectionThatThePeerResetCountsAsRemote) {
  one_host();
  Session session;
  TestPeer peer = connect(session);
  peer.abort();
  run_until([&] { return session.closed.has_value(); });
  EXPECT_EQ(session.closed, CloseCause::RemoteReset);
  session.connection.reset();
  settle();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_remote), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
}

TEST_F(TcpPoolTest, ARefusedConnectionFailsTheSession) {
  one_host();
  server.stop();
  Session session;
  session.start(cluster(), host());
  run_until([&] { return session.done(); });
  EXPECT_EQ(session.failure, PoolFailure::ConnectFailed);
  EXPECT_EQ(session.failure_detail, "delayed connect error: Connection refused");
  settle();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_fail), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_failure_eject), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_total), 0u);
  EXPECT_EQ(in_use(Resource::Connections), 0u);
  EXPECT_EQ(in_use(Resource::Pending), 0u);
}

TEST_F(TcpPoolTest, AConnectThatTakesTooLongTimesOut) {
  TestServer full(0);
  full.fill_queue();
  config.connect_timeout_ms = 30;
  apply({endpoint_at(full.address())});
  Session session;
  session.start(cluster(), host());
  run_until([&] { return session.done(); });
  EXPECT_EQ(session.failure, PoolFailure::ConnectTimeout);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_timeout), 1u);
}

TEST_F(TcpPoolTest, GivingUpWhileConnectingClosesTheConnection) {
  one_host();
  Session session;
  session.start(cluster(), host());
  session.pending.reset();
  settle();
  EXPECT_FALSE(session.done());
  EXPECT_EQ(stat(ClusterStat::upstream_rq_cancelled), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_fail), 0u);
  EXPECT_EQ(in_use(Resource::Connections), 0u);
  EXPECT_EQ(in_use(Resource::Pending), 0u);
}

TEST_F(TcpPoolTest, ConnectionsBeyondTheLimitOverflow) {
  config.default_thresholds.max_connections = 1;
  one_host();
  Session first, second;
  TestPeer peer = connect(first);
  second.start(cluster(), host());
  EXPECT_EQ(second.failure, PoolFailure::Overflow);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_overflow), 1u);
  first.connection.reset();
  settle();
  Session third;
  third.start(cluster(), host());
  EXPECT_NE(third.pending, nullptr);
}

TEST_F(TcpPoolTest, SessionsOutliveTheHostAndTheCluster) {
  one_host();
  Session session;
  TestPeer peer = connect(session);
  update_hosts({});
  map->remove("test");
  settle();
  EXPECT_EQ(map->retired_count(), 1u);
  peer.write("still here");
  run_until([&] { return session.received == "still here"; });
  session.connection.reset();
  settle();
  EXPECT_EQ(map->retired_count(), 0u);
}

TEST_F(TcpPoolTest, UnhealthyHostsConnectionsCloseWhenSoConfigured) {
  config.close_connections_on_host_health_failure = true;
  one_host();
  Session session;
  TestPeer peer = connect(session);
  host()->set_check_flag(kCheckFailed, true);
  update_hosts({endpoint_at(server.address())});
  EXPECT_EQ(session.closed, CloseCause::LocalClose);
  session.connection.reset();
}

TEST_F(TcpPoolTest, OtherwiseTheyStay) {
  one_host();
  Session session;
  TestPeer peer = connect(session);
  host()->set_check_flag(kCheckFailed, true);
  update_hosts({endpoint_at(server.address())});
  peer.write("still here");
  run_until([&] { return session.received == "still here"; });
  session.connection.reset();
}

TEST_F(TcpPoolTest, WhatDiscoverySaysOfHealthClosesNone) {
  config.close_connections_on_host_health_failure = true;
  one_host();
  Session session;
  TestPeer peer = connect(session);
  EndpointConfig sick = endpoint_at(server.address());
  sick.health = Health::Unhealthy;
  update_hosts({sick});
  peer.write("still here");
  run_until([&] { return session.received == "still here"; });
  session.connection.reset();
}

TEST_F(TcpPoolTest, SessionsMayOutliveTheMap) {
  one_host();
  Session open, connecting;
  TestPeer peer = connect(open);
  connecting.start(cluster(), host());
  map.reset();
  open.connection.reset();
  connecting.pending.reset();
  settle();
  EXPECT_EQ(in_use(Resource::Connections), 0u);
}

// --- connections made ahead ---

class TcpAheadTest : public TcpPoolTest {
 protected:
  void ahead(double of_host, double of_cluster = 1) {
    BalancingConfig balancing;
    balancing.preconnect = {of_host, of_cluster};
    config.balancing = std::make_shared<BalancingConfig>(balancing);
  }
  uint64_t made() { return stat(ClusterStat::upstream_cx_total); }
  uint64_t open() { return stat(ClusterStat::upstream_cx_active); }
  /// One session; what was made ahead stands too.
  void first(Session& session) {
    session.start(cluster(), host());
    run_until([&] { return session.done(); });
    settle();
  }
};

TEST_F(TcpAheadTest, ASessionTakesAConnectionThatStands) {
  ahead(1.5);
  one_host();
  Session one, two;
  first(one);
  EXPECT_EQ(made(), 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_total), 1u);
  TestPeer own = server.accept(), spare = server.accept();
  spare.write("banner");
  settle();
  two.start(cluster(), host());
  ASSERT_NE(two.pending, nullptr);
  EXPECT_FALSE(two.done()) << "nobody is called from inside";
  run_until([&] { return two.received == "banner"; });
  EXPECT_EQ(made(), 3u) << "one more is there for a third";
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_total), 1u) << "the second did not wait";
  EXPECT_EQ(in_use(Resource::Pending), 0u);
  two.connection.reset();
  one.connection.reset();
  settle();
  EXPECT_EQ(open(), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
  EXPECT_EQ(in_use(Resource::Connections), 1u);
}

TEST_F(TcpAheadTest, AnEndOfThePeerReachesWhoTookTheConnection) {
  ahead(2);
  one_host();
  Session one, two;
  first(one);
  TestPeer own = server.accept(), spare = server.accept();
  two.start(cluster(), host());
  run_until([&] { return two.done(); });
  spare.write("last");
  spare.abort();
  run_until([&] { return two.closed.has_value(); });
}

TEST_F(TcpAheadTest, WhatThePeerClosesIsLetGo) {
  ahead(2);
  one_host();
  Session one;
  first(one);
  TestPeer own = server.accept();
  { TestPeer spare = server.accept(); }
  run_until([&] { return open() == 1; });
  EXPECT_EQ(in_use(Resource::Connections), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_fail), 0u);
}

TEST_F(TcpAheadTest, AnUnusedOneGoesInTheEnd) {
  ahead(2);
  one_host();
  Session one;
  first(one);
  update_hosts({});
  settle();
  EXPECT_EQ(open(), 1u) << "with its host; the session stays";
  one.connection.reset();
  settle();
  EXPECT_EQ(in_use(Resource::Connections), 0u);
}

TEST_F(TcpAheadTest, ARemovedClusterKeepsNone) {
  ahead(3);
  one_host();
  Session one;
  first(one);
  EXPECT_EQ(open(), 3u);
  map->remove("test");
  settle();
  EXPECT_EQ(open(), 1u);
  one.connection.reset();
  settle();
  EXPECT_EQ(in_use(Resource::Connections), 0u);
}

TEST_F(TcpAheadTest, CircuitBreakersBoundIt) {
  ahead(3);
  config.default_thresholds.max_connections = 2;
  one_host();
  Session one;
  first(one);
  EXPECT_EQ(made(), 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_overflow), 1u);
}

TEST_F(TcpAheadTest, TheHostNextInTurnIsConnectedBefore) {
  TestServer second, third;
  ahead(1, 2);
  apply(
      {endpoint_at(server.address()), endpoint_at(second.address()), endpoint_at(third.address())});
  Session one;
  const HostPtr chosen = cluster().pick_host({});
  one.start(cluster(), chosen);
  run_until([&] { return one.done(); });
  EXPECT_EQ(made(), 3u) << "the session's, and two foretold";
  const HostPtr next = cluster().pick_host({});
  EXPECT_NE(next, chosen);
  EXPECT_EQ(next->counters.cx_total.load(), 1u);
}

}  // namespace
}  // namespace remora::upstream
