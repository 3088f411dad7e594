// How traffic is spread over the priorities of a host set: percentages by health, overprovisioning
// and panic. Pure functions of counts; used by the balancers. Any thread. Document: "Priority
// levels", "Degraded endpoints" and "Panic threshold" of Envoy's load balancing pages.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace remora::upstream {

/// Hosts of one priority by health. `hosts` counts the unhealthy ones too.
struct PriorityCounts {
  uint32_t hosts = 0;
  uint32_t healthy = 0;
  uint32_t degraded = 0;
  uint32_t overprovisioning_percent = 0;  // of this one; 0: that of all
};

/// Percent of the traffic that each priority's healthy and degraded hosts take; all together 100.
struct PriorityLoad {
  struct Share {
    uint32_t healthy = 0;
    uint32_t degraded = 0;
    bool panic = false;  // health no longer matters: all hosts of the priority share
    bool operator==(const Share&) const = default;
  };
  std::vector<Share> shares;
};

/// `priorities` is not empty. A `panic_threshold_percent` of 0 switches panic off.
PriorityLoad compute_priority_load(std::span<const PriorityCounts> priorities,
                                   uint32_t overprovisioning_percent,
                                   uint32_t panic_threshold_percent);

struct PriorityChoice {
  uint32_t priority = 0;
  bool degraded = false;
};

/// Any 64 random bits pick a priority by its share.
PriorityChoice choose_priority(const PriorityLoad& load, uint64_t random);

}  // namespace remora::upstream
