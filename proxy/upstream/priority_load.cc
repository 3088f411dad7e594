// Integer arithmetic and its rounding are Envoy's: the same hosts get the same percentages.
#include "proxy/upstream/priority_load.h"

#include <algorithm>
#include <optional>

namespace remora::upstream {
namespace {

using Shares = std::vector<PriorityLoad::Share>;

// Health of a priority in percent: the fraction of hosts, overprovisioned, at most 100.
std::vector<uint32_t> availability(std::span<const PriorityCounts> priorities,
                                   uint32_t PriorityCounts::*count,
                                   uint32_t overprovisioning_percent) {
  std::vector<uint32_t> percent;
  for (const PriorityCounts& counts : priorities) {
    const uint64_t factor = counts.overprovisioning_percent != 0 ? counts.overprovisioning_percent
                                                                 : overprovisioning_percent;
    const uint64_t value = counts.hosts == 0 ? 0 : factor * (counts.*count) / counts.hosts;
    percent.push_back(static_cast<uint32_t>(std::min<uint64_t>(100, value)));
  }
  return percent;
}

struct Spread {
  std::optional<size_t> first_available;
  uint32_t remaining = 0;
};

// Gives each priority in turn as much of `load` as it has room for.
Spread spread(Shares& shares, uint32_t PriorityLoad::Share::*share,
              const std::vector<uint32_t>& available, uint32_t load, uint32_t total_available) {
  Spread result;
  for (size_t i = 0; i < available.size(); ++i) {
    if (!result.first_available && available[i] > 0) result.first_available = i;
    const uint32_t taken = std::min(load, available[i] * 100 / total_available);
    shares[i].*share = taken;
    load -= taken;
  }
  result.remaining = load;
  return result;
}

bool in_panic(const PriorityCounts& counts, uint32_t threshold_percent) {
  if (counts.hosts == 0) return threshold_percent > 0;
  return 100.0 * (counts.healthy + counts.degraded) / counts.hosts < threshold_percent;
}

// Every priority panics: share by the number of hosts, whatever their health.
void spread_by_size(Shares& shares, std::span<const PriorityCounts> priorities) {
  uint64_t hosts = 0;
  for (const PriorityCounts& counts : priorities) hosts += counts.hosts;
  if (hosts == 0) {
    shares[0].healthy = 100;
    return;
  }
  uint32_t remaining = 100;
  std::optional<size_t> first;
  for (size_t i = 0; i < priorities.size(); ++i) {
    if (!first && priorities[i].hosts > 0) first = i;
    shares[i].healthy = static_cast<uint32_t>(uint64_t{100} * priorities[i].hosts / hosts);
    shares[i].degraded = 0;
    remaining -= shares[i].healthy;
  }
  shares[*first].healthy += remaining;
}

}  // namespace

PriorityLoad compute_priority_load(std::span<const PriorityCounts> priorities,
                                   uint32_t overprovisioning_percent,
                                   uint32_t panic_threshold_percent) {
  PriorityLoad load;
  load.shares.resize(priorities.size());
  const auto healthy = availability(priorities, &PriorityCounts::healthy, overprovisioning_percent);
  const auto degraded =
      availability(priorities, &PriorityCounts::degraded, overprovisioning_percent);
  uint32_t total = 0;
  for (size_t i = 0; i < priorities.size(); ++i) total += healthy[i] + degraded[i];
  total = std::min<uint32_t>(total, 100);

  if (total > 0) {
    const Spread first = spread(load.shares, &PriorityLoad::Share::healthy, healthy, 100, total);
    const Spread second =
        spread(load.shares, &PriorityLoad::Share::degraded, degraded, first.remaining, total);
    // Rounding leaves a few percent: to the first priority that has anything.
    if (first.first_available) {
      load.shares[*first.first_available].healthy += second.remaining;
    } else {
      load.shares[*second.first_available].degraded += second.remaining;
    }
  }

  const uint32_t threshold = std::min<uint32_t>(panic_threshold_percent, 100);
  if (threshold == 0 && total == 0) {
    load.shares[0].healthy = 100;  // nobody there, and nobody to panic to
    return load;
  }
  bool all_panic = true;
  for (size_t i = 0; i < priorities.size(); ++i) {
    load.shares[i].panic = total < 100 && in_panic(priorities[i], threshold);
    all_panic = all_panic && load.shares[i].panic;
  }
  if (all_panic) spread_by_size(load.shares, priorities);
  return load;
}

PriorityChoice choose_priority(const PriorityLoad& load, uint64_t random) {
  const uint32_t point = random % 100 + 1;
  uint32_t reached = 0;
  for (uint32_t i = 0; i < load.shares.size(); ++i) {
    reached += load.shares[i].healthy;
    if (point <= reached) return {i, false};
  }
  for (uint32_t i = 0; i < load.shares.size(); ++i) {
    reached += load.shares[i].degraded;
    if (point <= reached) return {i, true};
  }
  return {};
}

}  // namespace remora::upstream
