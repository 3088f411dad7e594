// The one way into a thread: a queue of messages woken by an eventfd. Any thread posts; the loop's
// thread receives them in order, at most one wake-up per batch. CONTRACT.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "proxy/event/event_loop.h"
#include "proxy/event/fd_event.h"

namespace remora {

/// The eventfd half, without the message type.
class Wakeup {
 public:
  using Callback = void (*)(void* owner);
  Wakeup(EventLoop& loop, Callback callback, void* owner);
  ~Wakeup();
  void notify();  // any thread

 private:
  void on_ready(uint8_t ready);
  int fd_;
  Callback callback_;
  void* owner_;
  FdEvent event_;
};

template <class Message>
class Mailbox {
 public:
  using Handler = void (*)(void* owner, Message&& message);

  Mailbox(EventLoop& loop, Handler handler, void* owner)
      : handler_(handler), owner_(owner), wakeup_(loop, &Mailbox::drain_thunk, this) {}

  /// Any thread.
  void post(Message message) {
    bool first;
    {
      std::lock_guard lock(mutex_);
      first = pending_.empty();
      pending_.push_back(std::move(message));
    }
    if (first) wakeup_.notify();
  }

  /// The loop's thread: handles what is queued now (also called by the wake-up).
  void drain() {
    std::vector<Message> batch;
    {
      std::lock_guard lock(mutex_);
      batch.swap(pending_);
    }
    for (auto& message : batch) handler_(owner_, std::move(message));
  }

 private:
  static void drain_thunk(void* self) { static_cast<Mailbox*>(self)->drain(); }

  Handler handler_;
  void* owner_;
  std::mutex mutex_;
  std::vector<Message> pending_;
  Wakeup wakeup_;
};

}  // namespace remora
