// Priority, then locality, then host: see list_balancer.h.
#include "proxy/upstream/list_balancer.h"

#include <algorithm>

#include "proxy/upstream/least_request.h"
#include "proxy/upstream/round_robin.h"

namespace remora::upstream {

PriorityLoad load_of(const HostSet& set, uint32_t panic_threshold_percent) {
  std::vector<PriorityCounts> counts;
  for (const PriorityHosts& priority : set.priorities) {
    counts.push_back({static_cast<uint32_t>(priority.hosts.size()),
                      static_cast<uint32_t>(priority.healthy.size()),
                      static_cast<uint32_t>(priority.degraded.size())});
  }
  if (counts.empty()) counts.emplace_back();
  return compute_priority_load(counts, set.overprovisioning_percent, panic_threshold_percent);
}

namespace {

// A locality's weight, shrunk when too few of its hosts are eligible.
double effective_weight(uint32_t weight, size_t eligible, size_t hosts,
                        uint32_t overprovisioning_percent) {
  if (hosts == 0) return 0;
  const double ratio = static_cast<double>(eligible) / static_cast<double>(hosts);
  return weight * std::min(1.0, overprovisioning_percent / 100.0 * ratio);
}

}  // namespace

bool equal_weights(const HostList& hosts) {
  return std::all_of(hosts.begin(), hosts.end(), [&hosts](const HostPtr& host) {
    return host->weight() == hosts.front()->weight();
  });
}

std::unique_ptr<ListPicker> make_list_picker(const ClusterConfig& config, const HostList& hosts,
                                             WorkerContext& worker) {
  switch (config.lb) {
    case LbPolicy::Random:
      return std::make_unique<RandomPicker>(hosts, worker);
    case LbPolicy::LeastRequest:
      if (equal_weights(hosts)) {
        return std::make_unique<LeastRequest>(hosts, config.choice_count, worker);
      }
      return std::make_unique<WeightedLeastRequest>(hosts, config.active_request_bias, worker);
    case LbPolicy::RoundRobin:
    case LbPolicy::RingHash:
    case LbPolicy::Maglev:
    case LbPolicy::ClusterProvided:
      break;
  }
  if (equal_weights(hosts)) return std::make_unique<RoundRobin>(hosts, worker);
  return std::make_unique<WeightedRoundRobin>(hosts, worker);
}

ListBalancer::ListBalancer(std::shared_ptr<const ClusterConfig> config,
                           std::shared_ptr<const HostSet> hosts, WorkerContext& worker)
    : config_(std::move(config)),
      hosts_(std::move(hosts)),
      worker_(worker),
      load_(load_of(*hosts_, config_->panic_threshold_percent)) {
  for (const PriorityHosts& priority : hosts_->priorities) {
    PrioritySources sources;
    sources.all.hosts = &priority.hosts;
    sources.healthy = make_group(priority, &PriorityHosts::healthy, &LocalityHosts::healthy);
    sources.degraded = make_group(priority, &PriorityHosts::degraded, &LocalityHosts::degraded);
    sources_.push_back(std::move(sources));
  }
}

ListBalancer::Group ListBalancer::make_group(const PriorityHosts& priority,
                                             HostList PriorityHosts::*whole,
                                             HostList LocalityHosts::*part) const {
  Group group;
  group.whole.hosts = &(priority.*whole);
  if (!config_->locality_weighted) return group;
  for (uint32_t i = 0; i < priority.localities.size(); ++i) {
    const LocalityHosts& locality = priority.localities[i];
    const double weight = effective_weight(locality.weight, (locality.*part).size(),
                                           locality.hosts.size(), hosts_->overprovisioning_percent);
    group.weights.push_back(weight);
    group.localities.push_back({&(locality.*part), nullptr});
    if (weight > 0) group.turn.add(weight, i);
  }
  return group;
}

HostPtr ListBalancer::pick(const PickContext& context) {
  if (sources_.empty()) return nullptr;
  const uint64_t random = context.random != 0 ? context.random : worker_.random();
  const PriorityChoice choice = choose_priority(load_, random);
  PrioritySources& sources = sources_[choice.priority];
  if (load_.shares[choice.priority].panic) {
    ++panics_;
    return pick_from(sources.all);
  }
  return pick_from(choice.degraded ? sources.degraded : sources.healthy);
}

HostPtr ListBalancer::pick_from(Group& group) {
  if (group.turn.empty()) return pick_from(group.whole);
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
