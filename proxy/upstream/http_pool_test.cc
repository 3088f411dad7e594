// Pools of HTTP/1.1 connections against servers on loopback: who gets which connection, what is
// counted, and what happens when a connection fails, lies or goes away.
#include "proxy/upstream/http_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "proxy/upstream/test_cluster.h"

namespace {
size_t allocations = 0;
}

[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace remora::upstream {
namespace {

using stats::ClusterStat;
using testing::ClusterTestBase;
using testing::endpoint_at;
using testing::TestPeer;
using testing::TestRequest;
using testing::TestServer;

class HttpPoolTest : public ClusterTestBase {
 protected:
  Cluster& one_host() { return apply({endpoint_at(server.address())}); }

  /// Starts `request` and waits until the server has read it.
  TestPeer deliver(TestRequest& request) {
    request.start(cluster(), host());
    run_until([&] { return request.sender != nullptr; });
    TestPeer peer = server.accept();
    loop.run_once(0);
    EXPECT_THAT(peer.read_head(), ::testing::StartsWith("GET / HTTP/1.1\r\n"));
    return peer;
  }
};

TEST_F(HttpPoolTest, AFirstRequestWaitsForItsConnectionAndTheNextReusesIt) {
  one_host();
  TestRequest first(loop);
  TestPeer peer = deliver(first);
  EXPECT_FALSE(first.immediate);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 1u);
  EXPECT_EQ(host()->counters.rq_active, 1u);
  peer.answer("one");
  run_until([&] { return first.done(); });
  EXPECT_EQ(first.body, "one");
  EXPECT_EQ(first.streams_before, 0u);

  TestRequest second(loop);
  second.start(cluster(), host());
  EXPECT_TRUE(second.immediate);
  EXPECT_EQ(second.streams_before, 1u);
  loop.run_once(0);
  peer.read_head();
  peer.answer("two");
  run_until([&] { return second.done(); });
  EXPECT_EQ(second.body, "two");

  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_http1_total), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_total), 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_total), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_active), 0u);
  EXPECT_GT(stat(ClusterStat::upstream_cx_rx_bytes_total), 0u);
  EXPECT_GT(stat(ClusterStat::upstream_cx_tx_bytes_total), 0u);
  EXPECT_EQ(host()->counters.rq_total, 2u);
  EXPECT_EQ(host()->counters.rq_active, 0u);
  EXPECT_EQ(host()->counters.cx_active, 1u);
  EXPECT_EQ(in_use(Resource::Connections), 1u);
  EXPECT_EQ(in_use(Resource::Pending), 0u);
  EXPECT_EQ(in_use(Resource::Requests), 0u);
}

TEST_F(HttpPoolTest, AWarmConnectionIsHadWithoutAllocation) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  TestRequest request(loop);
  const size_t before = allocations;
  Acquired acquired = cluster().acquire_http(host(), Priority::Default, request);
  ASSERT_NE(acquired.ready, nullptr);
  http::StreamSender& sender = acquired.ready->new_stream(request);
  sender.reset(http::ResetReason::LocalReset);  // nothing was sent: the connection stays
  settle();
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy), 0u);
  TestRequest again(loop);
  again.start(cluster(), host());
  EXPECT_TRUE(again.immediate);
}

TEST_F(HttpPoolTest, RequestsAtOnceGetConnectionsOfTheirOwnAndTheLastUsedIsFirstReused) {
  one_host();
  TestRequest a(loop), b(loop);
  TestPeer peer_a = deliver(a);
  TestPeer peer_b = deliver(b);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 2u);
  peer_b.answer("b");
  run_until([&] { return b.done(); });
  peer_a.answer("a");
  run_until([&] { return a.done(); });

  TestRequest next(loop);
  next.start(cluster(), host());
  loop.run_once(0);
  EXPECT_THAT(peer_a.read_head(), ::testing::HasSubstr("GET"));
}

TEST_F(HttpPoolTest, PrioritiesHaveConnectionsAndLimitsOfTheirOwn) {
  config.high_thresholds.max_requests = 0;
  one_host();
  TestPeer peer;
  exchange(&peer);
  TestRequest high(loop);
  high.start(cluster(), host(), Priority::High);
  EXPECT_FALSE(high.immediate);
  run_until([&] { return high.done(); });
  EXPECT_EQ(high.failure, PoolFailure::Overflow);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 2u);
}

// --- limits ---

TEST_F(HttpPoolTest, TooManyWaitingRequestsOverflow) {
  config.default_thresholds.max_pending_requests = 1;
  one_host();
  TestRequest a(loop), b(loop);
  a.start(cluster(), host());
  b.start(cluster(), host());
  EXPECT_NE(a.pending, nullptr);
  EXPECT_EQ(b.failure, PoolFailure::Overflow);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_overflow), 1u);
}

TEST_F(HttpPoolTest, TooManyRequestsInFlightOverflow) {
  config.default_thresholds.max_requests = 1;
  one_host();
  TestPeer idle;
  exchange(&idle);
  TestRequest a(loop), b(loop);
  a.start(cluster(), host());
  EXPECT_TRUE(a.immediate);
  b.start(cluster(), host());  // waits for a connection, and finds the limit reached when it comes
  run_until([&] { return b.done(); });
  EXPECT_EQ(b.failure, PoolFailure::Overflow);
  EXPECT_EQ(in_use(Resource::Requests), 1u);
}

TEST_F(HttpPoolTest, AtTheConnectionLimitRequestsWaitForAConnectionToBecomeFree) {
  config.default_thresholds.max_connections = 1;
  one_host();
  TestRequest a(loop), b(loop);
  TestPeer peer = deliver(a);
  b.start(cluster(), host());
  settle();
  EXPECT_FALSE(server.has_waiting());
  EXPECT_EQ(stat(ClusterStat::upstream_cx_overflow), 1u);
  peer.answer("a");
  run_until([&] { return b.sender != nullptr; });
  EXPECT_EQ(b.connection, a.connection);
  loop.run_once(0);
  peer.read_head();
  peer.answer("b");
  run_until([&] { return b.done(); });
  EXPECT_EQ(b.body, "b");
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 1u);
}

TEST_F(HttpPoolTest, AHostWithNoConnectionGetsOneEvenAtTheLimit) {
  config.default_thresholds.max_connections = 0;
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  peer.answer("ok");
  run_until([&] { return request.done(); });
  EXPECT_EQ(request.body, "ok");
  EXPECT_EQ(stat(ClusterStat::upstream_cx_overflow), 1u);
}

TEST_F(HttpPoolTest, AConnectionClosesAfterItsLastAllowedRequest) {
  config.max_requests_per_connection = 2;
  one_host();
  TestPeer peer;
  exchange(&peer);
  exchange(&peer);
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_EQ(stat(ClusterStat::upstream_cx_max_requests), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_local), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
}

TEST_F(HttpPoolTest, AnIdleConnectionClosesAfterItsTimeout) {
  config.idle_timeout_ms = 20;
  one_host();
  TestPeer peer;
  exchange(&peer);
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_TRUE(peer.ended());
  EXPECT_EQ(stat(ClusterStat::upstream_cx_idle_timeout), 1u);
}

TEST_F(HttpPoolTest, ABusyConnectionIsNotIdle) {
  config.idle_timeout_ms = 10;
  one_host();
  TestPeer peer;
  exchange(&peer);
  TestRequest request(loop);
  request.start(cluster(), host());
  ASSERT_TRUE(request.immediate);
  const uint64_t later = monotonic_now_ms() + 50;
  run_until([&] { return monotonic_now_ms() > later; });
  peer.read_head();
  peer.answer("slow");
  run_until([&] { return request.done(); });
  EXPECT_EQ(request.body, "slow");
}

TEST_F(HttpPoolTest, AConnectionOfFullAgeFinishesItsRequestAndCloses) {
  config.max_connection_duration_ms = 20;
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  run_until([&] { return stat(ClusterStat::upstream_cx_max_duration_reached) == 1; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 1u);
  peer.answer("ok");
  run_until([&] { return request.done(); });
  settle();
  EXPECT_EQ(request.body, "ok");
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
}

// --- failures ---

TEST_F(HttpPoolTest, ARefusedConnectionFailsAllWhoWait) {
  one_host();
  server.stop();
  TestRequest a(loop), b(loop);
  a.start(cluster(), host());
  b.start(cluster(), host());
  run_until([&] { return a.done() && b.done(); });
  EXPECT_EQ(a.failure, PoolFailure::ConnectFailed);
  EXPECT_EQ(a.failure_detail, "delayed connect error: Connection refused");
  EXPECT_EQ(b.failure, PoolFailure::ConnectFailed);
  settle();
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_failure_eject), 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_fail), 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_timeout), 0u);
  EXPECT_EQ(host()->counters.cx_connect_fail, 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
  EXPECT_EQ(in_use(Resource::Connections), 0u);
  EXPECT_EQ(in_use(Resource::Pending), 0u);
}

TEST_F(HttpPoolTest, WhoAsksAgainWhenToldOfAFailureGetsAnotherConnection) {
  one_host();
  server.stop();
  TestRequest first(loop), retry(loop);
  first.on_failure = [&] { retry.start(cluster(), host()); };
  first.start(cluster(), host());
  run_until([&] { return retry.done(); });
  EXPECT_EQ(retry.failure, PoolFailure::ConnectFailed);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 2u);
}

TEST_F(HttpPoolTest, AFailureThatMakesAnotherWaiterGiveUpIsToldToTheFirstOnly) {
  one_host();
  server.stop();
  TestRequest a(loop), b(loop);
  a.on_failure = [&] { b.pending.reset(); };
  a.start(cluster(), host());
  b.start(cluster(), host());
  run_until([&] { return a.done(); });
  settle();
  EXPECT_FALSE(b.done());
  EXPECT_EQ(stat(ClusterStat::upstream_rq_cancelled), 1u);
  EXPECT_EQ(in_use(Resource::Pending), 0u);
}

TEST_F(HttpPoolTest, AnAddressThatCannotBeConnectedToFailsFromTheLoop) {
  EndpointConfig bad = endpoint_at(server.address());
  config.bind_to = *Address::from_ip("192.0.2.1", 0);  // not ours
  apply({bad});
  TestRequest request(loop);
  request.start(cluster(), host());
  EXPECT_FALSE(request.done());
  run_until([&] { return request.done(); });
  EXPECT_EQ(request.failure, PoolFailure::ConnectFailed);
  EXPECT_THAT(request.failure_detail, ::testing::StartsWith("immediate connect error: "));
}

TEST_F(HttpPoolTest, AConnectThatTakesTooLongTimesOut) {
  TestServer full(0);
  full.fill_queue();
  config.connect_timeout_ms = 30;
  apply({endpoint_at(full.address())});
  TestRequest request(loop);
  request.start(cluster(), host());
  run_until([&] { return request.done(); });
  EXPECT_EQ(request.failure, PoolFailure::ConnectTimeout);
  EXPECT_EQ(request.failure_detail, "");
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_timeout), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_connect_fail), 1u);
}

TEST_F(HttpPoolTest, GivingUpWaitingLeavesTheConnectionToOthers) {
  one_host();
  TestRequest given_up(loop);
  given_up.start(cluster(), host());
  given_up.pending.reset();
  EXPECT_EQ(stat(ClusterStat::upstream_rq_cancelled), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_active), 0u);
  EXPECT_EQ(in_use(Resource::Pending), 0u);
  TestPeer peer = server.accept();
  settle();
  TestRequest next(loop);
  next.start(cluster(), host());
  EXPECT_TRUE(next.immediate);
  EXPECT_EQ(next.streams_before, 0u);
}

// --- what connections do ---

TEST_F(HttpPoolTest, AnIdleConnectionThatTheServerClosesIsNeverHandedOut) {
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

TEST_F(HttpPoolTest, AnIdleConnectionThatTheServerResetsIsNeverHandedOut) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  peer.abort();
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_remote), 1u);
}

TEST_F(HttpPoolTest, BytesThatNobodyAskedForCloseAnIdleConnection) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  peer.answer("poison");
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 1u);
}

TEST_F(HttpPoolTest, AServersTimeoutMessageOnAnIdleConnectionIsNoError) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  peer.write("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 0u);
}

TEST_F(HttpPoolTest, BytesBehindAnAnswerAreNotTheNextRequestsAnswer) {
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
  run_until([&] { return waiting.sender != nullptr; });
  EXPECT_EQ(waiting.streams_before, 0u) << "the poisoned connection was reused";
  TestPeer second = server.accept();
  loop.run_once(0);
  second.read_head();
  second.answer("two");
  run_until([&] { return waiting.done(); });
  EXPECT_EQ(waiting.body, "two");
}

TEST_F(HttpPoolTest, AnAnswerThatSaysCloseEndsTheConnection) {
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

TEST_F(HttpPoolTest, AnAnswerThatEndsWithTheConnectionIsWhole) {
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

TEST_F(HttpPoolTest, AConnectionThatDiesUnderARequestResetsIt) {
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

TEST_F(HttpPoolTest, NonsenseFromTheServerResetsTheRequestAndIsCounted) {
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

TEST_F(HttpPoolTest, AbandoningARequestInFlightClosesItsConnection) {
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

TEST_F(HttpPoolTest, ALostConnectionIsReplacedForThoseWhoWait) {
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

TEST_F(HttpPoolTest, HostsThatStayKeepTheirConnections) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  update_hosts({endpoint_at(server.address()), endpoint_at(*Address::from_ip("127.0.0.1", 1))});
  TestRequest request(loop);
  request.start(cluster(), host());
  EXPECT_TRUE(request.immediate);
}

TEST_F(HttpPoolTest, AVanishedHostsIdleConnectionsCloseAtOnceAndBusyOnesAfterTheirRequest) {
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

TEST_F(HttpPoolTest, WhoWaitsForAVanishedHostIsStillServed) {
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

TEST_F(HttpPoolTest, ALogicalHostKeepsItsConnectionsWhenItsAddressChanges) {
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

TEST_F(HttpPoolTest, UnhealthyHostsConnectionsCloseWhenSoConfigured) {
  config.close_connections_on_host_health_failure = true;
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  EndpointConfig sick = endpoint_at(server.address());
  sick.health = Health::Unhealthy;
  update_hosts({sick});
  EXPECT_EQ(request.reset_reason, http::ResetReason::ConnectionClosed);
  settle();
  EXPECT_TRUE(peer.ended());
}

TEST_F(HttpPoolTest, AConfigurationThatChangesNothingAboutConnectionsKeepsThem) {
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

TEST_F(HttpPoolTest, AConfigurationThatConnectsDifferentlyDrainsOldConnections) {
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

TEST_F(HttpPoolTest, RemovingTheClusterLetsRequestsFinish) {
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

TEST_F(HttpPoolTest, TearingDownWithRequestsInFlightGivesAllCountsBack) {
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
