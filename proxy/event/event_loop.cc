// The turn of a thread over libevent's epoll backend. Owning thread only.
#include "proxy/event/event_loop.h"

#include <event2/event.h>

#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "proxy/event/fd_event.h"

namespace remora {
namespace {

event_base* new_base() {
  event_config* config = event_config_new();
  // Edge triggering and early close leave epoll as the only choice. Without a precise timer,
  // waiting for a timeout is epoll_wait's argument and never a timerfd.
  event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  if (base == nullptr) {
    std::fputs("cannot create an event loop: out of file descriptors or memory\n", stderr);
    std::abort();
  }
  return base;
}

// What a worker keeps of its free blocks, a second after it needed more. A load that goes on needs
// them again in the next turn: to ask the heap each time would cost more than the request's own
// headers do.
constexpr size_t kIdleBlocks = 64;
constexpr uint64_t kBurstMs = 1000;

TurnTime kernel_time() {
  const uint64_t now_us = monotonic_now_us();
  return {now_us / 1000, now_us, wall_now_ns()};
}

}  // namespace

EndOfTurn::~EndOfTurn() {
  if (loop_ != nullptr) loop_->unlink(*this);
}

EventLoop::EventLoop()
    : base_(new_base()),
      time_(kernel_time()),
      timers_(time_),
      burst_over_(timers_, Timer::bind<&EventLoop::on_burst_over, EventLoop>(), this) {
  tick_ = evtimer_new(base_, &EventLoop::on_tick, this);
}

EventLoop::~EventLoop() {
  while (!deferred_.empty()) {
    destroying_.swap(deferred_);
    destroying_.clear();
  }
  while (flush_head_ != nullptr) unlink(*flush_head_);
  event_free(tick_);
  event_base_free(base_);
}

void EventLoop::run() {
  stop_ = false;
  while (!stop_) turn(std::nullopt);
}

void EventLoop::run_once(uint64_t max_wait_ms) { turn(max_wait_ms); }

void EventLoop::turn(std::optional<uint64_t> max_wait_ms) {
  turn_begun_ = false;
  running_.swap(activated_);  // what this turn activates is for the next
  int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
  if (!running_.empty() || max_wait_ms == 0) {
    flags |= EVLOOP_NONBLOCK;
  } else {
    arm_tick(max_wait_ms);
  }
  event_base_loop(base_, flags);
  begin_turn();  // nothing happened: the clock is still to be read
  run_activated();
  timers_.advance();
  finish_turn();
}

void EventLoop::arm_tick(std::optional<uint64_t> max_wait_ms) {
  std::optional<uint64_t> wait = timers_.next_wait_ms();
  if (max_wait_ms && (!wait || *max_wait_ms < *wait)) wait = max_wait_ms;
  if (!wait) return;
  const MonotonicMs at = time_.now_ms + *wait;
  // An earlier tick that has become needless fires once for nothing; moving it would cost more.
  if (at >= tick_at_) return;
  const timeval delay = {static_cast<time_t>(*wait / 1000),
                         static_cast<suseconds_t>(*wait % 1000 * 1000)};
  event_add(tick_, &delay);
  tick_at_ = at;
}

void EventLoop::on_tick(int, short, void* self) {
  auto& loop = *static_cast<EventLoop*>(self);
  loop.tick_at_ = UINT64_MAX;
  loop.begin_turn();
}

void EventLoop::begin_turn() {
  if (turn_begun_) return;
  turn_begun_ = true;
  time_ = kernel_time();
}

void EventLoop::run_activated() {
  for (size_t i = 0; i < running_.size(); ++i) {
    FdEvent* event = running_[i];
    if (event == nullptr) continue;
    running_[i] = nullptr;
    event->callback_(event->owner_, std::exchange(event->activated_, uint8_t{0}));
  }
  running_.clear();
}

void EventLoop::at_end_of_turn(EndOfTurn& item) {
  if (item.loop_ != nullptr) return;
  item.loop_ = this;
  item.prev_ = flush_tail_;
  item.next_ = nullptr;
  (flush_tail_ != nullptr ? flush_tail_->next_ : flush_head_) = &item;
  flush_tail_ = &item;
}

void EventLoop::unlink(EndOfTurn& item) {
  (item.prev_ != nullptr ? item.prev_->next_ : flush_head_) = item.next_;
  (item.next_ != nullptr ? item.next_->prev_ : flush_tail_) = item.prev_;
  item.prev_ = item.next_ = nullptr;
  item.loop_ = nullptr;
}

void EventLoop::defer_delete(std::unique_ptr<Deferrable> object) {
  if (object != nullptr) deferred_.push_back(std::move(object));
}

void EventLoop::finish_turn() {
  while (flush_head_ != nullptr || !deferred_.empty()) {
    while (flush_head_ != nullptr) {
      EndOfTurn& item = *flush_head_;
      unlink(item);
      item.end_of_turn();
    }
    destroying_.swap(deferred_);
    destroying_.clear();  // may flush and defer again
  }
  if (blocks_.blocks_idle() > kIdleBlocks && !burst_over_.armed()) burst_over_.arm(kBurstMs);
}

void EventLoop::on_burst_over() { blocks_.trim(kIdleBlocks); }

}  // namespace remora
