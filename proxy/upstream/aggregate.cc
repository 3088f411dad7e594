#include "proxy/upstream/aggregate.h"

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/cluster.h"

namespace remora::upstream {

/// Clusters may come, go and change hosts between two requests.
void Aggregate::refresh() {
  generation_ = map_.generation();
  levels_.clear();
  std::vector<PriorityCounts> counts;
  for (const std::string& name : balancing_of(*config_).members) {
    Cluster* cluster = map_.find(name);
    if (cluster == nullptr) continue;
    const HostSet& hosts = cluster->hosts();
    for (uint32_t i = 0; i < hosts.priorities.size(); ++i) {
      const PriorityHosts& priority = hosts.priorities[i];
      if (priority.hosts.empty()) continue;
      levels_.push_back({cluster, i});
      counts.push_back({static_cast<uint32_t>(priority.hosts.size()) - priority.excluded,
                        static_cast<uint32_t>(priority.healthy.size()),
                        static_cast<uint32_t>(priority.degraded.size()),
                        hosts.overprovisioning_percent});
    }
  }
  if (levels_.empty()) return;
  load_ = compute_priority_load(counts, 0, config_->panic_threshold_percent);
}

Cluster* Aggregate::choose(PickContext& context) {
  if (generation_ != map_.generation()) refresh();
  if (levels_.empty()) return nullptr;
  const uint64_t random = context.random != 0 ? context.random : worker_.random();
  const PriorityChoice choice = choose_priority(load_, random);
  const Level& level = levels_[choice.priority];
  context.choice = PriorityChoice{level.priority, choice.degraded};
  return level.cluster;
}

}  // namespace remora::upstream
