// A worker's clusters: look-up by name, host choice, pools, circuit breakers. Owned by the Worker;
// that thread only. What the workers of a cluster share (limits in use, stats group) is in
// ClusterShared. CONTRACT (additive).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/worker_context.h"

namespace remora::upstream {

class Cluster;        // cluster.h: one worker's half of a cluster
class ClusterShared;  // cluster_shared.h: stats group and circuit-breaker counts, one per cluster
                      // in the process

/// What a balancer may look at. All optional.
struct PickContext {
  const Address* original_destination =
      nullptr;                            // ORIGINAL_DST: the connection's restored local address
  std::string_view override_host_header;  // ORIGINAL_DST with use_http_header
  std::optional<uint64_t> hash;           // of the request, for policies that choose by it
  uint32_t attempt = 0;                   // hosts that were drawn for this choice and not wanted
  uint64_t random = 0;                    // 64 random bits of the request; 0: the worker draws some
  const Host* const* avoid = nullptr;     // hosts already tried (previous_hosts predicate)
  size_t avoid_count = 0;
  uint32_t max_attempts = 1;  // how many more draws when the host is one of them
};

class ClusterMap {
 public:
  explicit ClusterMap(WorkerContext& worker);
  ~ClusterMap();

  /// Null when there is no such cluster (then 503 NC).
  Cluster* find(std::string_view name);

  // --- configuration, applied by the worker as messages come ---
  /// Adds, or replaces the configuration of, a cluster. Pools to hosts that stayed are kept when
  /// nothing that concerns connections (transport, bind address, protocol) changed; otherwise they
  /// drain.
  void update(std::shared_ptr<const ClusterConfig> config, std::shared_ptr<ClusterShared> shared,
              std::shared_ptr<const HostSet> hosts);
  /// New endpoints: connections to hosts that stayed are not touched, pools of vanished hosts
  /// drain.
  void update_hosts(std::string_view name, std::shared_ptr<const HostSet> hosts);
  /// Removes: idle connections close, active requests and tunnels finish.
  void remove(std::string_view name);

  void for_each(const std::function<void(Cluster&)>& f);
  /// Those too that were removed and still finish what is in flight.
  void for_each_with_retired(const std::function<void(Cluster&)>& f);
  size_t size() const { return clusters_.size(); }
  /// Clusters that were removed and still finish what is in flight.
  size_t retired_count() const { return retired_.size(); }

  /// Loop protection: ORIGINAL_DST clusters send nothing to an address for which `is_own` answers
  /// true.
  void set_loop_guard(std::function<bool(const Address&)> is_own) {
    is_own_address_ = std::move(is_own);
  }

  // --- for its clusters ---
  bool is_own_address(const Address& address) const {
    return is_own_address_ && is_own_address_(address);
  }
  void cluster_finished(Cluster& cluster);

 private:
  void retire(std::unique_ptr<Cluster> cluster);

  WorkerContext& worker_;
  std::function<bool(const Address&)> is_own_address_;
  StringMap<std::unique_ptr<Cluster>> clusters_;
  std::vector<std::unique_ptr<Cluster>> retired_;
};

}  // namespace remora::upstream
