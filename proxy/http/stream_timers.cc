#include "proxy/http/stream_timers.h"

namespace remora::http {
namespace {

void arm_if_set(Timer& timer, uint64_t ms) {
  if (ms != 0) timer.arm(ms);
}

}  // namespace

StreamTimers::StreamTimers(TimerWheel& wheel, Owner& owner)
    : owner_(owner),
      headers_(wheel, Timer::bind<&StreamTimers::on_headers_timeout, StreamTimers>(), this),
      request_(wheel, Timer::bind<&StreamTimers::on_request_timeout, StreamTimers>(), this),
      idle_(wheel, Timer::bind<&StreamTimers::on_idle_timeout, StreamTimers>(), this),
      duration_(wheel, Timer::bind<&StreamTimers::on_max_duration, StreamTimers>(), this) {}

void StreamTimers::start(const Limits& limits) {
  idle_ms_ = limits.idle;
  arm_if_set(headers_, limits.request_headers);
  arm_if_set(request_, limits.request);
  arm_if_set(idle_, limits.idle);
  arm_if_set(duration_, limits.max_duration);
}

void StreamTimers::set_idle(uint64_t idle_ms) {
  idle_ms_ = idle_ms;
  if (idle_ms == 0) {
    idle_.disarm();
  } else {
    idle_.arm(idle_ms);
  }
}

void StreamTimers::set_max_duration(uint64_t ms) {
  if (ms == 0) {
    duration_.disarm();
  } else {
    duration_.arm(ms);
  }
}

void StreamTimers::stop() {
  headers_.disarm();
  request_.disarm();
  idle_.disarm();
  duration_.disarm();
}

}  // namespace remora::http
