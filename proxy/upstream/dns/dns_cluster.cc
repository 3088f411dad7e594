// Names of a cluster, each with its own schedule; see the header.
#include "proxy/upstream/dns/dns_cluster.h"

#include <algorithm>
#include <span>
#include <utility>

#include "proxy/base/string_map.h"

namespace remora::upstream {
namespace {

// Order says nothing: servers rotate their answers.
bool same_set(const std::vector<Address>& a, const std::vector<Address>& b) {
  return a.size() == b.size() && std::is_permutation(a.begin(), a.end(), b.begin());
}

std::vector<Address> addresses_of(const DnsAnswer& answer) {
  std::vector<Address> addresses;
  for (const DnsRecord& record : answer.records) {
    if (std::find(addresses.begin(), addresses.end(), record.address) == addresses.end()) {
      addresses.push_back(record.address);
    }
  }
  return addresses;
}

uint64_t shortest_ttl_ms(const DnsAnswer& answer) {
  uint64_t shortest = UINT64_MAX;
  for (const DnsRecord& record : answer.records) {
    shortest = std::min<uint64_t>(shortest, record.ttl_s);
  }
  return shortest == UINT64_MAX ? 0 : shortest * 1000;
}

}  // namespace

class DnsCluster::Target {
 public:
  Target(DnsCluster& cluster, const EndpointConfig& endpoint)
      : cluster_(cluster),
        endpoint_(endpoint),
        next_backoff_ms_(cluster.config_->dns_failure_base_ms),
        timer_(cluster.loop_.timers(), Timer::bind<&Target::resolve, Target>(), this) {
    if (endpoint.address.is_ip()) addresses_ = {endpoint.address};
    timer_.arm(0);
  }

  /// The endpoint for each address; of a logical host one that has them all.
  void add_to(LocalityEndpoints& group) const {
    if (addresses_.empty()) return;
    const uint16_t port = endpoint_.address.port();
    EndpointConfig endpoint = endpoint_;
    endpoint.address = addresses_.front().with_port(port);
    for (const Address& address : std::span(addresses_).subspan(1)) {
      if (logical()) {
        endpoint.extras.edit().more_addresses.push_back(address.with_port(port));
        continue;
      }
      group.add(endpoint);
      endpoint.address = address.with_port(port);
    }
    group.add(std::move(endpoint));
  }

 private:
  bool literal() const { return endpoint_.address.is_ip(); }
  bool logical() const { return cluster_.config_->discovery == Discovery::LogicalDns; }

  void resolve() {
    if (literal()) {
      cluster_.target_answered(true);
      return;
    }
    cluster_.count(Stat::update_attempt);
    query_ = cluster_.resolver_->resolve(endpoint_.hostname, cluster_.config_->dns_family,
                                         [this](const DnsAnswer& answer) { answered(answer); });
  }

  void answered(const DnsAnswer& answer) {
    query_.reset();
    // A logical host keeps its address over an empty answer; a strict one loses its hosts.
    const bool usable = answer.ok && !(logical() && answer.records.empty());
    if (answer.ok && answer.records.empty()) cluster_.count(Stat::update_empty);
    cluster_.count(usable ? Stat::update_success : Stat::update_failure);
    const bool changed = usable && take(answer);
    if (usable && !changed) cluster_.count(Stat::update_no_rebuild);
    timer_.arm(usable ? refresh_delay(answer) : failure_delay());
    cluster_.target_answered(changed);
  }

  bool take(const DnsAnswer& answer) {
    std::vector<Address> addresses = addresses_of(answer);
    // Of a logical host the first is its address, and the others it may also be reached at.
    const bool first_stays = !logical() || (!addresses_.empty() && addresses_[0] == addresses[0]);
    const bool changed = !known_ || !first_stays || !same_set(addresses, addresses_);
    known_ = true;
    if (changed) addresses_ = std::move(addresses);
    return changed;
  }

  uint64_t refresh_delay(const DnsAnswer& answer) {
    const ClusterConfig& config = *cluster_.config_;
    next_backoff_ms_ = config.dns_failure_base_ms;
    uint64_t delay = config.dns_refresh_ms;
    if (const uint64_t ttl = shortest_ttl_ms(answer); config.respect_dns_ttl && ttl > 0)
      delay = ttl;
    return delay + cluster_.jitter();
  }

  // Fixed when base and maximum are the same; else exponential, any value up to the step.
  uint64_t failure_delay() {
    const ClusterConfig& config = *cluster_.config_;
    if (config.dns_failure_base_ms >= config.dns_failure_max_ms) {
      return config.dns_failure_base_ms + cluster_.jitter();
    }
    const uint64_t step = std::max<uint64_t>(next_backoff_ms_, 1);
    next_backoff_ms_ = std::min(step * 2, config.dns_failure_max_ms);
    return std::max<uint64_t>(cluster_.random() % step, 1);
  }

  DnsCluster& cluster_;
  const EndpointConfig& endpoint_;  // in the cluster's configuration
  bool known_ = false;
  uint64_t next_backoff_ms_;
  std::vector<Address> addresses_;
  std::unique_ptr<DnsQuery> query_;
  Timer timer_;
};

DnsCluster::DnsCluster(std::shared_ptr<const ClusterConfig> config, DnsResolver& resolver,
                       EventLoop& loop, OnChange on_change, std::shared_ptr<ClusterShared> shared)
    : loop_(loop),
      config_(std::move(config)),
      on_change_(std::move(on_change)),
      shared_(std::move(shared)),
      random_state_(loop.time().now_us ^ StringHash()(config_->name)) {
  choose_resolver(resolver);
  for (const LocalityEndpoints& locality : config_->assignment.localities) {
    for (const EndpointPtr& endpoint : locality.endpoints) {
      targets_.push_back(std::make_unique<Target>(*this, *endpoint));
    }
  }
}

DnsCluster::~DnsCluster() = default;

void DnsCluster::choose_resolver(DnsResolver& resolver) {
  resolver_ = &resolver;
  if (config_->dns_servers.empty()) return;
  DnsResolver::Options options;
  options.servers = config_->dns_servers;
  auto own = DnsResolver::create(loop_, std::move(options));
  if (!own.ok())
    return;  // out of memory or file descriptors: the system's servers are better than none
  own_resolver_ = *std::move(own);
  resolver_ = own_resolver_.get();
}

void DnsCluster::target_answered(bool changed) {
  const bool first = !std::exchange(answered_, true);
  if (changed || first) on_change_(resolved());
}

LoadAssignment DnsCluster::resolved() const {
  LoadAssignment assignment = config_->assignment;
  size_t at = 0;
  for (LocalityEndpoints& locality : assignment.localities) {
    for (size_t names = std::exchange(locality.endpoints, {}).size(); names > 0; --names) {
      targets_[at++]->add_to(locality);
    }
  }
  return assignment;
}

uint64_t DnsCluster::random() {
  random_state_ += 0x9E3779B97F4A7C15ull;  // splitmix64
  uint64_t z = random_state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

uint64_t DnsCluster::jitter() {
  return config_->dns_jitter_ms == 0 ? 0 : random() % config_->dns_jitter_ms;
}

void DnsCluster::count(Stat stat) const {
  if (shared_ != nullptr) shared_->stats().inc(stat);
}

}  // namespace remora::upstream
