// Simulated time only.
#include "proxy/base/timer_wheel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace remora {
namespace {

using testing::ElementsAre;

class TimerWheelTest : public testing::Test {
 public:
  struct Waiter {
    Waiter(TimerWheelTest& test, int name) : test(test), name(name) {}
    void on_fire() {
      test.fired.push_back(name);
      if (then != nullptr) then(*this);
    }
    TimerWheelTest& test;
    int name;
    void (*then)(Waiter&) = nullptr;
    Timer timer{test.wheel, Timer::bind<&Waiter::on_fire, Waiter>(), this};
  };

  void advance_to(MonotonicMs when) {
    time.now_ms = when;
    wheel.advance();
  }

  static constexpr MonotonicMs kStart = 1'234'567;
  TurnTime time{kStart, kStart * 1000, 0};
  TimerWheel wheel{time};
  std::vector<int> fired;
  Waiter a{*this, 1};
  Waiter b{*this, 2};
  Waiter c{*this, 3};
};

TEST_F(TimerWheelTest, FiresAtTheDeadlineAndNotBefore) {
  a.timer.arm(100);
  advance_to(kStart + 99);
  EXPECT_THAT(fired, ElementsAre());
  EXPECT_TRUE(a.timer.armed());
  advance_to(kStart + 100);
  EXPECT_THAT(fired, ElementsAre(1));
  EXPECT_FALSE(a.timer.armed());
  advance_to(kStart + 10'000);
  EXPECT_THAT(fired, ElementsAre(1));
}

TEST_F(TimerWheelTest, ZeroDelayFiresAtTheNextAdvanceEvenWhenTimeStandsStill) {
  wheel.advance();
  a.timer.arm(0);
  EXPECT_EQ(wheel.next_wait_ms(), 0u);
  wheel.advance();
  EXPECT_THAT(fired, ElementsAre(1));
}

TEST_F(TimerWheelTest, ATimerThatArmsItselfForNowDoesNotHoldAdvanceForEver) {
  a.then = [](Waiter& self) { self.timer.arm(0); };
  a.timer.arm(5);
  advance_to(kStart + 50);
  const size_t first = fired.size();
  EXPECT_GE(first, 1u);
  EXPECT_LE(first, 2u);
  EXPECT_EQ(wheel.next_wait_ms(), 0u);
  wheel.advance();
  EXPECT_EQ(fired.size(), first + 1);
}

TEST_F(TimerWheelTest, FiresInOrderOfDeadlineAcrossWheels) {
  a.timer.arm(70'000);
  b.timer.arm(3);
  c.timer.arm(65);
  advance_to(kStart + 1'000'000);
  EXPECT_THAT(fired, ElementsAre(2, 3, 1));
}

TEST_F(TimerWheelTest, MovingLaterIsLazyAndStillExact) {
  a.timer.arm(10);
  for (int i = 0; i < 10; ++i) {
    advance_to(time.now_ms + 9);
    a.timer.arm(10);
  }
  EXPECT_THAT(fired, ElementsAre());
  advance_to(time.now_ms + 9);
  EXPECT_THAT(fired, ElementsAre());
  advance_to(time.now_ms + 1);
  EXPECT_THAT(fired, ElementsAre(1));
}

TEST_F(TimerWheelTest, MovingEarlierTakesEffect) {
  a.timer.arm(100'000);
  a.timer.arm(7);
  EXPECT_LE(*wheel.next_wait_ms(), 7u);
  advance_to(kStart + 7);
  EXPECT_THAT(fired, ElementsAre(1));
}

TEST_F(TimerWheelTest, DisarmedAndDestroyedTimersNeverFire) {
  a.timer.arm(10);
  a.timer.disarm();
  {
    Waiter gone{*this, 9};
    gone.timer.arm(10);
  }
  advance_to(kStart + 100);
  EXPECT_THAT(fired, ElementsAre());
  EXPECT_EQ(wheel.next_wait_ms(), std::nullopt);
}

TEST_F(TimerWheelTest, ACallbackMayDestroyAnotherTimerOfTheSameSlot) {
  struct Killer {
    explicit Killer(TimerWheelTest& test) : test(test) {}
    void on_fire() {
      ++test_fired;
      other.reset();
    }
    TimerWheelTest& test;
    int test_fired = 0;
    std::unique_ptr<Killer> other;
    Timer timer{test.wheel, Timer::bind<&Killer::on_fire, Killer>(), this};
  };
  Killer first(*this);
  first.other = std::make_unique<Killer>(*this);
  first.other->timer.arm(10);
  first.timer.arm(10);  // linked last, so it runs first
  advance_to(kStart + 10);
  EXPECT_EQ(first.test_fired, 1);
  EXPECT_EQ(first.other, nullptr);
}

TEST_F(TimerWheelTest, SleepsUntilSomethingIsDue) {
  EXPECT_EQ(wheel.next_wait_ms(), std::nullopt);
  a.timer.arm(3'600'000);
  int wakeups = 0;
  while (fired.empty()) {
    advance_to(time.now_ms + *wheel.next_wait_ms());
    ++wakeups;
  }
  EXPECT_EQ(time.now_ms, kStart + 3'600'000);
  EXPECT_LE(wakeups, 6);
}

TEST_F(TimerWheelTest, DeadlinesBeyondTheHorizonDoNotOverflow) {
  a.timer.arm(9'223'372'035'000);
  b.timer.arm(UINT64_MAX);
  advance_to(kStart + 1000);
  EXPECT_THAT(fired, ElementsAre());
  EXPECT_TRUE(a.timer.armed());
  EXPECT_TRUE(b.timer.armed());
  while (fired.empty()) advance_to(time.now_ms + std::max<uint64_t>(1, *wheel.next_wait_ms()));
  EXPECT_EQ(time.now_ms, kStart + 9'223'372'035'000);
}

TEST_F(TimerWheelTest, AgreesWithAnOrderedMapUnderRandomUse) {
  std::mt19937 random(7);
  constexpr int kTimers = 64;
  std::vector<std::unique_ptr<Waiter>> waiters;
  for (int i = 0; i < kTimers; ++i) waiters.push_back(std::make_unique<Waiter>(*this, i));
  std::vector<MonotonicMs> deadline(kTimers, UINT64_MAX);
  for (int step = 0; step < 20'000; ++step) {
    const int which = random() % kTimers;
    switch (random() % 4) {
      case 0:
      case 1: {
        const uint64_t delay = random() % (uint64_t{1} << (random() % 24));
        waiters[which]->timer.arm(delay);
        deadline[which] = time.now_ms + delay;
        break;
      }
      case 2:
        waiters[which]->timer.disarm();
        deadline[which] = UINT64_MAX;
        break;
      case 3: {
        fired.clear();
        advance_to(time.now_ms + random() % (uint64_t{1} << (random() % 18)));
        for (int name : fired) {
          ASSERT_LE(deadline[name], time.now_ms) << "fired early at step " << step;
          deadline[name] = UINT64_MAX;
        }
        for (int i = 0; i < kTimers; ++i) {
          ASSERT_GT(deadline[i], time.now_ms) << "timer " << i << " missed at step " << step;
        }
        break;
      }
    }
    const MonotonicMs first = *std::min_element(deadline.begin(), deadline.end());
    const auto wait = wheel.next_wait_ms();
    ASSERT_TRUE(first == UINT64_MAX || (wait && time.now_ms + *wait <= first)) << "step " << step;
  }
}

TEST_F(TimerWheelTest, WhatWasCancelledWakesOnceAtMost) {
  a.timer.arm(50);
  advance_to(kStart + 1);
  {
    Waiter gone{*this, 9};
    gone.timer.arm(3);
  }
  int wakeups = 0;
  while (fired.empty()) {
    advance_to(time.now_ms + std::max<uint64_t>(1, *wheel.next_wait_ms()));
    ++wakeups;
  }
  EXPECT_EQ(time.now_ms, kStart + 50);
  EXPECT_LE(wakeups, 4);
}

}  // namespace
}  // namespace remora
