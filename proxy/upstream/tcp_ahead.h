// TCP connections that are made before sessions want them: how many each host has, and who takes
// them. Part of a worker's Cluster; that worker's thread. Document:
// envoy.config.cluster.v3.Cluster.PreconnectPolicy.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/functional/function_ref.h>

#include <cstdint>
#include <vector>

#include "proxy/upstream/host_set.h"

namespace remora::upstream {

class Cluster;
class TcpUpstream;

class TcpAhead {
 public:
  explicit TcpAhead(Cluster& cluster) : cluster_(cluster) {}

  /// A connection to `host` that nobody uses, one that stands before one that is being made; null:
  /// there is none.
  TcpUpstream* take(const Host& host);
  /// `upstream` has a user from now on: connects for those that are likely to follow to its host.
  void used(TcpUpstream& upstream);
  /// A session is about to begin: connects for those that are likely to follow, elsewhere.
  void connect_for_coming();
  /// Closes what nobody uses, of the hosts whose key `condition` holds for.
  void close_spares(absl::FunctionRef<bool(const Host& key)> condition);

  // --- for its connections ---
  void no_longer_used(const Host& host);
  void spare_gone(TcpUpstream& spare);

 private:
  /// Of hosts that share a key; there while it counts anything.
  struct OfHost {
    std::vector<TcpUpstream*> spares;
    uint64_t users = 0;  // sessions that have, or wait for, a connection of theirs
    bool wants_more(double ratio, uint64_t coming) const;
  };

  bool connect(const HostPtr& host);
  void maybe_forget(const Host& host);

  Cluster& cluster_;
  absl::flat_hash_map<const Host*, OfHost> hosts_;  // by Host::pool_key()
};

}  // namespace remora::upstream
