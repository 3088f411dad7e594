#include "proxy/upstream/previous_priorities.h"

#include <algorithm>

namespace remora::upstream {
namespace {

/// Whether a priority would get any share.
bool serves(const PriorityCounts& counts, uint32_t overprovisioning_percent) {
  const uint64_t factor = counts.overprovisioning_percent != 0 ? counts.overprovisioning_percent
                                                               : overprovisioning_percent;
  return counts.hosts != 0 && (factor * counts.healthy / counts.hosts != 0 ||
                               factor * counts.degraded / counts.hosts != 0);
}

}  // namespace

const PriorityLoad& PreviousPriorities::load(std::span<const PriorityCounts> priorities,
                                             uint32_t overprovisioning_percent,
                                             const PriorityLoad& own,
                                             const PriorityOf& priority_of) {
  if (attempted_.size() < frequency_) return own;
  excluded_.resize(priorities.size());
  if (attempted_.size() % frequency_ != 0) return load_.shares.empty() ? own : load_;
  for (const HostPtr& host : attempted_) {
    const std::optional<uint32_t> priority = priority_of(*host);
    if (priority && *priority < excluded_.size()) excluded_[*priority] = true;
  }
  return share_without_excluded(priorities, overprovisioning_percent) ? load_ : own;
}

/// When nothing is left they all are there again. Answers whether any priority serves at all.
bool PreviousPriorities::share_without_excluded(std::span<const PriorityCounts> priorities,
                                                uint32_t overprovisioning_percent) {
  const auto rest = [&] {
    std::vector<PriorityCounts> counts(priorities.begin(), priorities.end());
    for (size_t i = 0; i < counts.size(); ++i) {
      if (excluded_[i]) counts[i].healthy = counts[i].degraded = 0;
    }
    return counts;
  };
  const auto any_serves = [&](const std::vector<PriorityCounts>& counts) {
    return std::ranges::any_of(
        counts, [&](const auto& one) { return serves(one, overprovisioning_percent); });
  };
  std::vector<PriorityCounts> counts = rest();
  if (!any_serves(counts)) {
    excluded_.assign(excluded_.size(), false);
    attempted_.clear();
    counts = rest();
    if (!any_serves(counts)) return false;
  }
  load_ = compute_priority_load(counts, overprovisioning_percent, 0);
  return true;
}

}  // namespace remora::upstream
