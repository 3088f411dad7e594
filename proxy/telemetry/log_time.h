// Wall-clock times as text, by a strftime format with Envoy's additions. No allocation, and no lock
// for UTC. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"

namespace remora::telemetry {

enum class Zone : uint8_t { Utc, Local };

/// Envoy's defaults: 2016-04-15T20:17:00.310Z, 2016-04-15T22:17:00.310+0200.
inline constexpr std::string_view kDefaultTimeFormat = "%Y-%m-%dT%H:%M:%E3SZ";
inline constexpr std::string_view kDefaultLocalTimeFormat = "%Y-%m-%dT%H:%M:%E3S%z";

/// Beyond strftime: %s (seconds since the epoch), %f and %1f to %9f (fraction of the second), %E1S
/// to %E9S (seconds with a fraction), %Ez (zone as +hh:mm).
void append_time(WallNs time, std::string_view format, Zone zone, std::string& out);

}  // namespace remora::telemetry
