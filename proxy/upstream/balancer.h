// How a worker chooses a host: the interface of balancers, and the choice within one list of hosts
// that the list balancer makes by policy. Owned by the worker's Cluster and made again when its
// host set changes. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/cluster_shared.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/worker_context.h"

namespace remora::upstream {

class Balancer {
 public:
  virtual ~Balancer() = default;
  /// A host, or null when none may take the request.
  virtual HostPtr pick(const PickContext& context) = 0;
};

/// What balancers are made with besides the hosts.
struct BalancerParts {
  std::shared_ptr<const ClusterConfig> config;
  WorkerContext& worker;
  ClusterShared& shared;                          // outlives the balancer
  std::shared_ptr<const HostSet> own_hosts = {};  // of the cluster that this proxy is part of
  Locality here = {};                             // and where it is among them

  stats::Slab<stats::ClusterSchema>& stats() const { return shared.stats().at(worker.index()); }
};

/// The balancer of the cluster's policy for `hosts`: of each subset, where it has some.
std::unique_ptr<Balancer> make_balancer(const BalancerParts& parts,
                                        std::shared_ptr<const HostSet> hosts);
/// The same for hosts that are one set.
std::unique_ptr<Balancer> make_plain_balancer(const BalancerParts& parts,
                                              std::shared_ptr<const HostSet> hosts);

/// Chooses within one list of at least two hosts that does not change while the picker lives.
class ListPicker {
 public:
  virtual ~ListPicker() = default;
  virtual const HostPtr& pick() = 0;
};

using HostList = std::vector<HostPtr>;

/// The picker of the cluster's policy for `hosts`.
std::unique_ptr<ListPicker> make_list_picker(const ClusterConfig& config, const HostList& hosts,
                                             WorkerContext& worker);

/// Whether all weights of `hosts` are the same, so that weights need not be looked at.
bool equal_weights(const HostList& hosts);

}  // namespace remora::upstream
