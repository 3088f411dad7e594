// A worker's clusters: look-up by name, host choice, pools, circuit breakers. Owned by the Worker;
// that thread only. What the workers of a cluster share (limits in use, stats group) is in
// ClusterShared. CONTRACT (additive).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/metadata.h"
#include "proxy/base/string_map.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/priority_load.h"
#include "proxy/upstream/worker_context.h"

namespace remora::upstream {

class Cluster;             // cluster.h: one worker's half of a cluster
class MetadataCriteria;    // metadata_criteria.h
class PreviousPriorities;  // previous_priorities.h
class ClusterShared;  // cluster_shared.h: stats group and circuit-breaker counts, one per cluster
                      // in the process

/// What a balancer may look at. All optional.
struct PickContext {
  const Address* original_destination =
      nullptr;                              // ORIGINAL_DST: the connection's restored local address
  std::string_view override_host_header;    // ORIGINAL_DST with use_http_header
  std::string_view override_host_metadata;  // ORIGINAL_DST with metadata_key
  std::optional<uint64_t> hash;             // of the request, for policies that choose by it
  const MetadataCriteria* metadata = nullptr;  // what is asked of the host, for subsets
  uint32_t attempt = 0;                  // hosts that were drawn for this choice and not wanted
  uint64_t random = 0;                   // 64 random bits of the request; 0: the worker draws some
  std::string_view override_host;        // address of the one to take, whatever the policy says
  bool override_host_strict = false;     // or else nobody
  std::optional<PriorityChoice> choice;  // made by an aggregate cluster for its member
  const Host* const* avoid = nullptr;    // hosts already tried (previous_hosts predicate)
  size_t avoid_count = 0;
  bool avoid_canaries = false;  // the same (omit_canary_hosts)
  // Who has all of one of these (omit_host_metadata); null: nothing.
  const std::vector<MetadataStruct>* avoid_labels = nullptr;
  PreviousPriorities* previous_priorities = nullptr;  // of a retry; null: they do not matter
  uint32_t max_attempts = 1;  // how many more draws when the host is one of them
};

class ClusterMap {
  /// What a cluster is made of when it is first asked for. Most never are.
  struct Unmade {
    std::shared_ptr<const ClusterConfig> config;
    std::shared_ptr<ClusterShared> shared;
    std::shared_ptr<const HostSet> hosts;
  };
  struct Entry {
    std::unique_ptr<Cluster> cluster;
    std::unique_ptr<Unmade> unmade;  // while there is no `cluster`
  };

 public:
  explicit ClusterMap(WorkerContext& worker);
  ~ClusterMap();

  /// Null when there is no such cluster (then 503 NC).
  Cluster* find(std::string_view name) {
    const auto found = clusters_.find(name);
    if (found == clusters_.end()) return nullptr;
    Entry& entry = found->second;
    return entry.cluster != nullptr ? entry.cluster.get() : make(entry);
  }

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

  /// Those that were ever asked for.
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

  /// The cluster that this proxy is part of, by whose hosts other clusters know how much traffic
  /// every zone brings; `here`: the locality of this proxy.
  void set_local_cluster(std::string name, Locality here) {
    local_cluster_ = std::move(name);
    here_ = std::move(here);
  }

  // --- for its clusters ---
  /// Null: there is no such cluster.
  std::shared_ptr<const HostSet> local_hosts();
  const Locality& here() const { return here_; }
  /// Another one whenever a cluster was added, removed or has got other hosts.
  uint64_t generation() const { return generation_; }
  bool is_own_address(const Address& address) const {
    return is_own_address_ && is_own_address_(address);
  }
  void cluster_finished(Cluster& cluster);

 private:
  Cluster* make(Entry& entry);
  void retire(std::unique_ptr<Cluster> cluster);
  void hosts_changed(std::string_view name);

  WorkerContext& worker_;
  std::function<bool(const Address&)> is_own_address_;
  std::string local_cluster_;  // empty: none
  Locality here_;
  uint64_t generation_ = 1;
  StringMap<Entry> clusters_;
  std::vector<std::unique_ptr<Cluster>> retired_;
};

}  // namespace remora::upstream
