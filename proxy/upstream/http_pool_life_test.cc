// The life of pooled HTTP/1.1 connections against servers on loopback: what servers do to them, and
// what updates of the configuration do.
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
using testing::TestServer;
using HttpPoolLifeTest = testing::HttpPoolTestBase;

TEST_F(HttpPoolLifeTest, WhoWantsAFreshConnectionGetsOne) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  TestRequest request(loop);
  request.start(cluster(), host(), Priority::Default, {.fresh = true});
  EXPECT_FALSE(request.immediate);
  run_until([&] { return request.sender != nullptr; });
  EXPECT_EQ(request.streams_before, 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 2u);
}

TEST_F(HttpPoolLifeTest, WithNoRoomForAFreshConnectionAnyWillDo) {
  config.default_thresholds.max_connections = 1;
  one_host();
  TestPeer peer;
  exchange(&peer);
  TestRequest request(loop);
  request.start(cluster(), host(), Priority::Default, {.fresh = true});
  run_until([&] { return request.sender != nullptr; });
  EXPECT_EQ(request.streams_before, 1u);
}

// --- what connections do ---

TEST_F(HttpPoolLifeTest, AnIdleConnectionThatTheServerClosesIsNeverHandedOut) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  peer.close();
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_remote), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_with_active_rq), 0u);
  TestRequest request(loop);
  request.start(cluster(), host());
  EXPECT_FALSE(request.immediate);
}

TEST_F(HttpPoolLifeTest, AnIdleConnectionThatTheServerResetsIsNeverHandedOut) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  peer.abort();
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_remote), 1u);
}

TEST_F(HttpPoolLifeTest, BytesThatNobodyAskedForCloseAnIdleConnection) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  peer.answer("poison");
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 1u);
}

TEST_F(HttpPoolLifeTest, AServersTimeoutMessageOnAnIdleConnectionIsNoError) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  peer.write("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 0u);
}

TEST_F(HttpPoolLifeTest, BytesBehindAnAnswerAreNotTheNextRequestsAnswer) {
  config.default_thresholds.max_connections = 1;
  one_host();
  TestRequest first(loop), waiting(loop);
  TestPeer peer = deliver(first);
  waiting.start(cluster(), host());
  peer.write(
      "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\noneHTTP/1.1 200 OK\r\ncontent-length: "
      "6\r\n\r\npoison");
  run_until([&] { return first.done(); });
  EXPECT_EQ(first.body, "one");
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 1u);
  run_until([&] { return waiting.sender != nullptr; });
  EXPECT_EQ(waiting.streams_before, 0u) << "the poisoned connection was reused";
  TestPeer second = server.accept();
  loop.run_once(0);
  second.read_head();
  second.answer("two");
  run_until([&] { return waiting.done(); });
  EXPECT_EQ(waiting.body, "two");
}

TEST_F(HttpPoolLifeTest, AnAnswerThatSaysCloseEndsTheConnection) {
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  peer.answer("last", "connection: close\r\n");
  run_until([&] { return request.done(); });
  settle();
  EXPECT_EQ(request.body, "last");
  EXPECT_TRUE(peer.ended());
  EXPECT_EQ(stat(ClusterStat::upstream_cx_close_notify), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_with_active_rq), 0u);
}

TEST_F(HttpPoolLifeTest, AnAnswerThatEndsWithTheConnectionIsWhole) {
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  peer.write("HTTP/1.1 200 OK\r\n\r\nall of it");
  peer.close();
  run_until([&] { return request.done(); });
  settle();
  EXPECT_TRUE(request.ended);
  EXPECT_EQ(request.body, "all of it");
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_remote), 1u);
}

TEST_F(HttpPoolLifeTest, AConnectionThatDiesUnderARequestResetsIt) {
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  peer.abort();
  run_until([&] { return request.done(); });
  EXPECT_EQ(request.reset_reason, http::ResetReason::ConnectionClosed);
  settle();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_remote_with_active_rq), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
  EXPECT_EQ(in_use(Resource::Requests), 0u);
}

TEST_F(HttpPoolLifeTest, AnAnswerCutShortIsABreachOfTheProtocolUnderARequest) {
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  peer.write("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf");
  peer.close();
  run_until([&] { return request.done(); });
  settle();
  EXPECT_EQ(request.reset_reason, http::ResetReason::IncompleteBody);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_remote_with_active_rq), 1u);
}

TEST_F(HttpPoolLifeTest, AnEndInPlaceOfAnAnswerIsNoBreachOfTheProtocol) {
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  peer.close();
  run_until([&] { return request.done(); });
  settle();
  EXPECT_EQ(request.reset_reason, http::ResetReason::ConnectionClosed);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_remote_with_active_rq), 1u);
}

TEST_F(HttpPoolLifeTest, NonsenseFromTheServerResetsTheRequestAndIsCounted) {
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  peer.write("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n");
  run_until([&] { return request.done(); });
  settle();
  EXPECT_EQ(request.reset_reason, http::ResetReason::ProtocolError);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
}

TEST_F(HttpPoolLifeTest, AbandoningARequestInFlightClosesItsConnection) {
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  request.abandon();
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_FALSE(request.done());
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_local_with_active_rq), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
  EXPECT_EQ(host()->counters.rq_active, 0u);
}

TEST_F(HttpPoolLifeTest, ALostConnectionIsReplacedForThoseWhoWait) {
  config.default_thresholds.max_connections = 1;
  one_host();
  TestRequest a(loop), b(loop);
  TestPeer peer = deliver(a);
  b.start(cluster(), host());
  peer.abort();
  run_until([&] { return b.sender != nullptr; });
  EXPECT_EQ(b.streams_before, 0u);
  EXPECT_TRUE(a.reset_reason.has_value());
}

// --- updates ---

TEST_F(HttpPoolLifeTest, HostsThatStayKeepTheirConnections) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  update_hosts({endpoint_at(server.address()), endpoint_at(*Address::from_ip("127.0.0.1", 1))});
  TestRequest request(loop);
  request.start(cluster(), host());
  EXPECT_TRUE(request.immediate);
}

TEST_F(HttpPoolLifeTest, AVanishedHostsIdleConnectionsCloseAtOnceAndBusyOnesAfterTheirRequest) {
  one_host();
  TestRequest idle_one(loop), busy_one(loop);
  TestPeer idle = deliver(idle_one);
  TestPeer busy = deliver(busy_one);
  idle.answer("idle");
  run_until([&] { return idle_one.done(); });
  const HostPtr gone = host();
  update_hosts({});
  settle();
  EXPECT_TRUE(idle.ended());
  EXPECT_FALSE(busy.ended());
  busy.answer("busy");
  run_until([&] { return busy_one.done(); });
  settle();
  EXPECT_EQ(busy_one.body, "busy");
  EXPECT_TRUE(busy.ended());
  EXPECT_EQ(gone->counters.cx_active, 0u);
  EXPECT_EQ(in_use(Resource::Pools), 0u);
}

TEST_F(HttpPoolLifeTest, WhoWaitsForAVanishedHostIsStillServed) {
  one_host();
  TestRequest request(loop);
  request.start(cluster(), host());
  update_hosts({});
  run_until([&] { return request.sender != nullptr; });
  TestPeer peer = server.accept();
  loop.run_once(0);
  peer.read_head();
  peer.answer("late");
  run_until([&] { return request.done(); });
  settle();
  EXPECT_EQ(request.body, "late");
  EXPECT_TRUE(peer.ended());
}

TEST_F(HttpPoolLifeTest, ALogicalHostKeepsItsConnectionsWhenItsAddressChanges) {
  config.discovery = Discovery::LogicalDns;
  TestServer other;
  EndpointConfig before = endpoint_at(server.address());
  before.hostname = "db";
  EndpointConfig after = endpoint_at(other.address());
  after.hostname = "db";
  apply({before});
  TestPeer peer;
  exchange(&peer);
  update_hosts({after});
  settle();
  EXPECT_FALSE(peer.ended());
  TestRequest warm(loop), fresh(loop);
  warm.start(cluster(), host());
  EXPECT_TRUE(warm.immediate);
  fresh.start(cluster(), host());
  run_until([&] { return fresh.sender != nullptr; });
  EXPECT_EQ(fresh.connection->host()->address(), other.address());
  EXPECT_TRUE(other.has_waiting());
}

TEST_F(HttpPoolLifeTest, ConnectionsToAHostThatFailsItsChecksAreUsedNoMore) {
  config.close_connections_on_host_health_failure = true;
  one_host();
  TestPeer idle;
  exchange(&idle);
  host()->set_check_flag(kCheckFailed, true);
  update_hosts({endpoint_at(server.address())});
  settle();
  EXPECT_TRUE(idle.ended());
  TestRequest request(loop);
  TestPeer busy = deliver(request);
  update_hosts({endpoint_at(server.address())});
  settle();
  busy.answer("done");
  run_until([&] { return request.done(); });
  settle();
  EXPECT_FALSE(busy.ended()) << "it has failed before, and panic uses it";
}

TEST_F(HttpPoolLifeTest, ARequestUnderWayToAHostThatFailsGoesOn) {
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  host()->set_ejected(true);
  update_hosts({endpoint_at(server.address())});
  peer.answer("done");
  run_until([&] { return request.done(); });
  settle();
  EXPECT_TRUE(peer.ended());
}

TEST_F(HttpPoolLifeTest, AConfigurationThatChangesNothingAboutConnectionsKeepsThem) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  config.default_thresholds.max_requests = 7;
  config.connect_timeout_ms = 1;
  one_host();
  TestRequest request(loop);
  request.start(cluster(), host());
  EXPECT_TRUE(request.immediate);
}

TEST_F(HttpPoolLifeTest, AConfigurationThatConnectsDifferentlyDrainsOldConnections) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  config.bind_to = *Address::from_ip("127.0.0.6", 0);
  one_host();
  settle();
  EXPECT_TRUE(peer.ended());
  TestRequest request(loop);
  TestPeer next = deliver(request);
  EXPECT_EQ(request.connection->connection().local_address().ip_string(), "127.0.0.6");
}

TEST_F(HttpPoolLifeTest, RemovingTheClusterLetsRequestsFinish) {
  one_host();
  TestRequest idle_one(loop), busy_one(loop), waiting_one(loop);
  TestPeer idle = deliver(idle_one);
  TestPeer busy = deliver(busy_one);
  idle.answer("idle");
  run_until([&] { return idle_one.done(); });
  Cluster& removed = cluster();
  map->remove("test");
  settle();
  EXPECT_EQ(map->find("test"), nullptr);
  EXPECT_EQ(map->retired_count(), 1u);
  EXPECT_TRUE(idle.ended());
  waiting_one.start(removed, host());
  EXPECT_EQ(waiting_one.failure, PoolFailure::ClusterGone);
  busy.answer("busy");
  run_until([&] { return busy_one.done(); });
  EXPECT_EQ(busy_one.body, "busy");
  settle();
  EXPECT_EQ(map->retired_count(), 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
}

TEST_F(HttpPoolLifeTest, TearingDownWithRequestsInFlightGivesAllCountsBack) {
  one_host();
  TestRequest busy(loop), waiting(loop);
  TestPeer peer = deliver(busy);
  waiting.start(cluster(), host());
  map.reset();
  EXPECT_EQ(busy.reset_reason, http::ResetReason::ConnectionClosed);
  waiting.pending.reset();
  settle();
  for (Resource resource :
       {Resource::Connections, Resource::Pending, Resource::Requests, Resource::Pools}) {
    EXPECT_EQ(in_use(resource), 0u) << static_cast<int>(resource);
  }
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
}

}  // namespace
}  // namespace remora::upstream
