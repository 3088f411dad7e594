// A coarse hierarchical timer wheel (1 ms ticks), one per thread. Arming, moving and cancelling a
// timer are a few pointer writes and never a system call. Owned by the thread's EventLoop; that
// thread only. CONTRACT.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "proxy/base/clock.h"

namespace remora {

class TimerWheel;

/// One pending deadline, a member of whatever waits for it. The destructor cancels.
/// Lazy by design: arming an armed timer to a later deadline, and disarming, only store a number;
/// the wheel's entry notices when its old slot comes up. So per-request timeouts cost two stores.
class Timer {
 public:
  using Callback = void (*)(void* owner);

  Timer(TimerWheel& wheel, Callback callback, void* owner)
      : wheel_(wheel), callback_(callback), owner_(owner) {}
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// `Timer t_{make_timer<&Stream::on_idle>(wheel, this)}` binds a member function.
  template <auto Method, class Owner>
  static Callback bind() {
    return [](void* owner) { (static_cast<Owner*>(owner)->*Method)(); };
  }

  /// Fires once, `delay_ms` after the current turn's time (0: at the next advance).
  void arm(uint64_t delay_ms);
  void disarm() { deadline_ = kNever; }
  bool armed() const { return deadline_ != kNever; }
  MonotonicMs deadline() const { return deadline_; }

 private:
  friend class TimerWheel;
  static constexpr MonotonicMs kNever = UINT64_MAX;

  TimerWheel& wheel_;
  Callback callback_;
  void* owner_;
  MonotonicMs deadline_ = kNever;
  MonotonicMs slot_time_ = kNever;  // when the linked slot comes up; kNever while not linked
  Timer* next_ = nullptr;
  Timer** back_ = nullptr;  // address of the pointer that points at this
};

class TimerWheel {
 public:
  /// `time` is the turn time that `now_ms` is read from; it outlives the wheel.
  explicit TimerWheel(const TurnTime& time);
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  const TurnTime& time() const { return time_; }
  MonotonicMs now() const { return time_.now_ms; }

  /// Fires every timer whose deadline is at or before time().now_ms, in order of deadline (ties:
  /// any order). A callback may arm, disarm and destroy any timer, its own included.
  void advance();

  /// Milliseconds until advance() may have something to do; nullopt when no timer is linked.
  std::optional<uint64_t> next_wait_ms() const;

 private:
  friend class Timer;
  static constexpr int kLevels = 6;
  static constexpr int kSlotBits = 6;
  static constexpr int kSlots = 1 << kSlotBits;

  struct Event {
    MonotonicMs at;
    int level;
    int slot;
  };

  void link(Timer& timer, MonotonicMs when);
  static void push(Timer*& head, Timer& timer);
  static void unlink(Timer& timer);
  void run_slot(Timer* list);
  void cascade(Timer* list);
  std::optional<Event> next_event() const;
  Timer* take_slot(const Event& event);

  const TurnTime& time_;
  MonotonicMs current_ = 0;  // everything before this tick has been run
  // No slot comes up before this tick. Earlier than needed where its timers have gone since.
  MonotonicMs next_at_ = Timer::kNever;
  Timer* due_ = nullptr;  // deadlines that were already past when armed
  std::array<std::array<Timer*, kSlots>, kLevels> slots_{};
  std::array<uint64_t, kLevels> occupied_{};  // bit per slot
};

}  // namespace remora
