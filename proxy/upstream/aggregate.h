// A cluster made of others in order of preference: their priorities make one list, by which the
// member for a request is chosen; the host is then the member's choice. Owned by the worker's
// Cluster; one thread. Document: envoy.extensions.clusters.aggregate.v3.ClusterConfig.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/priority_load.h"
#include "proxy/upstream/worker_context.h"

namespace remora::upstream {

class Aggregate {
 public:
  Aggregate(std::shared_ptr<const ClusterConfig> config, ClusterMap& map, WorkerContext& worker)
      : config_(std::move(config)), map_(map), worker_(worker) {}

  /// The member that serves the request; `context` says then by which of its priorities. Null: no
  /// member has hosts.
  Cluster* choose(PickContext& context);

 private:
  struct Level {
    Cluster* cluster;
    uint32_t priority;  // its own
  };
  void refresh();
  std::optional<uint32_t> level_of(const Host& host) const;

  std::shared_ptr<const ClusterConfig> config_;
  ClusterMap& map_;
  WorkerContext& worker_;
  uint64_t generation_ = 0;  // of the map, when the levels were found
  std::vector<Level> levels_;
  std::vector<PriorityCounts> counts_;  // by level
  PriorityLoad load_;
};

}  // namespace remora::upstream
