// Six wheels of 64 slots: a timer sits on the wheel of the highest base-64 digit in which its slot
// time differs from the current tick, and moves down a wheel each time that digit comes up. One
// thread.
#include "proxy/base/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace remora {

Timer::~Timer() {
  if (back_ != nullptr) TimerWheel::unlink(*this);
}

void Timer::arm(uint64_t delay_ms) {
  const MonotonicMs now = wheel_.now();
  deadline_ = delay_ms < kNever - 1 - now ? now + delay_ms : kNever - 1;
  if (slot_time_ <= deadline_) return;  // found again when its slot comes up
  if (back_ != nullptr) TimerWheel::unlink(*this);
  wheel_.link(*this, deadline_);
}

TimerWheel::TimerWheel(const TurnTime& time) : time_(time), current_(time.now_ms) {}

TimerWheel::~TimerWheel() {
  while (due_ != nullptr) unlink(*due_);
  for (auto& level : slots_) {
    for (Timer*& head : level) {
      while (head != nullptr) unlink(*head);
    }
  }
}

void TimerWheel::push(Timer*& head, Timer& timer) {
  timer.next_ = head;
  timer.back_ = &head;
  if (head != nullptr) head->back_ = &timer.next_;
  head = &timer;
}

void TimerWheel::unlink(Timer& timer) {
  assert(timer.back_ != nullptr);
  *timer.back_ = timer.next_;
  if (timer.next_ != nullptr) timer.next_->back_ = timer.back_;
  timer.next_ = nullptr;
  timer.back_ = nullptr;
  timer.slot_time_ = Timer::kNever;
}

void TimerWheel::link(Timer& timer, MonotonicMs when) {
  if (when < current_) {
    push(due_, timer);
    timer.slot_time_ = when;
    return;
  }
  constexpr MonotonicMs kHorizonMask = (MonotonicMs{1} << (kLevels * kSlotBits)) - 1;
  // Beyond the horizon: look again at its end.
  if ((when ^ current_) > kHorizonMask) when = current_ | kHorizonMask;
  const int highest_bit = static_cast<int>(std::bit_width((when ^ current_) | 1)) - 1;
  const int level = highest_bit / kSlotBits;
  const MonotonicMs start = when >> (level * kSlotBits);
  const auto slot = start & (kSlots - 1);
  push(slots_[level][slot], timer);
  occupied_[level] |= uint64_t{1} << slot;
  timer.slot_time_ = when;
  next_at_ = std::min(next_at_, std::max(current_, start << (level * kSlotBits)));
}

std::optional<TimerWheel::Event> TimerWheel::next_event() const {
  std::optional<Event> best;
  // From the top, so that a slot that moves down at some tick does so before that tick's timers
  // run.
  for (int level = kLevels - 1; level >= 0; --level) {
    const int shift = level * kSlotBits;
    const auto digit = (current_ >> shift) & (kSlots - 1);
    uint64_t candidates = occupied_[level] & (~uint64_t{0} << digit);
    for (; candidates != 0; candidates &= candidates - 1) {
      const int slot = std::countr_zero(candidates);
      if (slots_[level][slot] == nullptr) continue;  // emptied by cancellation
      const MonotonicMs window = current_ >> (shift + kSlotBits) << (shift + kSlotBits);
      const MonotonicMs at = std::max(current_, window | (MonotonicMs(slot) << shift));
      if (!best || at < best->at) best = Event{at, level, slot};
      break;
    }
  }
  return best;
}

Timer* TimerWheel::take_slot(const Event& event) {
  occupied_[event.level] &= ~(uint64_t{1} << event.slot);
  return std::exchange(slots_[event.level][event.slot], nullptr);
}

void TimerWheel::advance() {
  if (due_ != nullptr) run_slot(std::exchange(due_, nullptr));
  const MonotonicMs now = time_.now_ms;
  if (now < next_at_) {
    current_ = std::max(current_, now + 1);
    return;
  }
  for (auto event = next_event(); event && event->at <= now; event = next_event()) {
    Timer* list = take_slot(*event);
    current_ = event->at;
    if (event->level > 0) {
      cascade(list);
      continue;
    }
    ++current_;  // what a callback arms for this very tick waits for the next advance
    run_slot(list);
  }
  current_ = std::max(current_, now + 1);
  const auto event = next_event();
  next_at_ = event ? event->at : Timer::kNever;
}

void TimerWheel::run_slot(Timer* list) {
  if (list == nullptr) return;
  list->back_ = &list;
  while (list != nullptr) {
    Timer& timer = *list;
    unlink(timer);
    if (timer.deadline_ == Timer::kNever) continue;
    if (timer.deadline_ >= current_) {
      link(timer, timer.deadline_);  // was moved later meanwhile
      continue;
    }
    timer.deadline_ = Timer::kNever;
    timer.callback_(timer.owner_);
  }
}

void TimerWheel::cascade(Timer* list) {
  list->back_ = &list;
  while (list != nullptr) {
    Timer& timer = *list;
    unlink(timer);
    if (timer.deadline_ != Timer::kNever) link(timer, std::max(timer.deadline_, current_));
  }
}

std::optional<uint64_t> TimerWheel::next_wait_ms() const {
  if (due_ != nullptr) return 0;
  if (next_at_ == Timer::kNever) return std::nullopt;
  return next_at_ > time_.now_ms ? next_at_ - time_.now_ms : 0;
}

}  // namespace remora
