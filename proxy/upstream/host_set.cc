// Makes a HostSet from an assignment, keeping the Host objects of endpoints that stayed. Main
// thread.
#include "proxy/upstream/host_set.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>
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

bool same_check(const EndpointConfig& a, const EndpointConfig& b) {
  return a.check_address == b.check_address && a.check_port == b.check_port &&
         a.check_hostname == b.check_hostname && a.check_disabled == b.check_disabled;
}

bool same_identity(const Host& host, const EndpointConfig& endpoint, const Locality& locality) {
  return host.address() == endpoint.address &&
         host.endpoint().more_addresses == endpoint.more_addresses &&
         host.hostname() == endpoint.hostname && host.metadata_key() == endpoint.metadata_key &&
         host.transport() == endpoint.transport && host.locality() == locality &&
         same_check(host.endpoint(), endpoint);
}

// The previous host brought up to date, or a new one.
class HostMaker {
 public:
  HostMaker(const HostSet* previous, HostIdentity identity)
      : previous_(previous), identity_(identity), by_address_(hosts_by_address(previous)) {}

  HostPtr host_for(const EndpointConfig& endpoint, const Locality& locality, uint32_t priority) {
    auto found = by_address_.find(endpoint.address);
    if (found != by_address_.end() && same_identity(*found->second, endpoint, locality)) {
      return refreshed(found->second, endpoint, priority);
    }
    EndpointConfig copy = endpoint;
    copy.weight = std::max<uint32_t>(copy.weight, 1);
    if (copy.first_check_flags != 0) keep_findings(found, copy);
    return std::make_shared<const Host>(std::move(copy), locality, priority, predecessor(endpoint));
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
  void keep_findings(HostsByAddress::const_iterator same_address, EndpointConfig& endpoint) const {
    const HostPtr known = identity_ == HostIdentity::Logical
                              ? find_by_hostname(previous_, endpoint.hostname)
                          : same_address == by_address_.end() ? nullptr
                                                              : same_address->second;
    if (known == nullptr || !same_check(known->endpoint(), endpoint)) return;
    endpoint.first_check_flags = static_cast<uint8_t>(known->check_flags() & ~kCheckRemoval);
  }

  // The first host of the line: later ones share its connections.
  HostPtr predecessor(const EndpointConfig& endpoint) const {
    if (identity_ != HostIdentity::Logical) return nullptr;
    HostPtr last = find_by_hostname(previous_, endpoint.hostname);
    return last == nullptr || last->logical() == nullptr ? last : last->logical();
  }

  const HostSet* previous_;
  HostIdentity identity_;
  HostsByAddress by_address_;
};

template <class Hosts>
void add_by_health(Hosts& lists, const HostPtr& host) {
  lists.hosts.push_back(host);
  const Health health = host->overall_health();
  if (health == Health::Healthy) lists.healthy.push_back(host);
  if (health == Health::Degraded) lists.degraded.push_back(host);
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

enum class Keep : uint8_t { WhoIsListed, WhoPassesChecks };

/// Discovery may err: a host that it dropped serves on while its checks say that it is well.
void keep_passing(const HostSet& previous, const absl::flat_hash_set<Address>& listed,
                  HostSet& set) {
  for (size_t at = 0; at < previous.priorities.size(); ++at) {
    for (const HostPtr& host : previous.priorities[at].hosts) {
      if (listed.contains(host->address()) || host->endpoint().check_disabled) continue;
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

Keep whom_to_keep(const ClusterConfig& config) {
  const bool discovered =
      config.discovery == Discovery::Eds || config.discovery == Discovery::StrictDns;
  return discovered && config.health_check != nullptr && !config.ignores_health_on_removal
             ? Keep::WhoPassesChecks
             : Keep::WhoIsListed;
}

std::shared_ptr<HostSet> host_set_of(const LoadAssignment& assignment, const HostSet* previous,
                                     HostIdentity identity, Keep keep = Keep::WhoIsListed) {
  auto set = std::make_shared<HostSet>();
  set->overprovisioning_percent = assignment.overprovisioning_percent;
  set->priorities.resize(1);
  HostMaker maker(previous, identity);
  const MonotonicMs now = monotonic_now_ms();
  absl::flat_hash_set<Address> seen;
  for (const LocalityEndpoints& group : assignment.localities) {
    if (group.priority >= set->priorities.size()) set->priorities.resize(group.priority + 1);
    PriorityHosts& priority = set->priorities[group.priority];
    LocalityHosts& locality = locality_of(priority, group.locality, group.weight);
    for (const EndpointConfig& endpoint : group.endpoints) {
      if (!seen.insert(endpoint.address).second) continue;
      HostPtr host = maker.host_for(endpoint, group.locality, group.priority);
      if (host->serving_since() == 0 && host->overall_health() == Health::Healthy) {
        host->set_serving_since(now);
      }
      add_by_health(priority, host);
      add_by_health(locality, host);
      if (host->excluded()) ++priority.excluded;
    }
  }
  if (keep == Keep::WhoPassesChecks && previous != nullptr) keep_passing(*previous, seen, *set);
  return set;
}

}  // namespace

std::shared_ptr<const HostSet> make_host_set(const LoadAssignment& assignment,
                                             const HostSet* previous, HostIdentity identity) {
  return host_set_of(assignment, previous, identity);
}

std::shared_ptr<const HostSet> make_host_set(const LoadAssignment& assignment,
                                             const HostSet* previous, const ClusterConfig& config) {
  auto set = host_set_of(assignment, previous, host_identity_of(config), whom_to_keep(config));
  if (config.chooses_by_hash()) set->hash_tables = make_hash_tables(*set, config);
  if (balancing_of(config).subsets != nullptr) {
    set->subsets = std::make_shared<SubsetIndex>(*set, config);
  }
  return set;
}

}  // namespace remora::upstream
