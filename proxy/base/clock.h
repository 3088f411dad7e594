// Time as the data path sees it. One reading per loop turn; nothing on the request path asks the
// kernel. CONTRACT.
#pragma once

#include <cstdint>

namespace remora {

/// Milliseconds on the monotonic clock; only differences mean something.
using MonotonicMs = uint64_t;

/// Nanoseconds since the Unix epoch, for logs and the `date` header.
using WallNs = int64_t;

/// Reads the kernel's clocks. Called once per loop turn and by code off the data path.
MonotonicMs monotonic_now_ms();
uint64_t monotonic_now_us();
WallNs wall_now_ns();

/// The time of the current loop turn. The event loop owns and advances it; tests own one and set
/// it.
struct TurnTime {
  MonotonicMs now_ms = 0;
  uint64_t now_us = 0;  // same clock, microseconds
  WallNs wall_ns = 0;
};

}  // namespace remora
