#include "proxy/upstream/forward_hosts.h"

#include <algorithm>
#include <utility>

namespace remora::upstream {
namespace {

/// Connections of the one before go on: it is the same host at other addresses.
HostPtr host_of(const ResolvedName& name, const HostPtr& before) {
  EndpointConfig endpoint;
  endpoint.address = name.addresses.front();
  if (name.addresses.size() > 1) {
    endpoint.extras.edit().more_addresses.assign(name.addresses.begin() + 1, name.addresses.end());
  }
  endpoint.hostname = name.key;
  HostPtr logical;
  if (before != nullptr) logical = before->logical() != nullptr ? before->logical() : before;
  constexpr uint32_t kPriority = 0, kTransport = 0;
  constexpr uint8_t kUnchecked = 0;
  return std::make_shared<const Host>(std::make_shared<const EndpointConfig>(std::move(endpoint)),
                                      nullptr, kPriority, kTransport, kUnchecked,
                                      std::move(logical));
}

/// Whether `address` is one at which this proxy listens. Which addresses besides loopback are this
/// machine's is not known, so a listener at any address does not count for them.
bool leads_back(const Address& address, const std::function<bool(const Address&)>& listens_at) {
  const auto listens = [&](std::string_view ip) {
    return listens_at(*Address::from_ip(ip, address.port()));
  };
  const Address at = address.unmapped();
  if (at.is_any()) return listens("127.0.0.1") || listens("::1");
  if (at.is_loopback()) return listens_at(at) || listens("::");
  return listens_at(at) && !listens(at.family() == Address::Family::V4 ? "0.0.0.0" : "::");
}

}  // namespace

ForwardHosts::ForwardHosts(std::shared_ptr<DnsCache> cache, WorkerContext& worker, Events events)
    : cache_(std::move(cache)), worker_(worker), events_(std::move(events)) {
  cache_->watch(worker.index(), *this);
}

HostPtr ForwardHosts::pick(std::string_view key) {
  const ResolvedNamePtr* known = cache_->find(worker_.index(), key);
  if (known == nullptr || (*known)->addresses.empty()) return nullptr;
  const ResolvedNamePtr& name = *known;
  name->touch(worker_.loop().now_ms());
  auto found = hosts_.find(key);
  if (found != hosts_.end() && found->second.name == name) return found->second.host;
  const auto leads_here = [this](const Address& at) { return leads_back(at, events_.listens_at); };
  if (std::ranges::any_of(name->addresses, leads_here)) return nullptr;
  if (found == hosts_.end()) found = hosts_.try_emplace(std::string(key)).first;
  found->second.host = host_of(*name, found->second.host);
  found->second.name = name;
  return found->second.host;
}

bool ForwardHosts::knows(const Host& pool_key) const {
  const auto found = hosts_.find(pool_key.hostname());
  return found != hosts_.end() && found->second.host->pool_key() == &pool_key;
}

void ForwardHosts::on_forgotten(std::string_view key) {
  const auto found = hosts_.find(key);
  if (found == hosts_.end()) return;
  const HostPtr host = std::move(found->second.host);
  hosts_.erase(found);
  events_.on_forgotten(*host);
}

}  // namespace remora::upstream
