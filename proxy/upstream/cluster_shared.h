// What all workers of a cluster share: the counts that circuit breakers limit, and the cluster's
// stats group. One per cluster name in the process, made by the cluster manager and kept alive by
// whoever uses it. Any thread for counts and stats; the rest main thread. Document:
// envoy.config.cluster.v3.CircuitBreakers.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/host_set.h"

namespace remora::upstream {

/// How much of each limited thing is in use, over all workers, for one priority. The limits are in
/// the caller's configuration, so that changing them needs no word between threads.
class alignas(64) ResourceCounts {
 public:
  enum class Resource : uint8_t { Connections, Pending, Requests, Retries, Pools };

  bool at_limit(Resource resource, uint64_t limit) const { return used(resource) >= limit; }
  /// Takes one unless `limit` are in use.
  bool try_take(Resource resource, uint64_t limit) {
    auto& count = counts_[static_cast<size_t>(resource)];
    if (count.fetch_add(1, std::memory_order_relaxed) < limit) return true;
    count.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  void take(Resource resource) {
    counts_[static_cast<size_t>(resource)].fetch_add(1, std::memory_order_relaxed);
  }
  void release(Resource resource) {
    counts_[static_cast<size_t>(resource)].fetch_sub(1, std::memory_order_relaxed);
  }
  uint32_t used(Resource resource) const {
    return counts_[static_cast<size_t>(resource)].load(std::memory_order_relaxed);
  }

 private:
  std::atomic<uint32_t> counts_[5] = {};
};

using Resource = ResourceCounts::Resource;

/// How many retries may be in flight now: a number, or a share of what is in flight (retry budget).
uint64_t retry_limit(const CircuitBreakerThresholds& thresholds, const ResourceCounts& counts);

// --- cluster.NAME.remora: what Envoy has no metric for ---
// clang-format off
#define REMORA_CLUSTER_REMORA_STATS(X) \
  X(Counter, upstream_cx_retired) X(Counter, upstream_rq_resent)
// clang-format on
REMORA_STATS_SCHEMA(ClusterRemora, REMORA_CLUSTER_REMORA_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

class ClusterShared {
 public:
  ClusterShared(const ClusterConfig& config, stats::Store& store);

  ResourceCounts& counts(Priority priority) {
    return state_->counts[static_cast<size_t>(priority)];
  }
  /// Over all workers and priorities.
  uint64_t active_requests() const {
    return uint64_t{state_->counts[0].used(Resource::Requests)} +
           state_->counts[1].used(Resource::Requests);
  }
  stats::Group<stats::ClusterSchema>& stats() { return *state_->stats; }
  stats::Store& store() { return store_; }
  stats::Group<ClusterRemoraSchema>& remora_stats() { return *remora_stats_; }
  /// Of the codecs; null while no configuration wanted HTTP/2.
  stats::Group<stats::Http2Schema>* http2_stats() { return http2_stats_.get(); }

  // --- main thread ---
  /// The limits that circuit_breakers.*.*_open and remaining_* are shown against at scrape. Comes
  /// before any worker hears of `config`.
  void set_config(const ClusterConfig& config);
  /// membership_*, those of hash tables and of subsets: `previous` may be null.
  void on_hosts(const HostSet& hosts, const HostSet* previous);
  /// An update of the endpoints that changed nothing.
  void count_update_no_rebuild() { state_->stats->inc(stats::ClusterMainStat::update_no_rebuild); }

 private:
  // Apart, because a scrape may use it while the last worker lets go of the rest.
  struct State {
    ResourceCounts counts[2];
    CircuitBreakerThresholds thresholds[2];
    std::shared_ptr<stats::Group<stats::ClusterSchema>> stats;
    void publish();
  };

  void show_tables(const HostSet& hosts);
  void show_subsets(const SubsetIndex* now, const SubsetIndex* before);

  stats::Store& store_;
  std::shared_ptr<State> state_;
  std::shared_ptr<stats::Group<stats::Http2Schema>> http2_stats_;  // made once, then never changed
  std::shared_ptr<stats::Group<stats::RingHashSchema>> ring_stats_;  // while its policy is that
  std::shared_ptr<stats::Group<stats::MaglevSchema>> maglev_stats_;
  std::shared_ptr<void> before_scrape_;
  std::shared_ptr<stats::Group<ClusterRemoraSchema>> remora_stats_;
};

}  // namespace remora::upstream
