// Kernel clock readings behind TurnTime. Any thread.
#include "proxy/base/clock.h"

#include <time.h>

namespace remora {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

int64_t read_ns(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

}  // namespace

MonotonicMs monotonic_now_ms() { return monotonic_now_us() / 1000; }

uint64_t monotonic_now_us() { return static_cast<uint64_t>(read_ns(CLOCK_MONOTONIC)) / 1000; }

WallNs wall_now_ns() { return read_ns(CLOCK_REALTIME); }

}  // namespace remora
