// Makes a HostSet from an assignment, keeping the Host objects of endpoints that stayed. Main
// thread.
#include "proxy/upstream/host_set.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/hash_table.h"
#include "proxy/upstream/subset_index.h"

namespace remora::upstream {
namespace {

using HostsByAddress = absl::flat_hash_map<Address, HostPtr>;

HostsByAddress hosts_by_address(const HostSet* set) {
  HostsByAddress by_address;
  if (set == nullptr) return by_address;
  for (const PriorityHosts& priority : set->priorities) {
    for (const HostPtr& host : priority.hosts) by_address.try_emplace(host->address(), host);
  }
  return by_address;
}

HostPtr find_by_hostname(const HostSet* set, std::string_view hostname) {
  if (set == nullptr) return nullptr;
  for (const PriorityHosts& priority : set->priorities) {
    for (const HostPtr& host : priority.hosts) {
      if (host->hostname() == hostname) return host;
    }
  }
  return nullptr;
}

bool same_check(const EndpointExtras& a, const EndpointExtras& b) {
  return a.check_address == b.check_address && a.check_port == b.check_port &&
         a.check_hostname == b.check_hostname && a.check_disabled == b.check_disabled;
}

bool same_identity(const Host& host, const EndpointConfig& endpoint, uint32_t transport,
                   const Locality& locality) {
  const EndpointExtras& extras = *endpoint.extras;
  return host.address() == endpoint.address && host.hostname() == endpoint.hostname &&
         host.extras().more_addresses == extras.more_addresses &&
         host.metadata_key() == extras.metadata_key && host.transport() == transport &&
         host.locality() == locality && same_check(host.extras(), extras);
}

/// A new host is out until it has passed a check.
uint8_t first_check_flags(const ClusterConfig& config, const EndpointConfig& endpoint) {
  if (config.health_check == nullptr || endpoint.extras->check_disabled) return 0;
  const bool discovered = config.discovery != Discovery::Static;
  return static_cast<uint8_t>(kCheckFailed |
                              (discovered && config.ignores_new_hosts ? kCheckPending : 0));
}

// The previous host brought up to date, or a new one.
class HostMaker {
 public:
  /// `config` null: a cluster with one transport and no checks.
  HostMaker(const HostSet* previous, HostIdentity identity, const ClusterConfig* config)
      : previous_(previous),
        identity_(identity),
        config_(config),
        by_address_(hosts_by_address(previous)) {}

  /// Of the endpoints to come.
  void set_locality(const Locality& locality) {
    locality_ = locality == Locality() ? nullptr : std::make_shared<const Locality>(locality);
  }

  HostPtr host_for(const EndpointPtr& endpoint, const Locality& locality, uint32_t priority) {
    const uint32_t transport =
        config_ == nullptr ? 0 : config_->transport_for(endpoint->extras->transport_labels);
    auto found = by_address_.find(endpoint->address);
    if (found != by_address_.end() &&
        same_identity(*found->second, *endpoint, transport, locality)) {
      return refreshed(found->second, *endpoint, priority);
    }
    uint8_t flags = config_ == nullptr ? 0 : first_check_flags(*config_, *endpoint);
    if (flags != 0) flags = known_flags(found, *endpoint).value_or(flags);
    return std::make_shared<const Host>(endpoint, locality_, priority, transport, flags,
                                        predecessor(*endpoint));
  }

 private:
  static HostPtr refreshed(const HostPtr& host, const EndpointConfig& endpoint, uint32_t priority) {
    Host& shared = const_cast<Host&>(*host);  // its setters belong to this thread
    shared.set_weight(std::max<uint32_t>(endpoint.weight, 1));
    shared.set_status(endpoint.status);
    shared.set_health(endpoint.draining ? Health::Unhealthy : endpoint.health);
    shared.set_priority(priority);
    if (host->check_flag(kCheckRemoval)) host->set_check_flag(kCheckRemoval, false);
    return host;
  }

  // Changed in what checks do not look at, or only in its address: what they found out holds.
  std::optional<uint8_t> known_flags(HostsByAddress::const_iterator same_address,
                                     const EndpointConfig& endpoint) const {
    const HostPtr known = identity_ == HostIdentity::Logical
                              ? find_by_hostname(previous_, endpoint.hostname)
                          : same_address == by_address_.end() ? nullptr
                                                              : same_address->second;
    if (known == nullptr || !same_check(known->extras(), *endpoint.extras)) return std::nullopt;
    return static_cast<uint8_t>(known->check_flags() & ~kCheckRemoval);
  }

  // The first host of the line: later ones share its connections.
  HostPtr predecessor(const EndpointConfig& endpoint) const {
    if (identity_ != HostIdentity::Logical) return nullptr;
    HostPtr last = find_by_hostname(previous_, endpoint.hostname);
    return last == nullptr || last->logical() == nullptr ? last : last->logical();
  }

  const HostSet* previous_;
  HostIdentity identity_;
  const ClusterConfig* config_;
  HostsByAddress by_address_;
  LocalityPtr locality_;
};

template <class Hosts>
void add_by_health(Hosts& lists, const HostPtr& host) {
  lists.hosts.push_back(host);
  const Health health = host->overall_health();
  if (health == Health::Healthy) lists.healthy.push_back(host);
  if (health == Health::Degraded) lists.degraded.push_back(host);
}

/// Nothing is added any more.
template <class Hosts>
void shrink(Hosts& lists) {
  lists.hosts.shrink_to_fit();
  lists.healthy.shrink_to_fit();
  lists.degraded.shrink_to_fit();
}

LocalityHosts& locality_of(PriorityHosts& priority, const Locality& locality, uint32_t weight) {
  for (LocalityHosts& known : priority.localities) {
    if (known.locality == locality) return known;
  }
  priority.localities.push_back({locality, weight, {}, {}, {}});
  return priority.localities.back();
}

size_t sum_of(const HostSet& set, std::vector<HostPtr> PriorityHosts::*list) {
  size_t sum = 0;
  for (const PriorityHosts& priority : set.priorities) sum += (priority.*list).size();
  return sum;
}

}  // namespace

const Locality& Host::locality() const {
  static const Locality kUnknown;
  return locality_ != nullptr ? *locality_ : kUnknown;
}

OutlierMonitor& Host::monitor_with(const std::string& cluster, OutlierSink& sink) const {
  OutlierMonitor* known = monitor();
  if (known == nullptr) {
    known = new OutlierMonitor(cluster, sink);
    monitor_.store(known, std::memory_order_release);
  }
  return *known;
}

EndpointStatus Host::overall_status() const {
  const EndpointStatus said = status_.load(std::memory_order_relaxed);
  switch (overall_health()) {
    case Health::Unhealthy:
      // By EDS, which says why, or by what was found out here.
      return ejected() || health() != Health::Unhealthy ? EndpointStatus::Unhealthy : said;
    case Health::Degraded:
      return EndpointStatus::Degraded;
    case Health::Healthy:
      break;
  }
  return said;
}

size_t HostSet::total() const { return sum_of(*this, &PriorityHosts::hosts); }
size_t HostSet::healthy_total() const { return sum_of(*this, &PriorityHosts::healthy); }
size_t HostSet::degraded_total() const { return sum_of(*this, &PriorityHosts::degraded); }
size_t HostSet::excluded_total() const {
  size_t sum = 0;
  for (const PriorityHosts& priority : priorities) sum += priority.excluded;
  return sum;
}

bool same_hosts(const HostSet& a, const HostSet& b) {
  if (a.total() != b.total()) return false;
  absl::flat_hash_set<const Host*> known;
  for (const PriorityHosts& priority : a.priorities) {
    for (const HostPtr& host : priority.hosts) known.insert(host.get());
  }
  return std::all_of(
      b.priorities.begin(), b.priorities.end(), [&known](const PriorityHosts& priority) {
        return std::all_of(priority.hosts.begin(), priority.hosts.end(),
                           [&known](const HostPtr& host) { return known.contains(host.get()); });
      });
}

HostIdentity host_identity_of(const ClusterConfig& config) {
  return config.discovery == Discovery::LogicalDns ? HostIdentity::Logical
                                                   : HostIdentity::ByAddress;
}

namespace {

/// Discovery may err: a host that it dropped serves on while its checks say that it is well.
void keep_passing(const HostSet& previous, const absl::flat_hash_set<Address>& listed,
                  HostSet& set) {
  for (size_t at = 0; at < previous.priorities.size(); ++at) {
    for (const HostPtr& host : previous.priorities[at].hosts) {
      if (listed.contains(host->address()) || host->extras().check_disabled) continue;
      if (host->check_flag(kCheckFailed) || host->health() == Health::Unhealthy) continue;
      if (set.priorities.size() <= at) set.priorities.resize(at + 1);
      host->set_check_flag(kCheckRemoval, true);
      PriorityHosts& priority = set.priorities[at];
      add_by_health(priority, host);
      add_by_health(locality_of(priority, host->locality(), 0), host);
      if (host->excluded()) ++priority.excluded;
    }
  }
}

bool keeps_passing(const ClusterConfig& config) {
  const bool discovered =
      config.discovery == Discovery::Eds || config.discovery == Discovery::StrictDns;
  return discovered && config.health_check != nullptr && !config.ignores_health_on_removal;
}

std::shared_ptr<HostSet> host_set_of(const LoadAssignment& assignment, const HostSet* previous,
                                     HostIdentity identity, const ClusterConfig* config = nullptr) {
  auto set = std::make_shared<HostSet>();
  set->overprovisioning_percent = assignment.overprovisioning_percent;
  set->priorities.resize(1);
  HostMaker maker(previous, identity, config);
  const MonotonicMs now = monotonic_now_ms();
  absl::flat_hash_set<Address> seen;
  for (const LocalityEndpoints& group : assignment.localities) {
    if (group.priority >= set->priorities.size()) set->priorities.resize(group.priority + 1);
    PriorityHosts& priority = set->priorities[group.priority];
    LocalityHosts& locality = locality_of(priority, group.locality, group.weight);
    maker.set_locality(group.locality);
    for (const EndpointPtr& endpoint : group.endpoints) {
      if (!seen.insert(endpoint->address).second) continue;
      HostPtr host = maker.host_for(endpoint, group.locality, group.priority);
      if (host->serving_since() == 0 && host->overall_health() == Health::Healthy) {
        host->set_serving_since(now);
      }
      add_by_health(priority, host);
      add_by_health(locality, host);
      if (host->excluded()) ++priority.excluded;
    }
  }
  if (config != nullptr && previous != nullptr && keeps_passing(*config)) {
    keep_passing(*previous, seen, *set);
  }
  for (PriorityHosts& priority : set->priorities) {
    shrink(priority);
    priority.localities.shrink_to_fit();
    for (LocalityHosts& locality : priority.localities) shrink(locality);
  }
  return set;
}

}  // namespace

std::shared_ptr<const HostSet> make_host_set(const LoadAssignment& assignment,
                                             const HostSet* previous, HostIdentity identity) {
  return host_set_of(assignment, previous, identity);
}

std::shared_ptr<const HostSet> make_host_set(const LoadAssignment& assignment,
                                             const HostSet* previous, const ClusterConfig& config) {
  auto set = host_set_of(assignment, previous, host_identity_of(config), &config);
  if (config.chooses_by_hash()) set->hash_tables = make_hash_tables(*set, config);
  if (balancing_of(config).subsets != nullptr) {
    set->subsets = std::make_shared<SubsetIndex>(*set, config);
  }
  return set;
}

}  // namespace remora::upstream
