// One worker's half of a cluster: its configuration, hosts, balancer and pools. Owned by the ClusterMap.
// Thread: the worker's. CONTRACT (public part; additive).
#pragma once

#include <memory>
#include <string>

#include "proxy/stats/schemas.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/http_pool.h"
#include "proxy/upstream/tcp_pool.h"

namespace remora::upstream {

enum class Priority : uint8_t { Default, High };

class Cluster {
 public:
  const ClusterConfig& config() const { return *config_; }
  const std::shared_ptr<const ClusterConfig>& config_snapshot() const { return config_; }

  /// A host by the cluster's policy, or null (503 UH). Circuit breakers are not consulted here.
  HostPtr pick_host(const PickContext& context);

  /// A connection for one request to `host`.
  Acquired acquire_http(const HostPtr& host, Priority priority, HttpPoolWaiter& waiter);
  TcpAcquired acquire_tcp(const HostPtr& host, TcpWaiter& waiter);

  /// Circuit breaker for retries: true takes a place until release_retry().
  bool try_retry(Priority priority);
  void release_retry(Priority priority);

  // `stats()`: this worker's slab of the cluster's stats group (see proxy/stats); added with its type by the room.
 private:
  std::shared_ptr<const ClusterConfig> config_;
};

}  // namespace remora::upstream
