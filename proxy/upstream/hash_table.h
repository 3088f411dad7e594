// Consistent hashing: tables that lead a hash to a host, so that few hashes move when hosts come or
// go. The entries are Envoy's: a fleet of both sends a key to the same host. Built on the main
// thread with the host set, then shared by the workers; immutable. Documents: "Ring hash" and
// "Maglev" of Envoy's load balancing pages, envoy.extensions.load_balancing_policies.ring_hash.v3,
// maglev.v3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/host_set.h"

namespace remora::upstream {

/// A host and the part of the traffic that is due to it; all parts of a table together are 1.
struct HostShare {
  HostPtr host;
  double share = 0;
};

class HashTable {
 public:
  virtual ~HashTable() = default;
  /// `attempt` counts hosts that were found for this hash and not wanted. `active_requests` of the
  /// whole cluster matter to tables that bound the load.
  virtual const HostPtr& choose(uint64_t hash, uint32_t attempt,
                                uint64_t active_requests) const = 0;
  /// The least and the most entries that a host has, for statistics.
  size_t least_entries() const { return least_entries_; }
  size_t most_entries() const { return most_entries_; }
  size_t size() const { return size_; }

 protected:
  size_t size_ = 0;
  size_t least_entries_ = 0;
  size_t most_entries_ = 0;
};

/// What of a host is hashed: hash_key of its metadata, its name if `use_hostname`, or its address.
std::string hash_key_of(const Host& host, bool use_hostname);

/// `shares` is not empty.
std::shared_ptr<const HashTable> make_ring(std::span<const HostShare> shares,
                                           const HashPolicyConfig& config);
std::shared_ptr<const HashTable> make_maglev(std::span<const HostShare> shares,
                                             const HashPolicyConfig& config);
/// Hosts with more than config.balance_factor percent of their part of the requests in flight are
/// passed over.
std::shared_ptr<const HashTable> bound_load(std::shared_ptr<const HashTable> table,
                                            std::vector<HostShare> shares,
                                            const HashPolicyConfig& config);

/// The tables of `hosts` by priority: of the healthy hosts, or of all where the priority panics.
/// Null where there is none to choose.
std::vector<std::shared_ptr<const HashTable>> make_hash_tables(const HostSet& hosts,
                                                               const ClusterConfig& config);

/// MurmurHash2 of 64 bits with the seed that rings of this function have.
uint64_t murmur_hash2(std::string_view text);

}  // namespace remora::upstream
