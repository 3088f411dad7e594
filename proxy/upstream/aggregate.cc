#include "proxy/upstream/aggregate.h"

#include <algorithm>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/previous_priorities.h"

namespace remora::upstream {

/// Clusters may come, go and change hosts between two requests.
void Aggregate::refresh() {
  generation_ = map_.generation();
  levels_.clear();
  counts_.clear();
  for (const std::string& name : balancing_of(*config_).members) {
    Cluster* cluster = map_.find(name);
    if (cluster == nullptr) continue;
    const HostSet& hosts = cluster->hosts();
    for (uint32_t i = 0; i < hosts.priorities.size(); ++i) {
      const PriorityHosts& priority = hosts.priorities[i];
      if (priority.hosts.empty()) continue;
      levels_.push_back({cluster, i});
      counts_.push_back({static_cast<uint32_t>(priority.hosts.size()) - priority.excluded,
                         static_cast<uint32_t>(priority.healthy.size()),
                         static_cast<uint32_t>(priority.degraded.size()),
                         hosts.overprovisioning_percent});
    }
  }
  if (levels_.empty()) return;
  load_ = compute_priority_load(counts_, 0, config_->panic_threshold_percent);
}

/// Nullopt: its cluster has dropped it.
std::optional<uint32_t> Aggregate::level_of(const Host& host) const {
  for (uint32_t i = 0; i < levels_.size(); ++i) {
    const auto& hosts = levels_[i].cluster->hosts().priorities[levels_[i].priority].hosts;
    const auto is_it = [&](const HostPtr& other) { return other.get() == &host; };
    if (std::ranges::any_of(hosts, is_it)) return i;
  }
  return std::nullopt;
}

Cluster* Aggregate::choose(PickContext& context) {
  if (generation_ != map_.generation()) refresh();
  if (levels_.empty()) return nullptr;
  const uint64_t random = context.random != 0 ? context.random : worker_.random();
  const PriorityLoad& load =
      context.previous_priorities == nullptr
          ? load_
          : context.previous_priorities->load(counts_, 0, load_,
                                              [this](const Host& host) { return level_of(host); });
  const PriorityChoice choice = choose_priority(load, random);
  const Level& level = levels_[choice.priority];
  context.choice = PriorityChoice{level.priority, choice.degraded};
  return level.cluster;
}

}  // namespace remora::upstream
