// The balancer of clusters that choose hosts by a hash of the request (ring hash, Maglev): the hash
// picks the priority and, in that priority's table, the host. Without a hash it is a random choice.
// Owned by the worker's Cluster; one thread.
#pragma once

#include <memory>

#include "proxy/upstream/balancer.h"
#include "proxy/upstream/cluster_shared.h"
#include "proxy/upstream/priority_load.h"

namespace remora::upstream {

class HashBalancer final : public Balancer {
 public:
  HashBalancer(const BalancerParts& parts, std::shared_ptr<const HostSet> hosts);

  HostPtr pick(const PickContext& context) override;

 private:
  std::shared_ptr<const HostSet> hosts_;
  WorkerContext& worker_;
  const ClusterShared& shared_;  // knows the requests in flight, for tables that bound the load
  stats::Slab<stats::ClusterSchema>& stats_;
  PriorityLoad load_;
};

}  // namespace remora::upstream
