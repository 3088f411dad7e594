// Which priorities the retries of one request go to: those that no attempt went to before, while
// there are some. Owned by the router of the request; its worker's thread. Document:
// envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "proxy/upstream/host_set.h"
#include "proxy/upstream/priority_load.h"

namespace remora::upstream {

class PreviousPriorities {
 public:
  /// Which of the priorities a host belongs to; nullopt: none of them any more.
  using PriorityOf = std::function<std::optional<uint32_t>(const Host&)>;

  /// What was tried counts after every `update_frequency` attempts; greater than 0.
  explicit PreviousPriorities(uint32_t update_frequency) : frequency_(update_frequency) {}

  /// An attempt at `host` is about to be repeated.
  void attempted(HostPtr host) { attempted_.push_back(std::move(host)); }

  /// The shares for the next attempt, where `own` are those that hold for first attempts.
  const PriorityLoad& load(std::span<const PriorityCounts> priorities,
                           uint32_t overprovisioning_percent, const PriorityLoad& own,
                           const PriorityOf& priority_of);

 private:
  bool share_without_excluded(std::span<const PriorityCounts> priorities,
                              uint32_t overprovisioning_percent);

  const uint32_t frequency_;
  std::vector<HostPtr> attempted_;
  std::vector<bool> excluded_;  // by priority
  PriorityLoad load_;
};

}  // namespace remora::upstream
