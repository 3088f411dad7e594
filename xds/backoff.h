// How long to wait before the next try: exponential with full jitter, as Envoy waits. Owned by
// whoever retries.
#pragma once

#include <algorithm>
#include <cstdint>

namespace remora::xds {

struct BackoffLimits {
  uint64_t base_ms = 500;
  uint64_t max_ms = 30'000;
};

class Backoff {
 public:
  explicit Backoff(const BackoffLimits& limits)
      : base_ms_(std::max<uint64_t>(limits.base_ms, 1)),
        max_ms_(std::max(limits.max_ms, base_ms_)),
        next_ms_(base_ms_) {}

  /// Anything from 0 to the current bound, which then doubles.
  uint64_t next_ms(uint64_t random) {
    const uint64_t bound = next_ms_;
    next_ms_ = bound > max_ms_ / 2 ? max_ms_ : bound * 2;
    return random % bound;
  }
  void reset() { next_ms_ = base_ms_; }

 private:
  uint64_t base_ms_;
  uint64_t max_ms_;
  uint64_t next_ms_;
};

}  // namespace remora::xds
