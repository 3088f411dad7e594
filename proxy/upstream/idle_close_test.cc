#include "proxy/upstream/idle_close.h"

#include <gtest/gtest.h>

namespace remora::upstream {
namespace {

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

}  // namespace
}  // namespace remora::upstream
