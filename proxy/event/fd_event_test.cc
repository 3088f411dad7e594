#include "proxy/event/fd_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

namespace remora {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class FdEventTest : public testing::Test {
 public:
  FdEventTest() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0); }
  ~FdEventTest() override {
    event.reset();
    close(fds[0]);
    close(fds[1]);
  }
  void on_ready(uint8_t ready) {
    seen.push_back(ready);
    if (then != nullptr) then(*this);
  }
  void watch(FdEvent::Trigger trigger, uint8_t interest) {
    event = std::make_unique<FdEvent>(loop, fds[0], trigger, interest,
                                      FdEvent::bind<&FdEventTest::on_ready, FdEventTest>(), this);
  }
  void send(const char* text) { ASSERT_GT(write(fds[1], text, strlen(text)), 0); }
  std::vector<int> turn() {
    seen.clear();
    loop.run_once(0);
    return seen;
  }

  static constexpr uint8_t kAll = FdEvent::kRead | FdEvent::kWrite | FdEvent::kHangup;
  int fds[2];
  EventLoop loop;
  std::unique_ptr<FdEvent> event;
  std::vector<int> seen;
  void (*then)(FdEventTest&) = nullptr;
  Timer* limit = nullptr;
};

TEST_F(FdEventTest, AnEdgeIsReportedOnce) {
  watch(FdEvent::Trigger::Edge, kAll);
  EXPECT_THAT(turn(), ElementsAre(FdEvent::kWrite));
  EXPECT_THAT(turn(), IsEmpty());
  send("x");
  EXPECT_THAT(turn(), ElementsAre(FdEvent::kRead | FdEvent::kWrite));
  EXPECT_THAT(turn(), IsEmpty());
  send("y");
  EXPECT_THAT(turn(), ElementsAre(FdEvent::kRead | FdEvent::kWrite)) << "new bytes, new edge";
}

TEST_F(FdEventTest, AFinIsReportedAsHangup) {
  watch(FdEvent::Trigger::Edge, kAll);
  turn();
  send("last");
  shutdown(fds[1], SHUT_WR);
  EXPECT_THAT(turn(), ElementsAre(kAll));
}

TEST_F(FdEventTest, LevelEventsRepeatUntilDisabled) {
  watch(FdEvent::Trigger::Level, FdEvent::kRead);
  send("x");
  EXPECT_THAT(turn(), ElementsAre(FdEvent::kRead));
  EXPECT_THAT(turn(), ElementsAre(FdEvent::kRead));
  event->disable();
  EXPECT_THAT(turn(), IsEmpty());
  event->enable();
  EXPECT_THAT(turn(), ElementsAre(FdEvent::kRead));
}

TEST_F(FdEventTest, ActivationRunsInTheNextTurnOnly) {
  watch(FdEvent::Trigger::Edge, kAll);
  turn();
  then = [](FdEventTest& self) {
    if (self.seen.size() < 3) self.event->activate(FdEvent::kRead);
  };
  event->activate(FdEvent::kRead);
  event->activate(FdEvent::kHangup);
  turn();
  EXPECT_THAT(seen, ElementsAre(FdEvent::kRead | FdEvent::kHangup));
  loop.run_once(10'000);
  EXPECT_EQ(seen.size(), 2u) << "the turn with an activation does not wait";
}

TEST_F(FdEventTest, MayBeDestroyedInItsOwnCallbackAndWhileActivated) {
  watch(FdEvent::Trigger::Edge, kAll);
  then = [](FdEventTest& self) { self.event.reset(); };
  event->activate(FdEvent::kRead);
  loop.run_once(0);
  EXPECT_EQ(event, nullptr);
  EXPECT_EQ(seen.size(), 1u);

  watch(FdEvent::Trigger::Edge, kAll);
  event->activate(FdEvent::kRead);
  event.reset();
  EXPECT_THAT(turn(), IsEmpty());
}

TEST_F(FdEventTest, WhatIsReadyComesBeforeTheTimersOfItsTurn) {
  watch(FdEvent::Trigger::Edge, kAll);
  bool fired = false;
  Timer timer(
      loop.timers(), [](void* self) { *static_cast<bool*>(self) = true; }, &fired);
  limit = &timer;
  then = [](FdEventTest& test) { test.limit->disarm(); };
  timer.arm(1);
  while (monotonic_now_ms() < loop.now_ms() + 2) continue;  // the edge and the timer in one turn
  EXPECT_THAT(turn(), ElementsAre(FdEvent::kWrite));
  EXPECT_FALSE(fired) << "it was in time, only the thread was late";
  timer.arm(1);
  while (monotonic_now_ms() < loop.now_ms() + 2) continue;
  EXPECT_THAT(turn(), IsEmpty());
  EXPECT_TRUE(fired);
}

}  // namespace
}  // namespace remora
