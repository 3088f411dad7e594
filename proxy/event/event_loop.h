// One thread's event loop: file events, timers, end-of-turn work. Owned by its Worker (or by the
// main thread's Server). All calls from the owning thread, except wake-ups through a Mailbox. A
// turn is: wait for events once, read the clock once, run the file callbacks, run the timers, then
// flush what was written and destroy what was closed. Files come first so that a thread that had no
// CPU for a while takes what came in time for in time: a connect that is done, a request, an
// answer. CONTRACT.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "proxy/base/block_pool.h"
#include "proxy/base/clock.h"
#include "proxy/base/timer_wheel.h"

struct event;
struct event_base;

namespace remora {

/// Base of objects whose destruction waits for the end of the loop turn, because a callback of
/// theirs may be on the stack.
class Deferrable {
 public:
  virtual ~Deferrable() = default;
};

class EventLoop;
class FdEvent;

/// Intrusive entry of the list of things that want flush() at the end of this turn (a connection
/// with bytes to write, a session with frames to send). The destructor leaves the list.
class EndOfTurn {
 public:
  virtual void end_of_turn() = 0;
  bool queued() const { return loop_ != nullptr; }

 protected:
  EndOfTurn() = default;
  virtual ~EndOfTurn();
  EndOfTurn(const EndOfTurn&) = delete;
  EndOfTurn& operator=(const EndOfTurn&) = delete;

 private:
  friend class EventLoop;
  EventLoop* loop_ = nullptr;  // while queued
  EndOfTurn* prev_ = nullptr;
  EndOfTurn* next_ = nullptr;
};

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// Runs turns until stop().
  void run();
  void stop() { stop_ = true; }
  /// One turn, waiting at most `max_wait_ms` for events. For tests and for start-up.
  /// Not from within a callback of the loop.
  void run_once(uint64_t max_wait_ms);

  const TurnTime& time() const { return time_; }
  MonotonicMs now_ms() const { return time_.now_ms; }
  TimerWheel& timers() { return timers_; }
  BlockPool& blocks() { return blocks_; }

  /// Calls item.end_of_turn() once before this turn ends (at once queued again is run again).
  void at_end_of_turn(EndOfTurn& item);
  /// Destroys `object` at the end of the turn, after the flushes.
  void defer_delete(std::unique_ptr<Deferrable> object);

  event_base* base() { return base_; }

 private:
  friend class EndOfTurn;
  friend class FdEvent;

  static void on_tick(int fd, short what, void* self);
  void on_burst_over();
  void begin_turn();  // the first callback of a turn calls it
  void turn(std::optional<uint64_t> max_wait_ms);
  void arm_tick(std::optional<uint64_t> max_wait_ms);
  void run_activated();
  void finish_turn();
  void unlink(EndOfTurn& item);

  event_base* base_;
  event* tick_;                       // wakes the loop for the next timer
  MonotonicMs tick_at_ = UINT64_MAX;  // when it will; UINT64_MAX: not armed
  bool stop_ = false;
  bool turn_begun_ = false;
  TurnTime time_;
  // Order matters: blocks outlive everything that holds buffers.
  BlockPool blocks_;
  TimerWheel timers_;
  Timer burst_over_;
  EndOfTurn* flush_head_ = nullptr;
  EndOfTurn* flush_tail_ = nullptr;
  std::vector<FdEvent*> activated_;  // to be run in the next turn; null: destroyed meanwhile
  std::vector<FdEvent*> running_;
  std::vector<std::unique_ptr<Deferrable>> deferred_;
  std::vector<std::unique_ptr<Deferrable>> destroying_;
};

}  // namespace remora
