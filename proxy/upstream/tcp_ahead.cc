#include "proxy/upstream/tcp_ahead.h"

#include <algorithm>
#include <utility>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/tcp_upstream.h"

namespace remora::upstream {
namespace {

constexpr int kMostAtOnce = 3;

PoolLoad load_of(uint64_t users, uint64_t spares) { return {0, users, spares}; }

}  // namespace

bool TcpAhead::OfHost::wants_more(double ratio, uint64_t coming) const {
  return load_of(users, spares.size()).wants_more(ratio, coming);
}

TcpUpstream* TcpAhead::take(const Host& host) {
  const auto found = hosts_.find(host.pool_key());
  if (found == hosts_.end() || found->second.spares.empty()) return nullptr;
  std::vector<TcpUpstream*>& spares = found->second.spares;
  auto at = std::ranges::find_if(spares, [](const TcpUpstream* one) { return one->stands(); });
  if (at == spares.end()) at = spares.begin();
  TcpUpstream* taken = *at;
  spares.erase(at);
  return taken;
}

void TcpAhead::used(TcpUpstream& upstream) {
  upstream.count_user(*this);
  ++hosts_[upstream.host()->pool_key()].users;
  const double ratio = balancing_of(cluster_.config()).preconnect.of_host;
  if (ratio <= 1 || upstream.host()->overall_health() != Health::Healthy) return;
  for (int i = 0; i < kMostAtOnce; ++i) {
    if (!hosts_[upstream.host()->pool_key()].wants_more(ratio, 0)) return;
    if (!connect(upstream.host())) return;
  }
}

void TcpAhead::connect_for_coming() {
  const double ratio = balancing_of(cluster_.config()).preconnect.of_cluster;
  for (int i = 0; i < kMostAtOnce; ++i) {
    uint64_t users = 0, spares = 0;
    for (const auto& [key, of] : hosts_) {
      users += of.users;
      spares += of.spares.size();
    }
    if (!load_of(users, spares).wants_more(ratio, 1)) return;
    const HostPtr next = cluster_.peek_host();
    if (next == nullptr || next->overall_health() != Health::Healthy) return;
    if (!hosts_[next->pool_key()].wants_more(ratio, 1) || !connect(next)) {
      return maybe_forget(*next);
    }
  }
}

bool TcpAhead::connect(const HostPtr& host) {
  if (!cluster_.may_connect_tcp(*host)) return false;
  TcpUpstream& spare = cluster_.connect_tcp(host, {});
  spare.keep_spare(*this);
  hosts_[host->pool_key()].spares.push_back(&spare);
  return true;
}

void TcpAhead::close_spares(absl::FunctionRef<bool(const Host& key)> condition) {
  std::vector<TcpUpstream*> chosen;
  for (const auto& [key, of] : hosts_) {
    if (condition(*key)) chosen.insert(chosen.end(), of.spares.begin(), of.spares.end());
  }
  for (TcpUpstream* spare : chosen) spare->close();
}

void TcpAhead::no_longer_used(const Host& host) {
  --hosts_[host.pool_key()].users;
  maybe_forget(host);
}

void TcpAhead::spare_gone(TcpUpstream& spare) {
  std::erase(hosts_[spare.host()->pool_key()].spares, &spare);
  maybe_forget(*spare.host());
}

void TcpAhead::maybe_forget(const Host& host) {
  const auto found = hosts_.find(host.pool_key());
  if (found == hosts_.end()) return;
  if (found->second.users == 0 && found->second.spares.empty()) hosts_.erase(found);
}

}  // namespace remora::upstream
