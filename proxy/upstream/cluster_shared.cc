// Limits in use as gauges, and membership. See the header.
#include "proxy/upstream/cluster_shared.h"

#include <algorithm>
#include <string>

#include "proxy/stats/names.h"
#include "proxy/upstream/hash_table.h"
#include "proxy/upstream/subset_index.h"

namespace remora::upstream {
namespace {

using stats::ClusterMainStat;

// The gauges of one resource in the order of Priority.
struct LimitGauges {
  Resource resource;
  ClusterMainStat open[2];
  ClusterMainStat remaining[2];
};

constexpr LimitGauges kLimitGauges[] = {
    {Resource::Connections,
     {ClusterMainStat::default_cx_open, ClusterMainStat::high_cx_open},
     {ClusterMainStat::default_remaining_cx, ClusterMainStat::high_remaining_cx}},
    {Resource::Pending,
     {ClusterMainStat::default_rq_pending_open, ClusterMainStat::high_rq_pending_open},
     {ClusterMainStat::default_remaining_pending, ClusterMainStat::high_remaining_pending}},
    {Resource::Requests,
     {ClusterMainStat::default_rq_open, ClusterMainStat::high_rq_open},
     {ClusterMainStat::default_remaining_rq, ClusterMainStat::high_remaining_rq}},
    {Resource::Retries,
     {ClusterMainStat::default_rq_retry_open, ClusterMainStat::high_rq_retry_open},
     {ClusterMainStat::default_remaining_retries, ClusterMainStat::high_remaining_retries}},
    {Resource::Pools,
     {ClusterMainStat::default_cx_pool_open, ClusterMainStat::high_cx_pool_open},
     {ClusterMainStat::default_remaining_cx_pools, ClusterMainStat::high_remaining_cx_pools}},
};

uint64_t limit_of(Resource resource, const CircuitBreakerThresholds& thresholds,
                  const ResourceCounts& counts) {
  switch (resource) {
    case Resource::Connections:
      return thresholds.max_connections;
    case Resource::Pending:
      return thresholds.max_pending_requests;
    case Resource::Requests:
      return thresholds.max_requests;
    case Resource::Retries:
      return retry_limit(thresholds, counts);
    case Resource::Pools:
      break;
  }
  // No limit at all is Envoy's default, and shows as 64 bits of it.
  return thresholds.max_connection_pools == UINT32_MAX ? UINT64_MAX
                                                       : thresholds.max_connection_pools;
}

const std::string& stats_name(const ClusterConfig& config) {
  return config.alt_stat_name.empty() ? config.name : config.alt_stat_name;
}

uint32_t heaviest(const HostSet& hosts) {
  uint32_t weight = 0;
  for (const PriorityHosts& priority : hosts.priorities) {
    for (const HostPtr& host : priority.hosts) weight = std::max(weight, host->weight());
  }
  return weight;
}

}  // namespace

uint64_t retry_limit(const CircuitBreakerThresholds& thresholds, const ResourceCounts& counts) {
  if (!thresholds.retry_budget_percent) return thresholds.max_retries;
  const double in_flight = counts.used(Resource::Requests) + counts.used(Resource::Pending);
  const auto budget = static_cast<uint64_t>(*thresholds.retry_budget_percent * in_flight / 100.0);
  return std::max<uint64_t>(budget, thresholds.retry_budget_min_concurrency);
}

ClusterShared::ClusterShared(const ClusterConfig& config, stats::Store& store)
    : store_(store), state_(std::make_shared<State>()) {
  state_->stats = store.group<stats::ClusterSchema>(stats::cluster_prefix(stats_name(config)));
  remora_stats_ =
      store.group<ClusterRemoraSchema>(stats::cluster_prefix(stats_name(config)) + ".remora");
  set_config(config);
  before_scrape_ = store.before_scrape([state = state_] { state->publish(); });
}

void ClusterShared::set_config(const ClusterConfig& config) {
  state_->thresholds[0] = config.default_thresholds;
  state_->thresholds[1] = config.high_thresholds;
  const std::string prefix = stats::cluster_prefix(stats_name(config));
  if (http2_stats_ == nullptr && config.may_speak_http2()) {
    http2_stats_ = store_.group<stats::Http2Schema>(prefix + ".http2");
  }
  ring_stats_ = config.lb == LbPolicy::RingHash
                    ? store_.group<stats::RingHashSchema>(prefix + ".ring_hash_lb")
                    : nullptr;
  maglev_stats_ = config.lb == LbPolicy::Maglev
                      ? store_.group<stats::MaglevSchema>(prefix + ".maglev_lb")
                      : nullptr;
}

void ClusterShared::State::publish() {
  for (size_t priority = 0; priority < 2; ++priority) {
    for (const LimitGauges& gauges : kLimitGauges) {
      const uint64_t limit = limit_of(gauges.resource, thresholds[priority], counts[priority]);
      const uint64_t used = counts[priority].used(gauges.resource);
      stats->set(gauges.open[priority], used >= limit ? 1 : 0);
      if (!thresholds[priority].track_remaining) continue;
      stats->set(gauges.remaining[priority], limit > used ? limit - used : 0);
    }
  }
}

void ClusterShared::on_hosts(const HostSet& hosts, const HostSet* previous) {
  stats::Group<stats::ClusterSchema>& stats = *state_->stats;
  stats.set(ClusterMainStat::membership_total, hosts.total());
  stats.set(ClusterMainStat::membership_healthy, hosts.healthy_total());
  stats.set(ClusterMainStat::membership_degraded, hosts.degraded_total());
  stats.set(ClusterMainStat::membership_excluded, hosts.excluded_total());
  stats.set(ClusterMainStat::max_host_weight, heaviest(hosts));
  const bool changed = previous == nullptr ? hosts.total() > 0 : !same_hosts(*previous, hosts);
  if (changed) stats.inc(ClusterMainStat::membership_change);
  show_tables(hosts);
  show_subsets(hosts.subsets.get(), previous == nullptr ? nullptr : previous->subsets.get());
}

void ClusterShared::show_subsets(const SubsetIndex* now, const SubsetIndex* before) {
  if (now == nullptr && before == nullptr) return;
  stats::Group<stats::ClusterSchema>& stats = *state_->stats;
  if (now != nullptr) stats.add(ClusterMainStat::lb_subsets_created, now->not_in(before));
  if (before != nullptr) stats.add(ClusterMainStat::lb_subsets_removed, before->not_in(now));
  stats.set(ClusterMainStat::lb_subsets_active, now == nullptr ? 0 : now->size());
  if (now == nullptr) return;
  stats.set(ClusterMainStat::lb_subsets_single_host_per_subset_duplicate, now->duplicates());
}

/// Of several priorities the last one shows, as in Envoy.
void ClusterShared::show_tables(const HostSet& hosts) {
  for (const auto& table : hosts.hash_tables) {
    if (table == nullptr) continue;
    if (ring_stats_ != nullptr) {
      ring_stats_->set(stats::RingHashMainStat::size, table->size());
      ring_stats_->set(stats::RingHashMainStat::min_hashes_per_host, table->least_entries());
      ring_stats_->set(stats::RingHashMainStat::max_hashes_per_host, table->most_entries());
    }
    if (maglev_stats_ != nullptr) {
      maglev_stats_->set(stats::MaglevMainStat::min_entries_per_host, table->least_entries());
      maglev_stats_->set(stats::MaglevMainStat::max_entries_per_host, table->most_entries());
    }
  }
}

}  // namespace remora::upstream
