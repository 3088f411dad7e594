// What a cluster may say about the choice of its hosts and connections to them, and few clusters
// do: apart from ClusterConfig, which everything includes. Immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/upstream/address_order.h"
#include "proxy/upstream/slow_start.h"
#include "proxy/upstream/subset_config.h"

namespace remora::upstream {

/// How much stays in the zone of this proxy.
struct ZoneAware {
  uint32_t routing_percent = 100;  // of the requests that zones count for
  uint64_t min_cluster_size = 6;   // healthy hosts
};

class DnsCache;                // dns_cache.h
struct PeakEwmaConfig;         // peak_ewma.h
struct ReportedWeightsConfig;  // reported_weights.h

/// Connections that are made before requests want them: so many times the room that the requests
/// take; 1: none.
struct Preconnect {
  double of_host = 1;     // for the requests of each host
  double of_cluster = 1;  // for those of all hosts, at the host that is next in turn
};

struct BalancingConfig {
  std::shared_ptr<const SubsetConfig> subsets;  // null: the cluster is one set
  std::vector<std::string> members;             // of an aggregate cluster; otherwise empty
  /// Of a dynamic forward proxy's cluster, whose hosts are the names it knows; null: another.
  std::shared_ptr<DnsCache> dns_cache;
  SlowStart slow_start;  // round robin and least request
  // Round robin by these weights, rather than by those that discovery says; null: not.
  std::shared_ptr<const ReportedWeightsConfig> reported_weights;
  std::shared_ptr<const PeakEwmaConfig> peak_ewma;  // null: another policy
  bool full_scan = false;                           // least request looks at all hosts
  ZoneAware zone_aware;
  bool fail_traffic_on_panic = false;  // rather than use hosts whatever their health
  /// Changes of health and weight within so much time reach the workers together; 0: at once.
  uint64_t update_merge_window_ms = 0;
  bool close_connections_on_host_set_change = false;
  Preconnect preconnect;
  AddressOrder address_order;  // of hosts that have several addresses
  /// ORIGINAL_DST: where in dynamic metadata the destination stands, from the outside in; empty:
  /// nowhere.
  std::vector<std::string> original_dst_metadata;
  /// Bits by EndpointStatus: which hosts may be asked for by address.
  uint32_t override_host_status = 1 << static_cast<uint32_t>(EndpointStatus::Unknown) |
                                  1 << static_cast<uint32_t>(EndpointStatus::Healthy) |
                                  1 << static_cast<uint32_t>(EndpointStatus::Degraded);
};

}  // namespace remora::upstream
