// Slow start: a host that has only begun to serve gets a part of its traffic that grows with time.
// Pure functions. Document: "Slow start mode" of Envoy's load balancing pages.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "proxy/upstream/host_set.h"

namespace remora::upstream {

struct SlowStart {
  uint64_t window_ms = 0;   // 0: none
  double aggression = 1.0;  // above 1: more of the traffic early
  double min_weight = 0.1;  // the part to begin with
};

inline bool starts_slowly(const SlowStart& config, const Host& host, MonotonicMs now) {
  return host.serving_since() != 0 && now < host.serving_since() + config.window_ms &&
         host.overall_health() == Health::Healthy;
}

/// The part of its weight that `host` has now.
inline double slow_start_part(const SlowStart& config, const Host& host, MonotonicMs now) {
  if (!starts_slowly(config, host, now)) return 1;
  const MonotonicMs since = std::max<MonotonicMs>(now, host.serving_since() + 1);
  const double passed = static_cast<double>(since - host.serving_since()) / config.window_ms;
  const double part = config.aggression == 1 ? passed : std::pow(passed, 1 / config.aggression);
  return std::max(part, config.min_weight);
}

}  // namespace remora::upstream
