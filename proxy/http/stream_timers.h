// The deadlines of one request as its server sees them: headers, whole request, silence, total
// duration. Lazy timers: starting and ending a request stores numbers and asks the kernel nothing.
// Owned by the stream.
#pragma once

#include <cstdint>

#include "proxy/base/timer_wheel.h"

namespace remora::http {

enum class StreamDeadline : uint8_t { RequestHeaders, Request, Idle, MaxDuration };

class StreamTimers {
 public:
  /// Milliseconds; 0: none.
  struct Limits {
    uint64_t request_headers = 0;
    uint64_t request = 0;
    uint64_t idle = 0;
    uint64_t max_duration = 0;
  };
  class Owner {
   public:
    virtual void on_deadline(StreamDeadline which) = 0;

   protected:
    ~Owner() = default;
  };

  StreamTimers(TimerWheel& wheel, Owner& owner);

  /// The stream begins: every limit starts to run.
  void start(const Limits& limits);
  void on_headers_complete() { headers_.disarm(); }
  void on_request_complete() {
    headers_.disarm();
    request_.disarm();
  }
  /// Something moved, in either direction.
  void on_activity() {
    if (idle_ms_ != 0) idle_.arm(idle_ms_);
  }
  /// The route's own limits replace the connection manager's.
  void set_idle(uint64_t idle_ms);
  void set_max_duration(uint64_t ms);
  void stop();

 private:
  void on_headers_timeout() { owner_.on_deadline(StreamDeadline::RequestHeaders); }
  void on_request_timeout() { owner_.on_deadline(StreamDeadline::Request); }
  void on_idle_timeout() { owner_.on_deadline(StreamDeadline::Idle); }
  void on_max_duration() { owner_.on_deadline(StreamDeadline::MaxDuration); }

  Owner& owner_;
  uint64_t idle_ms_ = 0;
  Timer headers_;
  Timer request_;
  Timer idle_;
  Timer duration_;
};

}  // namespace remora::http
