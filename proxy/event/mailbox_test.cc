#include "proxy/event/mailbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace remora {
namespace {

struct Receiver {
  explicit Receiver(EventLoop& loop)
      : loop(loop),
        mailbox(
            loop, [](void* self, int&& m) { static_cast<Receiver*>(self)->on_message(m); }, this) {}
  void on_message(int message) {
    received.push_back(message);
    if (received.size() == expected) loop.stop();
  }
  EventLoop& loop;
  size_t expected = 0;
  std::vector<int> received;
  Mailbox<int> mailbox;
};

TEST(Mailbox, DeliversInOrderFromAnotherThread) {
  EventLoop loop;
  Receiver receiver(loop);
  receiver.expected = 10'000;
  std::thread poster([&] {
    for (int i = 0; i < 10'000; ++i) receiver.mailbox.post(i);
  });
  loop.run();
  poster.join();
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(receiver.received[i], i);
}

TEST(Mailbox, DeliversWhatWasPostedBeforeTheLoopRan) {
  EventLoop loop;
  Receiver receiver(loop);
  receiver.expected = 2;
  receiver.mailbox.post(1);
  receiver.mailbox.post(2);
  loop.run();
  EXPECT_THAT(receiver.received, testing::ElementsAre(1, 2));
}

TEST(Mailbox, AHandlerMayPostToItsOwnLoop) {
  EventLoop loop;
  struct Echo {
    explicit Echo(EventLoop& loop)
        : loop(loop),
          mailbox(
              loop, [](void* self, int&& m) { static_cast<Echo*>(self)->on_message(m); }, this) {}
    void on_message(int left) {
      if (left == 0) return loop.stop();
      mailbox.post(left - 1);
    }
    EventLoop& loop;
    Mailbox<int> mailbox;
  } echo(loop);
  echo.mailbox.post(5);
  loop.run();
}

}  // namespace
}  // namespace remora
