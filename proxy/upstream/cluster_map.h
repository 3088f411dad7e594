// A worker's clusters: look-up by name, host choice, pools, circuit breakers. Owned by the Worker; that thread only.
// What the workers of a cluster share (limits in use, stats group) is in ClusterShared.
// CONTRACT (additive).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "proxy/base/string_map.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/worker_context.h"

namespace remora::upstream {

class Cluster;        // cluster.h: one worker's half of a cluster
class ClusterShared;  // cluster_shared.h: stats group and circuit-breaker counts, one per cluster in the process

/// What a balancer may look at. All optional.
struct PickContext {
  const Address* original_destination = nullptr;   // ORIGINAL_DST: the connection's restored local address
  std::string_view override_host_header;            // ORIGINAL_DST with use_http_header
  uint64_t random = 0;
  const Host* const* avoid = nullptr;               // hosts already tried (previous_hosts predicate)
  size_t avoid_count = 0;
  uint32_t max_attempts = 1;
};

class ClusterMap {
 public:
  explicit ClusterMap(WorkerContext& worker);
  ~ClusterMap();

  /// Null when there is no such cluster (then 503 NC).
  Cluster* find(std::string_view name);

  // --- configuration, applied by the worker as messages come ---
  /// Adds, or replaces the configuration of, a cluster. Pools to hosts that stayed are kept when nothing that concerns
  /// connections (transport, bind address, protocol) changed; otherwise they drain.
  void update(std::shared_ptr<const ClusterConfig> config, std::shared_ptr<ClusterShared> shared,
              std::shared_ptr<const HostSet> hosts);
  /// New endpoints: connections to hosts that stayed are not touched, pools of vanished hosts drain.
  void update_hosts(std::string_view name, std::shared_ptr<const HostSet> hosts);
  /// Removes: idle connections close, active requests and tunnels finish.
  void remove(std::string_view name);

  void for_each(const std::function<void(Cluster&)>& f);

 private:
  WorkerContext& worker_;
  StringMap<std::unique_ptr<Cluster>> clusters_;
};

}  // namespace remora::upstream
