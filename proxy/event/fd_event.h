// Edge-triggered readiness of one file descriptor, registered once for reading and writing
// together, so that no request costs an epoll_ctl. Owned by the connection or listener; the loop's
// thread only. CONTRACT.
#pragma once

#include <cstdint>

#include "proxy/event/event_loop.h"

struct event;

namespace remora {

class FdEvent {
 public:
  /// What became ready. `kHangup` is EPOLLRDHUP/EPOLLHUP: the peer's FIN has arrived, so a short
  /// read does not mean that the socket is drained and the reader must go on until it sees the end.
  /// An error (EPOLLERR) shows as kRead and kWrite together, no hangup: every read edge may hide
  /// one.
  enum Ready : uint8_t { kRead = 1, kWrite = 2, kHangup = 4 };
  enum class Trigger : uint8_t { Edge, Level };

  using Callback = void (*)(void* owner, uint8_t ready);

  FdEvent(EventLoop& loop, int fd, Trigger trigger, uint8_t interest, Callback callback,
          void* owner);
  ~FdEvent();
  FdEvent(const FdEvent&) = delete;
  FdEvent& operator=(const FdEvent&) = delete;

  template <auto Method, class Owner>
  static Callback bind() {
    return [](void* owner, uint8_t ready) { (static_cast<Owner*>(owner)->*Method)(ready); };
  }

  /// Runs the callback with `ready` in the next loop turn, as if the kernel had said so (used to go
  /// on with a read that was stopped for fairness).
  void activate(uint8_t ready);
  /// Level-triggered events only: stops and restarts delivery (accept pausing).
  void enable();
  void disable();

 private:
  friend class EventLoop;
  static void on_event(int fd, short what, void* self);

  EventLoop& loop_;
  Callback callback_;
  void* owner_;
  struct event* event_;
  uint8_t activated_ = 0;  // what activate() asked for, while in the loop's list
};

}  // namespace remora
