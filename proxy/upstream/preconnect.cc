// Connections that are made before requests want them: at a host that has requests, and at the
// hosts that are next in turn. Parts of HttpPool and Cluster; the worker's thread. Document:
// envoy.config.cluster.v3.Cluster.PreconnectPolicy.
#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/http_pool.h"
#include "proxy/upstream/pooled_http.h"
#include "proxy/upstream/tcp_ahead.h"

namespace remora::upstream {
namespace {

constexpr int kMostAtOnce = 3;

}  // namespace

PoolLoad HttpPool::load() const {
  PoolLoad load = {waiting_count_, 0, connecting_capacity_};
  const auto add = [&load](const PooledHttp& connection) {
    load.active += connection.active_streams();
    load.room += connection.room();
  };
  ready_.for_each(add);
  busy_.for_each(add);
  return load;
}

bool HttpPool::connects_ahead() const {
  return balancing_of(cluster_.config()).preconnect.of_host > 1 && !draining_ &&
         host_->overall_health() == Health::Healthy;
}

/// A stream has begun to wait, or is `coming` on a ready connection.
void HttpPool::connect_ahead(uint64_t coming) {
  const double ratio = balancing_of(cluster_.config()).preconnect.of_host;
  for (int i = 0; i < kMostAtOnce; ++i) {
    if (!load().wants_more(ratio, coming) || !may_connect()) return;
    connect();
  }
}

bool HttpPool::connect_for_coming(double ratio) {
  const bool well = !draining_ && host_->overall_health() == Health::Healthy;
  if (well && load().wants_more(ratio, 1) && may_connect()) {
    connect();
    return true;
  }
  maybe_gone();  // it may have been made for this alone
  return false;
}

HostPtr Cluster::peek_host() {
  const BalancingConfig& balancing = balancing_of(*config_);
  const bool in_turn = config_->lb == LbPolicy::RoundRobin || config_->lb == LbPolicy::Random;
  if (!in_turn || balancing.subsets != nullptr || balancing.peak_ewma != nullptr) return nullptr;
  if (peeked_ == nullptr) peeked_ = std::make_unique<std::deque<HostPtr>>();
  if (peeked_->size() >= hosts_->healthy_total()) return nullptr;
  if (balancer_ == nullptr) make_balancer();
  if (balancer_ == nullptr) return nullptr;
  HostPtr host = balancer_->pick({});
  if (host != nullptr) peeked_->push_back(host);
  return host;
}

/// A stream is about to begin: connects for those that are likely to follow.
void Cluster::connect_ahead(Priority priority, const ConnectionNeeds& needs) {
  const double ratio = balancing_of(*config_).preconnect.of_cluster;
  for (int i = 0; i < kMostAtOnce; ++i) {
    PoolLoad all;
    for (const auto& [key, pools] : pools_) {
      for (const auto& pool : pools.shared) {
        if (pool != nullptr) all.add(pool->load());
      }
      if (pools.by_key == nullptr) continue;
      for (const auto& [name, keyed] : *pools.by_key) {
        for (const auto& pool : keyed) {
          if (pool != nullptr) all.add(pool->load());
        }
      }
    }
    if (!all.wants_more(ratio, 1)) return;
    const HostPtr next = peek_host();
    HttpPool* pool = next == nullptr ? nullptr : http_pool(next, priority, needs);
    if (pool == nullptr || !pool->connect_for_coming(ratio)) return;
  }
}

/// Null: no connections are made ahead for such sessions.
TcpAhead* Cluster::tcp_ahead_for(const Host& host, const ConnectionNeeds& needs) {
  const Preconnect& preconnect = balancing_of(*config_).preconnect;
  if (preconnect.of_host <= 1 && preconnect.of_cluster <= 1) return nullptr;
  if (!needs.key.empty() || !needs.alpn.empty()) return nullptr;
  if (transport_to(host).tells_downstream()) return nullptr;
  if (tcp_ahead_ == nullptr) tcp_ahead_ = std::make_unique<TcpAhead>(*this);
  return tcp_ahead_.get();
}

}  // namespace remora::upstream
