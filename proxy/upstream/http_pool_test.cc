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

using HttpPoolTest = testing::HttpPoolTestBase;

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
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active_overflow), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_overflow), 0u);
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

TEST_F(HttpPoolTest, AHostMayHaveALimitOfItsOwn) {
  config.default_thresholds.max_connections_per_host = 1;
  one_host();
  TestRequest a(loop), b(loop);
  TestPeer peer = deliver(a);
  b.start(cluster(), host());
  settle();
  EXPECT_FALSE(server.has_waiting());
  EXPECT_EQ(stat(ClusterStat::upstream_cx_overflow), 1u);
  EXPECT_EQ(in_use(Resource::Connections), 1u);
  peer.answer("a");
  run_until([&] { return b.sender != nullptr; });
  EXPECT_EQ(b.connection, a.connection);
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

TEST_F(HttpPoolTest, TheAgeOfConnectionsIsSpread) {
  config.max_connection_duration_ms = 1;
  config.max_connection_jitter_ms = 3'600'000;
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  const uint64_t later = monotonic_now_ms() + 20;
  run_until([&] { return monotonic_now_ms() > later; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_max_duration_reached), 0u) << "once in 180,000 times";
  peer.answer("ok");
  run_until([&] { return request.done(); });
}

TEST_F(HttpPoolTest, ALargerHeadIsTakenWhereTheClusterAllowsIt) {
  const std::string wide =
      "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: " + std::string(size_t{90} * 1024, 'y') +
      "\r\n\r\n";
  for (const uint32_t limit : {0, 100 * 1024}) {
    config.max_response_header_bytes = limit;
    one_host();
    TestRequest request(loop);
    TestPeer peer = deliver(request);
    peer.write(wide);
    run_until([&] { return request.done(); });
    EXPECT_EQ(request.status, limit == 0 ? 0 : 200);
  }
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

}  // namespace
}  // namespace remora::upstream
