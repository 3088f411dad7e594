// Host choice, pools and the life of a worker's cluster; counting is in cluster_accounting.cc.
#include "proxy/upstream/cluster.h"

#include <algorithm>
#include <utility>

#include "proxy/upstream/address_order.h"
#include "proxy/upstream/aggregate.h"
#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/client_codec.h"
#include "proxy/upstream/forward_hosts.h"
#include "proxy/upstream/metadata_criteria.h"
#include "proxy/upstream/original_dst.h"
#include "proxy/upstream/tcp_ahead.h"
#include "proxy/upstream/tcp_upstream.h"

namespace remora::upstream {
namespace {

using stats::ClusterStat;

bool avoids(const PickContext& context) {
  return context.avoid_count > 0 || context.avoid_canaries || context.avoid_labels != nullptr;
}

bool is_to_be_avoided(const Host& host, const PickContext& context) {
  const Host* const* end = context.avoid + context.avoid_count;
  if (std::find(context.avoid, end, &host) != end) return true;
  if (context.avoid_canaries && host.endpoint().canary) return true;
  constexpr bool kListAsAny = true;
  return context.avoid_labels != nullptr &&
         std::ranges::any_of(*context.avoid_labels, [&](const MetadataStruct& labels) {
           return has_all(host.labels(), labels, kListAsAny);
         });
}

bool same_options(const std::vector<SocketOption>& a, const std::vector<SocketOption>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const SocketOption& x, const SocketOption& y) {
        return x.level == y.level && x.name == y.name && x.value == y.value && x.state == y.state;
      });
}

bool same_keepalive(const TcpKeepalive& a, const TcpKeepalive& b) {
  return a.enabled == b.enabled && a.probes == b.probes && a.time_s == b.time_s &&
         a.interval_s == b.interval_s;
}

// Whether connections made under one configuration serve under the other.
bool same_connections(const ClusterConfig& a, const ClusterConfig& b) {
  return a.transport_hash == b.transport_hash && a.auto_sni == b.auto_sni &&
         a.auto_san_validation == b.auto_san_validation && a.protocol == b.protocol &&
         a.bind_to == b.bind_to && a.per_connection_buffer_limit == b.per_connection_buffer_limit &&
         http2_options(a) == http2_options(b) && a.max_response_headers == b.max_response_headers &&
         a.max_response_header_bytes == b.max_response_header_bytes &&
         a.use_downstream_protocol == b.use_downstream_protocol &&
         same_keepalive(a.keepalive, b.keepalive) &&
         same_options(a.socket_options, b.socket_options);
}

}  // namespace

Cluster::Cluster(ClusterMap& map, WorkerContext& worker,
                 std::shared_ptr<const ClusterConfig> config, std::shared_ptr<ClusterShared> shared,
                 std::shared_ptr<const HostSet> hosts)
    : map_(map),
      worker_(worker),
      config_(std::move(config)),
      shared_(std::move(shared)),
      hosts_(std::move(hosts)) {
  set_connect_options();
}

Cluster::~Cluster() {
  finished_ = true;  // nothing below reports to the map
  while (!tcp_.empty()) tcp_.front().detach();
}

void Cluster::set_connect_options() {
  connect_options_ = {config_->bind_to, config_->keepalive, config_->socket_options};
  const auto add = [this](const std::shared_ptr<const TransportFactory>& factory) {
    transports_.push_back(factory != nullptr ? factory : raw_transport_factory());
  };
  transports_.clear();
  add(config_->transport);
  for (const TransportMatch& match : config_->transport_matches) add(match.transport);
}

// --- choosing a host ---

Cluster& Cluster::member_for(PickContext& context) {
  if (balancing_of(*config_).members.empty()) return *this;
  if (aggregate_ == nullptr) aggregate_ = std::make_unique<Aggregate>(config_, map_, worker_);
  Cluster* member = aggregate_->choose(context);
  return member != nullptr ? *member : *this;
}

HostPtr Cluster::pick_host(const PickContext& context) {
  HostPtr host = pick_once(context);
  if (avoids(context)) {
    PickContext again = context;
    again.random = 0;
    for (uint32_t i = 0; i < context.max_attempts && host != nullptr; ++i) {
      if (!is_to_be_avoided(*host, context)) break;
      ++again.attempt;
      host = pick_once(again);
    }
  }
  if (host == nullptr) stats().inc(ClusterStat::upstream_cx_none_healthy);
  return host;
}

/// Null: no host that may be asked for has that address.
HostPtr Cluster::find_by_address(std::string_view address) {
  if (by_address_ == nullptr) {
    by_address_ = std::make_unique<StringMap<HostPtr>>();
    for (const PriorityHosts& priority : hosts_->priorities) {
      for (const HostPtr& host : priority.hosts) {
        by_address_->try_emplace(host->address().to_string(), host);
      }
    }
  }
  const auto found = by_address_->find(address);
  if (found == by_address_->end()) return nullptr;
  const uint32_t bit = 1 << static_cast<uint32_t>(found->second->overall_status());
  return (balancing_of(*config_).override_host_status & bit) != 0 ? found->second : nullptr;
}

HostPtr Cluster::pick_once(const PickContext& context) {
  if (aggregate_ != nullptr) return nullptr;  // no member has hosts
  if (!context.override_host.empty()) {
    HostPtr host = find_by_address(context.override_host);
    if (host != nullptr || context.override_host_strict) return host;
  }
  if (peeked_ != nullptr && !peeked_->empty() && !context.choice) {
    HostPtr host = std::move(peeked_->front());
    peeked_->pop_front();
    return host;
  }
  if (balancing_of(*config_).dns_cache != nullptr)
    return pick_forward(context.override_host_header);
  if (balancer_ == nullptr && original_dst_ == nullptr) make_balancer();
  if (original_dst_ != nullptr) return original_dst_->pick(context);
  return balancer_->pick(context);
}

void Cluster::make_balancer() {
  if (config_->discovery != Discovery::OriginalDst) {
    balancer_ = upstream::make_balancer(
        {config_, worker_, *shared_, map_.local_hosts(), map_.here()}, hosts_);
    return;
  }
  OriginalDst::Events events;
  events.on_forgotten = [this](const HostPtr& host) { drain_pools_of(host.get()); };
  events.on_invalid_destination = [this] { stats().inc(ClusterStat::original_dst_host_invalid); };
  events.is_own_address = [this](const Address& address) { return map_.is_own_address(address); };
  original_dst_ = std::make_unique<OriginalDst>(config_, worker_, std::move(events));
}

HostPtr Cluster::pick_forward(std::string_view key) {
  if (forward_hosts_ == nullptr) {
    ForwardHosts::Events events;
    events.on_forgotten = [this](const Host& host) { drain_pools_of(host.pool_key()); };
    events.listens_at = [this](const Address& address) { return map_.is_own_address(address); };
    forward_hosts_ = std::make_unique<ForwardHosts>(balancing_of(*config_).dns_cache, worker_,
                                                    std::move(events));
  }
  return forward_hosts_->pick(key);
}

// --- connections ---

Acquired Cluster::acquire_http(const HostPtr& host, Priority priority, HttpPoolWaiter& waiter,
                               const ConnectionNeeds& needs) {
  Acquired acquired;
  acquired.failure = PoolFailure::ClusterGone;
  if (retired_) return acquired;
  if (balancing_of(*config_).preconnect.of_cluster > 1) connect_ahead(priority, needs);
  if (HttpPool* pool = http_pool(host, priority, needs)) {
    return pool->acquire(host, waiter, needs.fresh);
  }
  acquired.failure = PoolFailure::Overflow;
  return acquired;
}

HttpProtocol Cluster::protocol_for(const ConnectionNeeds& needs) const {
  if (!config_->use_downstream_protocol || !needs.downstream_protocol) return config_->protocol;
  return *needs.downstream_protocol == http::Protocol::Http2 ? HttpProtocol::Http2
                                                             : HttpProtocol::Http1;
}

size_t Cluster::index_of(Priority priority, HttpProtocol protocol) {
  return 2 * static_cast<size_t>(priority) + (protocol == HttpProtocol::Http1 ? 0 : 1);
}

HttpPool* Cluster::http_pool(const HostPtr& host, Priority priority, const ConnectionNeeds& needs) {
  const HttpProtocol protocol = protocol_for(needs);
  const size_t index = index_of(priority, protocol);
  auto found = pools_.find(host->pool_key());
  if (found != pools_.end()) {
    const HostPools& pools = found->second;
    if (needs.key.empty()) {
      if (pools.shared[index] != nullptr) return pools.shared[index].get();
    } else if (pools.by_key != nullptr) {
      const auto keyed = pools.by_key->find(needs.key);
      if (keyed != pools.by_key->end() && keyed->second[index] != nullptr) {
        return keyed->second[index].get();
      }
    }
  }
  if (!shared_->counts(priority).try_take(Resource::Pools,
                                          config_->thresholds(priority).max_connection_pools)) {
    stats().inc(ClusterStat::upstream_cx_pool_overflow);
    return nullptr;
  }
  HostPools& pools = pools_[host->pool_key()];
  PoolsOfOneKey* place = &pools.shared;
  if (!needs.key.empty()) {
    if (pools.by_key == nullptr) pools.by_key = std::make_unique<StringMap<PoolsOfOneKey>>();
    place = &(*pools.by_key)[needs.key];
  }
  (*place)[index] = std::make_unique<HttpPool>(*this, host, priority, protocol, needs);
  return (*place)[index].get();
}

template <class Action>
void Cluster::for_each_pool(Action action) {
  const auto each = [&](PoolsOfOneKey& pools) {
    for (auto& pool : pools) {
      if (pool != nullptr) action(*pool);
    }
  };
  for (auto& [key, pools] : pools_) {
    each(pools.shared);
    if (pools.by_key == nullptr) continue;
    for (auto& [name, keyed] : *pools.by_key) each(keyed);
  }
}

TcpAcquired Cluster::acquire_tcp(const HostPtr& host, TcpWaiter& waiter,
                                 const ConnectionNeeds& needs) {
  TcpAcquired acquired;
  acquired.failure = PoolFailure::ClusterGone;
  if (retired_) return acquired;
  acquired.failure = PoolFailure::Overflow;
  TcpAhead* ahead = tcp_ahead_for(*host, needs);
  if (ahead != nullptr && balancing_of(*config_).preconnect.of_cluster > 1) {
    ahead->connect_for_coming();
  }
  TcpUpstream* upstream = ahead == nullptr ? nullptr : ahead->take(*host);
  if (upstream == nullptr && !may_connect_tcp(*host)) return acquired;
  ResourceCounts& counts = shared_->counts(Priority::Default);
  const bool waits = upstream == nullptr || !upstream->stands();
  if (waits &&
      !counts.try_take(Resource::Pending, config_->default_thresholds.max_pending_requests)) {
    upstream == nullptr ? counts.release(Resource::Connections) : upstream->close();
    stats().inc(ClusterStat::upstream_rq_pending_overflow);
    return acquired;
  }
  if (upstream == nullptr) upstream = &connect_tcp(host, needs);
  acquired.pending = upstream->wait(waiter);
  if (ahead != nullptr) ahead->used(*upstream);
  return acquired;
}

bool Cluster::may_connect_tcp(const Host& host) {
  const CircuitBreakerThresholds& limits = config_->default_thresholds;
  if (host.counters.cx_active.load(std::memory_order_relaxed) < limits.max_connections_per_host &&
      shared_->counts(Priority::Default).try_take(Resource::Connections, limits.max_connections)) {
    return true;
  }
  stats().inc(ClusterStat::upstream_cx_overflow);
  return false;
}

TcpUpstream& Cluster::connect_tcp(const HostPtr& host, const ConnectionNeeds& needs) {
  TcpUpstream& upstream = TcpUpstream::start(*this, host, needs);
  tcp_.push_back(upstream);
  return upstream;
}

Socket Cluster::open_socket(const Host& host, int* error) const {
  if (host.extras().more_addresses.empty()) return open_socket(host.address(), error);
  const AddressOrder& order = balancing_of(*config_).address_order;
  return open_socket(addresses_in_order(host.endpoint(), order).front(), error);
}

Socket Cluster::open_socket(const Address& address, int* error) const {
  return connect_to(address, connect_options_, error);
}

const TransportFactory& Cluster::transport_to(const Host& host) const {
  // A host of before an update may name a transport that is no more: its connections are about to
  // drain, and what this one does is no worse than what a host without labels gets.
  return *transports_[host.transport() < transports_.size() ? host.transport() : 0];
}

Connection Cluster::make_connection(Socket socket, const Host& host, const ConnectionNeeds& needs) {
  const int fd = socket.fd();
  const ConnectionLimits limits = {config_->per_connection_buffer_limit};
  TransportOptions options;
  options.worker = worker_.index();
  options.server_name = needs.server_name;
  options.host_name = host.hostname();
  options.alpn = needs.alpn;
  options.required_san = needs.required_san;
  options.downstream = needs.downstream;
  auto transport = transport_to(host).make(fd, options);
  return Connection(loop(), std::move(socket), std::move(transport), limits);
}

void Cluster::prepare(Connection& connection, const Host& host) {
  connection.set_id(worker_.next_connection_id());
  connection.set_addresses({}, host.address());
}

// --- retries ---

bool Cluster::try_retry(Priority priority) {
  ResourceCounts& counts = shared_->counts(priority);
  return counts.try_take(Resource::Retries, retry_limit(config_->thresholds(priority), counts));
}

void Cluster::release_retry(Priority priority) {
  shared_->counts(priority).release(Resource::Retries);
}

// --- updates ---

void Cluster::update(std::shared_ptr<const ClusterConfig> config,
                     std::shared_ptr<const HostSet> hosts) {
  const bool connections_stay = same_connections(*config_, *config);
  config_ = std::move(config);
  aggregate_.reset();
  set_connect_options();
  if (config_->discovery != Discovery::OriginalDst) {
    original_dst_.reset();
  } else if (original_dst_ != nullptr) {
    original_dst_->set_config(config_);
  }
  if (forward_hosts_ != nullptr && forward_hosts_->cache() != balancing_of(*config_).dns_cache) {
    forward_hosts_.reset();
  }
  if (!connections_stay) drain_all_pools();
  update_hosts(std::move(hosts));
}

void Cluster::update_hosts(std::shared_ptr<const HostSet> hosts) {
  if (balancing_of(*config_).close_connections_on_host_set_change && !same_hosts(*hosts_, *hosts)) {
    drain_all_pools();
  }
  hosts_ = std::move(hosts);
  peeked_.reset();
  balancer_.reset();
  by_address_.reset();
  drain_vanished();
  leave_failed();
}

void Cluster::drain_vanished() {
  if (pools_.empty() && tcp_ahead_ == nullptr) return;
  absl::flat_hash_set<const Host*> present;
  for (const PriorityHosts& priority : hosts_->priorities) {
    for (const HostPtr& host : priority.hosts) present.insert(host->pool_key());
  }
  const auto has_vanished = [&](const Host& key) {
    if (present.contains(&key) || (original_dst_ && original_dst_->knows(key))) return false;
    return forward_hosts_ == nullptr || !forward_hosts_->knows(key);
  };
  if (tcp_ahead_ != nullptr) tcp_ahead_->close_spares(has_vanished);
  std::vector<const Host*> vanished;
  for (const auto& [key, pools] : pools_) {
    if (has_vanished(*key)) vanished.push_back(key);
  }
  for (const Host* key : vanished) drain_pools_of(key);
}

void Cluster::drain_pools_of(const Host* key) {
  if (tcp_ahead_ != nullptr) {
    tcp_ahead_->close_spares([key](const Host& other) { return &other == key; });
  }
  auto found = pools_.find(key);
  if (found == pools_.end()) return;
  HostPools pools = std::move(found->second);
  pools_.erase(found);
  std::vector<std::unique_ptr<HttpPool>> all;
  take_pools(pools.shared, &all);
  if (pools.by_key != nullptr) {
    for (auto& [name, keyed] : *pools.by_key) take_pools(keyed, &all);
  }
  for (auto& pool : all) {
    HttpPool& draining = *pool;
    draining_pools_.push_back(std::move(pool));
    draining.drain();
  }
}

void Cluster::take_pools(PoolsOfOneKey& from, std::vector<std::unique_ptr<HttpPool>>* to) {
  for (auto& pool : from) {
    if (pool != nullptr) to->push_back(std::move(pool));
  }
}

void Cluster::drain_all_pools() {
  if (tcp_ahead_ != nullptr) tcp_ahead_->close_spares([](const Host&) { return true; });
  while (!pools_.empty()) drain_pools_of(pools_.begin()->first);
}

/// What is open to hosts that checks or outlier detection took out since the last update carries
/// no more requests: should one be asked all the same, a new connection may fare better.
void Cluster::leave_failed() {
  absl::flat_hash_set<const Host*> failed, before = std::exchange(failed_, {});
  for (const PriorityHosts& priority : hosts_->priorities) {
    for (const HostPtr& host : priority.hosts) {
      if (!host->ejected() && !host->check_flag(kCheckFailed)) continue;
      failed_.insert(host.get());
      if (!before.contains(host.get())) failed.insert(host.get());
    }
  }
  for (const Host* host : failed) drain_pools_of(host->pool_key());
  if (!config_->close_connections_on_host_health_failure || failed.empty()) return;
  std::vector<TcpUpstream*> to_close;
  tcp_.for_each([&](TcpUpstream& upstream) {
    if (failed.contains(upstream.host().get())) to_close.push_back(&upstream);
  });
  for (TcpUpstream* upstream : to_close) upstream->close();
}

void Cluster::end_connections(TransportCondition condition, Ending how) {
  std::vector<HttpPool*> pools;  // one that gets empty may leave the map
  for_each_pool([&pools](HttpPool& pool) { pools.push_back(&pool); });
  for (auto& pool : draining_pools_) pools.push_back(pool.get());
  for (HttpPool* pool : pools) pool->end_connections(condition, how);
  std::vector<TcpUpstream*> chosen;
  tcp_.for_each([&](TcpUpstream& upstream) {
    if (how != Ending::AtOnce && !upstream.spare()) return;
    if (condition(upstream.transport())) chosen.push_back(&upstream);
  });
  for (TcpUpstream* upstream : chosen) upstream->close();
}

void Cluster::pool_gone(HttpPool& pool) {
  auto at = std::find_if(draining_pools_.begin(), draining_pools_.end(),
                         [&pool](const auto& draining) { return draining.get() == &pool; });
  if (at != draining_pools_.end()) {
    loop().defer_delete(std::move(*at));
    draining_pools_.erase(at);
  } else {
    forget_keyed(pool);
  }
  maybe_finished();
}

// A pool for one key has served its last connection.
void Cluster::forget_keyed(HttpPool& pool) {
  StringMap<PoolsOfOneKey>& by_key = *pools_.find(pool.host().pool_key())->second.by_key;
  const auto keyed = by_key.find(pool.key());
  loop().defer_delete(std::move(keyed->second[index_of(pool.priority(), pool.protocol())]));
  const auto is_null = [](const auto& other) { return other == nullptr; };
  if (std::ranges::all_of(keyed->second, is_null)) by_key.erase(keyed);
}

// --- the end ---

void Cluster::retire() {
  retired_ = true;
  original_dst_.reset();
  drain_all_pools();
  maybe_finished();
}

void Cluster::maybe_finished() {
  if (!retired_ || finished_ || pins_ > 0) return;
  if (!pools_.empty() || !draining_pools_.empty() || !tcp_.empty()) return;
  finished_ = true;
  map_.cluster_finished(*this);
}

}  // namespace remora::upstream
