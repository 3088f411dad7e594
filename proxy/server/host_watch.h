// How hosts have fared lately, by what workers count of them: how long good answers took to begin
// and which new connections failed. What is looked at now and then is about the recent past, not
// about all that ever was. Owned by the ClusterManager; main thread.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string>

#include "proxy/upstream/host_set.h"

namespace remora::server {

/// What a host did in some time.
struct HostCounts {
  uint64_t connections = 0, failed = 0;  // new ones
  uint64_t answers = 0, answer_us = 0;   // good ones, and how long they took to begin, added up
  void add(const HostCounts& other);
};

class HostWatch {
 public:
  static constexpr uint64_t kLookEveryMs = 10'000;

  /// Begins to remember what is counted now; then comes look() for the hosts of every cluster.
  void begin_look();
  void look(const upstream::HostSet& hosts);
  /// Since the look before the last one.
  HostCounts lately(const upstream::Host& host) const;

 private:
  absl::flat_hash_map<const upstream::Host*, HostCounts> before_, last_;
};

/// Why a host is one to look at, for people; empty: nothing is wrong with it. `others` is what the
/// rest of its peers did in the same time.
std::string slowness_of(const HostCounts& host, const HostCounts& others);
std::string failures_of(const HostCounts& host);

}  // namespace remora::server
