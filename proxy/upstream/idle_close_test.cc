#include "proxy/upstream/idle_close.h"

#include <gtest/gtest.h>

#include "proxy/upstream/http_pool.h"
#include "proxy/upstream/test_cluster.h"

namespace remora::upstream {
namespace {

using stats::ClusterStat;
using testing::TestPeer;
using testing::TestRequest;

TEST(IdleCloseTest, OneCloseTeachesNothing) {
  IdleClose idle;
  idle.closed_after(1000);
  EXPECT_EQ(idle.retire_after_ms(), UINT64_MAX);
  EXPECT_FALSE(idle.seen());
}

TEST(IdleCloseTest, TwoClosesAfterAboutTheSameTimeDo) {
  IdleClose idle;
  idle.closed_after(1030);
  idle.closed_after(1000);
  EXPECT_EQ(idle.retire_after_ms(), 800u);
  idle.closed_after(990);
  EXPECT_EQ(idle.retire_after_ms(), 792u) << "the shortest counts";
  idle.closed_after(1100);
  EXPECT_EQ(idle.retire_after_ms(), 792u);
}

TEST(IdleCloseTest, ClosesAfterAnyTimesTeachNothing) {
  IdleClose idle;
  for (const uint64_t ms : {100, 700, 200, 3000, 20, 900}) idle.closed_after(ms);
  EXPECT_FALSE(idle.seen());
}

TEST(IdleCloseTest, AServerThatClosesAtOnceKeepsConnectionsInUse) {
  IdleClose idle;
  for (int i = 0; i < 10; ++i) idle.closed_after(1);
  EXPECT_FALSE(idle.seen());
}

TEST(IdleCloseTest, AnotherTimeIsLearntFromTwoCloses) {
  IdleClose idle;
  for (const uint64_t ms : {50, 50, 4000}) idle.closed_after(ms);
  EXPECT_EQ(idle.retire_after_ms(), 40u);
  idle.closed_after(4000);
  EXPECT_EQ(idle.retire_after_ms(), 3200u);
  idle.forget_seen();
  EXPECT_EQ(idle.retire_after_ms(), UINT64_MAX);
}

TEST(IdleCloseTest, WhatIsAnnouncedHoldsUnlessLessWasSeen) {
  IdleClose idle;
  idle.announced(60'000);
  EXPECT_EQ(idle.retire_after_ms(), 58'000u);
  idle.closed_after(5000);
  idle.closed_after(5000);
  EXPECT_EQ(idle.retire_after_ms(), 4000u);
  idle.announced(1000);
  EXPECT_EQ(idle.retire_after_ms(), 800u);
}

TEST(IdleCloseTest, TheMarginIsNeverAllOfIt) {
  IdleClose idle;
  idle.closed_after(12);
  idle.closed_after(12);
  EXPECT_EQ(idle.retire_after_ms(), 6u);
}

TEST(KeepAliveTest, TheTimeoutIsReadFromTheField) {
  EXPECT_EQ(keep_alive_timeout_ms("timeout=5"), 5000u);
  EXPECT_EQ(keep_alive_timeout_ms("max=100, Timeout = 1"), 1000u);
  EXPECT_EQ(keep_alive_timeout_ms("timeout=99999999999"), 86'400'000u);
  EXPECT_EQ(keep_alive_timeout_ms("timeout=99999999999999999999999"), std::nullopt);
  for (const char* value : {"", "timeout", "timeout=", "timeout=0", "timeout=-1", "max=5", "=5"}) {
    EXPECT_EQ(keep_alive_timeout_ms(value), std::nullopt) << value;
  }
}

// --- a pool and its host ---

class IdleHostTest : public testing::HttpPoolTestBase {
 protected:
  uint64_t retired() {
    return shared->remora_stats().at(worker.index()).value(ClusterRemoraStat::upstream_cx_retired);
  }
  /// The host closes connections that have stood idle for so long, until the pool knows.
  void close_after(uint64_t ms) {
    const uint64_t begun = monotonic_now_ms();
    while (host()->idle_close_ms == 0 && monotonic_now_ms() < begun + testing::kPatienceMs) {
      TestPeer peer;
      exchange(&peer);
      const uint64_t idle_from = monotonic_now_ms();
      run_until([&] { return monotonic_now_ms() >= idle_from + ms; });
      peer.close();
      run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
    }
  }
};

TEST_F(IdleHostTest, AConnectionIsLetGoBeforeTheHostClosesItAsItHasAnnounced) {
  one_host();
  TestRequest request(loop);
  TestPeer peer = deliver(request);
  peer.answer("ok", "keep-alive: timeout=1, max=9\r\n");
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(request.body, "ok");
  EXPECT_EQ(retired(), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_local), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_idle_timeout), 0u);
}

TEST_F(IdleHostTest, OneConnectionStaysOutOfUseToSeeWhenTheHostCloses) {
  one_host();
  close_after(200);
  EXPECT_EQ(retired(), 0u);
  TestPeer watched, used;
  exchange(&watched);
  run_until([&] { return retired() == 1; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 1u);
  const uint64_t before = stat(ClusterStat::upstream_cx_total);
  exchange(&used);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), before + 1);
  // The host leaves it open for much longer than was thought.
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(host()->idle_close_ms, 0u);
  EXPECT_EQ(retired(), 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_idle_timeout), 0u);
}

TEST_F(IdleHostTest, WhatIsForgottenEndsNoConnection) {
  one_host();
  close_after(200);
  TestPeer watched, used;
  exchange(&watched);
  run_until([&] { return retired() == 1; });
  // Used shortly before the patience with the other one ends.
  const uint64_t begun = monotonic_now_ms();
  run_until([&] { return monotonic_now_ms() >= begun + 240; });
  exchange(&used);
  run_until([&] { return host()->idle_close_ms == 0; });
  const uint64_t forgotten = monotonic_now_ms();
  run_until([&] { return monotonic_now_ms() >= forgotten + 200; });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_idle_timeout), 0u);
}

TEST_F(IdleHostTest, AConnectionOutOfUseMakesRoomForOneThatIsNeeded) {
  config.default_thresholds.max_connections = 1;
  one_host();
  close_after(200);
  TestPeer peer;
  exchange(&peer);
  run_until([&] { return retired() == 1; });
  TestRequest request(loop);
  TestPeer second = deliver(request);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_overflow), 0u);
}

}  // namespace
}  // namespace remora::upstream
