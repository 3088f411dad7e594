// How a worker chooses a host: the interface of balancers, and the choice within one list of hosts
// that the list balancer makes by policy. Owned by the worker's Cluster and made again when its
// host set changes. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/worker_context.h"

namespace remora::upstream {

class Balancer {
 public:
  virtual ~Balancer() = default;
  /// A host, or null when none may take the request.
  virtual HostPtr pick(const PickContext& context) = 0;
  /// Picks since the last call for which too few hosts were healthy and all were used.
  uint64_t take_panics() { return std::exchange(panics_, 0); }

 protected:
  uint64_t panics_ = 0;
};

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
