// Priority, then locality, then host: see list_balancer.h.
#include "proxy/upstream/list_balancer.h"

#include <algorithm>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/least_request.h"
#include "proxy/upstream/peak_ewma.h"
#include "proxy/upstream/previous_priorities.h"
#include "proxy/upstream/reported_weights.h"
#include "proxy/upstream/round_robin.h"

namespace remora::upstream {

using stats::ClusterStat;

std::vector<PriorityCounts> counts_of(const HostSet& set) {
  std::vector<PriorityCounts> counts;
  for (const PriorityHosts& priority : set.priorities) {
    counts.push_back({static_cast<uint32_t>(priority.hosts.size()) - priority.excluded,
                      static_cast<uint32_t>(priority.healthy.size()),
                      static_cast<uint32_t>(priority.degraded.size())});
  }
  if (counts.empty()) counts.emplace_back();
  return counts;
}

PriorityLoad load_of(const HostSet& set, uint32_t panic_threshold_percent) {
  return compute_priority_load(counts_of(set), set.overprovisioning_percent,
                               panic_threshold_percent);
}

namespace {

// A locality's weight, shrunk when too few of its hosts are eligible.
double effective_weight(uint32_t weight, size_t eligible, size_t hosts,
                        uint32_t overprovisioning_percent) {
  if (hosts == 0) return 0;
  const double ratio = static_cast<double>(eligible) / static_cast<double>(hosts);
  return weight * std::min(1.0, overprovisioning_percent / 100.0 * ratio);
}

// Whether hosts are chosen by weight, also for a time only.
bool weighs(const HostList& hosts, const SlowStart& slow_start, WorkerContext& worker) {
  if (!equal_weights(hosts)) return true;
  if (slow_start.window_ms == 0) return false;
  const MonotonicMs now = worker.loop().time().now_ms;
  return std::ranges::any_of(
      hosts, [&](const HostPtr& host) { return starts_slowly(slow_start, *host, now); });
}

}  // namespace

bool equal_weights(const HostList& hosts) {
  return std::all_of(hosts.begin(), hosts.end(), [&hosts](const HostPtr& host) {
    return host->weight() == hosts.front()->weight();
  });
}

std::unique_ptr<ListPicker> make_list_picker(const ClusterConfig& config, const HostList& hosts,
                                             WorkerContext& worker) {
  const BalancingConfig& more = balancing_of(config);
  if (more.peak_ewma != nullptr) return std::make_unique<PeakEwma>(hosts, more.peak_ewma, worker);
  switch (config.lb) {
    case LbPolicy::Random:
      return std::make_unique<RandomPicker>(hosts, worker);
    case LbPolicy::LeastRequest:
      if (weighs(hosts, more.slow_start, worker)) {
        return std::make_unique<WeightedLeastRequest>(hosts, config.active_request_bias,
                                                      more.slow_start, worker);
      }
      if (more.full_scan) return std::make_unique<FullScan>(hosts, worker);
      return std::make_unique<LeastRequest>(hosts, config.choice_count, worker);
    case LbPolicy::RoundRobin:
    case LbPolicy::RingHash:
    case LbPolicy::Maglev:
    case LbPolicy::ClusterProvided:
      break;
  }
  if (!weighs(hosts, more.slow_start, worker)) return std::make_unique<RoundRobin>(hosts, worker);
  return std::make_unique<WeightedRoundRobin>(hosts, more.slow_start, worker);
}

ListBalancer::ListBalancer(const BalancerParts& parts, std::shared_ptr<const HostSet> hosts)
    : config_(parts.config),
      hosts_(std::move(hosts)),
      worker_(parts.worker),
      stats_(parts.stats()),
      load_(load_of(*hosts_, config_->panic_threshold_percent)) {
  set_zone_routing(parts);
  for (const PriorityHosts& priority : hosts_->priorities) {
    PrioritySources sources;
    sources.all.hosts = &priority.hosts;
    sources.healthy = make_group(priority, &PriorityHosts::healthy, &LocalityHosts::healthy);
    sources.degraded = make_group(priority, &PriorityHosts::degraded, &LocalityHosts::degraded);
    sources_.push_back(std::move(sources));
  }
  find_only_source();
  const auto& by_report = balancing_of(*config_).reported_weights;
  if (by_report == nullptr) return;
  reported_ =
      std::make_unique<ReportedWeights>(by_report, *hosts_, worker_, [this] { reset_pickers(); });
}

ListBalancer::~ListBalancer() = default;

/// Health leaves no choice of priorities, and neither weights nor zones one of localities.
void ListBalancer::find_only_source() {
  for (size_t i = 0; i < sources_.size(); ++i) {
    const PriorityLoad::Share& share = load_.shares[i];
    Group& group = sources_[i].healthy;
    if (share.healthy < 100 || share.panic || group.by_zone || !group.turn.empty()) continue;
    only_ = &group.whole;
    return;
  }
}

/// They are made for weights that were.
void ListBalancer::reset_pickers() {
  const auto reset = [](Group& group) {
    group.whole.picker.reset();
    for (Source& locality : group.localities) locality.picker.reset();
  };
  for (PrioritySources& sources : sources_) {
    sources.all.picker.reset();
    reset(sources.healthy);
    reset(sources.degraded);
  }
}

ListBalancer::Group ListBalancer::make_group(const PriorityHosts& priority,
                                             HostList PriorityHosts::*whole,
                                             HostList LocalityHosts::*part) const {
  Group group;
  group.whole.hosts = &(priority.*whole);
  const bool weighted = config_->locality_weighted && hosts_->weighs_localities;
  group.by_zone = zones_.on() && &priority == &hosts_->priorities.front();
  if (!weighted && !group.by_zone) return group;
  for (uint32_t i = 0; i < priority.localities.size(); ++i) {
    const LocalityHosts& locality = priority.localities[i];
    const double weight = effective_weight(locality.weight, (locality.*part).size(),
                                           locality.hosts.size(), hosts_->overprovisioning_percent);
    group.weights.push_back(weight);
    group.localities.push_back({&(locality.*part), nullptr});
    if (weighted && weight > 0) group.turn.add(weight, i);
  }
  return group;
}

PriorityChoice ListBalancer::choose(const PickContext& context) const {
  if (context.choice) return *context.choice;
  const uint64_t random = context.random != 0 ? context.random : worker_.random();
  if (context.previous_priorities == nullptr) return choose_priority(load_, random);
  return choose_priority(
      context.previous_priorities->load(counts_of(*hosts_), hosts_->overprovisioning_percent, load_,
                                        [](const Host& host) { return host.priority(); }),
      random);
}

HostPtr ListBalancer::pick(const PickContext& context) {
  if (only_ != nullptr && !context.choice && context.previous_priorities == nullptr) {
    return pick_from(*only_);
  }
  if (sources_.empty()) return nullptr;
  const PriorityChoice choice = choose(context);
  if (choice.priority >= sources_.size()) return nullptr;
  PrioritySources& sources = sources_[choice.priority];
  if (load_.shares[choice.priority].panic) {
    stats_.inc(ClusterStat::lb_healthy_panic);
    if (balancing_of(*config_).fail_traffic_on_panic) return nullptr;
    return pick_from(sources.all);
  }
  return pick_from(choice.degraded ? sources.degraded : sources.healthy);
}

/// Once for a host set of this cluster and one of the proxy's own.
void ListBalancer::set_zone_routing(const BalancerParts& parts) {
  if (parts.own_hosts == nullptr || parts.own_hosts->priorities.empty()) return;
  if (hosts_->priorities.empty()) return;
  stats_.inc(ClusterStat::lb_recalculate_zone_structures);
  const PriorityHosts& own = parts.own_hosts->priorities.front();
  zones_ = compute_zone_routing(hosts_->priorities.front(), own, parts.here,
                                balancing_of(*config_).zone_aware.min_cluster_size);
  if (zones_.mode == ZoneRouting::Mode::OffTooSmall) {
    stats_.inc(ClusterStat::lb_zone_cluster_too_small);
  } else if (zones_.mode == ZoneRouting::Mode::OffLocalUnknown) {
    stats_.inc(ClusterStat::lb_local_cluster_not_ok);
  }
  const size_t serving = own.healthy.size() + own.degraded.size();
  own_in_panic_ = 100 * serving < own.hosts.size() * config_->panic_threshold_percent;
}

/// For this request.
bool ListBalancer::zones_count() {
  const uint32_t percent = balancing_of(*config_).zone_aware.routing_percent;
  if (percent < 100 && worker_.random() % 100 >= percent) return false;
  if (own_in_panic_) stats_.inc(ClusterStat::lb_local_cluster_not_ok);
  return !own_in_panic_;
}

ListBalancer::Source& ListBalancer::choose_zone(Group& group) {
  constexpr uint64_t kAll = 10'000;
  if (zones_.mode == ZoneRouting::Mode::AllLocal) {
    stats_.inc(ClusterStat::lb_zone_routing_all_directly);
    return group.localities[zones_.here];
  }
  if (worker_.random() % kAll < zones_.local) {
    stats_.inc(ClusterStat::lb_zone_routing_sampled);
    return group.localities[zones_.here];
  }
  stats_.inc(ClusterStat::lb_zone_routing_cross_zone);
  if (zones_.residual.back() == 0) {  // by rounding
    stats_.inc(ClusterStat::lb_zone_no_capacity_left);
    return group.localities[worker_.random() % group.localities.size()];
  }
  const uint64_t point = worker_.random() % zones_.residual.back();
  const auto at = std::ranges::upper_bound(zones_.residual, point);
  return group.localities[static_cast<size_t>(at - zones_.residual.begin())];
}

HostPtr ListBalancer::pick_from(Group& group) {
  if (group.turn.empty()) {
    if (!group.by_zone || !zones_count()) return pick_from(group.whole);
    Source& zone = choose_zone(group);
    return pick_from(zone.hosts->empty() ? group.whole : zone);
  }
  return pick_from(
      group.localities[group.turn.next([&group](uint32_t i) { return group.weights[i]; })]);
}

HostPtr ListBalancer::pick_from(Source& source) {
  const HostList& hosts = *source.hosts;
  if (hosts.empty()) return nullptr;
  if (hosts.size() == 1) return hosts.front();
  if (source.picker == nullptr) source.picker = make_list_picker(*config_, hosts, worker_);
  return source.picker->pick();
}

}  // namespace remora::upstream
