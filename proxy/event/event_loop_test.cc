#include "proxy/event/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace remora {
namespace {

using testing::ElementsAre;

struct Alarm {
  explicit Alarm(EventLoop& loop)
      : loop(loop), timer(loop.timers(), Timer::bind<&Alarm::on_fire, Alarm>(), this) {}
  void on_fire() {
    ++fired;
    loop.stop();
  }
  EventLoop& loop;
  int fired = 0;
  Timer timer;
};

struct Flusher : EndOfTurn {
  Flusher(EventLoop& loop, std::vector<std::string>& log, std::string name)
      : loop(loop), log(log), name(std::move(name)) {}
  void end_of_turn() override {
    log.push_back(name);
    if (again-- > 0) loop.at_end_of_turn(*this);
  }
  EventLoop& loop;
  std::vector<std::string>& log;
  std::string name;
  int again = 0;
};

struct Closing : Deferrable {
  explicit Closing(std::vector<std::string>& log) : log(log) {}
  ~Closing() override {
    log.push_back("destroyed");
    if (flush_first != nullptr) flush_first->loop.at_end_of_turn(*flush_first);
  }
  std::vector<std::string>& log;
  Flusher* flush_first = nullptr;
};

TEST(EventLoop, RunsUntilATimerStopsIt) {
  EventLoop loop;
  Alarm alarm(loop);
  const MonotonicMs before = monotonic_now_ms();
  alarm.timer.arm(15);
  loop.run();
  EXPECT_EQ(alarm.fired, 1);
  EXPECT_GE(monotonic_now_ms(), before + 15);
}

TEST(EventLoop, ATimerArmedLaterButDueEarlierIsNotMissed) {
  EventLoop loop;
  Alarm late(loop), early(loop);
  late.timer.arm(60'000);
  loop.run_once(0);
  early.timer.arm(5);
  loop.run();
  EXPECT_EQ(early.fired, 1);
  EXPECT_EQ(late.fired, 0);
}

TEST(EventLoop, ABoundedTurnReturnsWithNothingToDo) {
  EventLoop loop;
  const MonotonicMs before = monotonic_now_ms();
  while (monotonic_now_ms() < before + 10) loop.run_once(10);
  EXPECT_LT(monotonic_now_ms(), before + 1000);
}

TEST(EventLoop, FlushesInOrderAndThenDestroys) {
  EventLoop loop;
  std::vector<std::string> log;
  Flusher one(loop, log, "one"), two(loop, log, "two");
  loop.defer_delete(std::make_unique<Closing>(log));
  loop.at_end_of_turn(one);
  loop.at_end_of_turn(two);
  loop.at_end_of_turn(one);  // queued once only
  EXPECT_TRUE(one.queued());
  loop.run_once(0);
  EXPECT_THAT(log, ElementsAre("one", "two", "destroyed"));
  EXPECT_FALSE(one.queued());
}

TEST(EventLoop, WhatIsQueuedWhileTheTurnEndsStillRunsInIt) {
  EventLoop loop;
  std::vector<std::string> log;
  Flusher last(loop, log, "last");
  auto closing = std::make_unique<Closing>(log);
  closing->flush_first = &last;
  last.again = 1;
  loop.defer_delete(std::move(closing));
  loop.run_once(0);
  EXPECT_THAT(log, ElementsAre("destroyed", "last", "last"));
}

TEST(EventLoop, ADestroyedItemLeavesTheList) {
  EventLoop loop;
  std::vector<std::string> log;
  Flusher stays(loop, log, "stays");
  {
    Flusher goes(loop, log, "goes");
    loop.at_end_of_turn(goes);
    loop.at_end_of_turn(stays);
  }
  loop.run_once(0);
  EXPECT_THAT(log, ElementsAre("stays"));
}

TEST(EventLoop, WhatABurstLeavesOfBlocksIsGivenBackSoonAfter) {
  EventLoop loop;
  std::vector<BlockRef> burst;
  for (int i = 0; i < 200; ++i) burst.push_back(loop.blocks().take());
  burst.clear();
  loop.run_once(0);
  EXPECT_EQ(loop.blocks().blocks_idle(), 200u);  // the next turn may want them
  const MonotonicMs before = monotonic_now_ms();
  while (loop.blocks().blocks_idle() > 64 && monotonic_now_ms() < before + 30'000) {
    loop.run_once(10'000);
  }
  EXPECT_EQ(loop.blocks().blocks_idle(), 64u);
}

}  // namespace
}  // namespace remora
