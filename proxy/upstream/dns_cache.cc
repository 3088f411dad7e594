#include "proxy/upstream/dns_cache.h"

#include <algorithm>
#include <charconv>

namespace remora::upstream {
namespace {

constexpr size_t kMaxNameBytes = 253;
constexpr size_t kMaxLabelBytes = 63;
constexpr size_t kMaxPortDigits = 5;

/// What a DNS server may be asked for: letters, digits, hyphens and underscores between dots.
bool is_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kMaxNameBytes) return false;
  size_t label = 0;
  for (const char c : text) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
    if (!fits || ++label > kMaxLabelBytes) return false;
  }
  return label > 0;
}

bool is_port(std::string_view digits) {
  if (digits.size() > kMaxPortDigits) return false;
  uint16_t port = 0;
  const char* end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, port);
  return error == std::errc() && at == end;
}

}  // namespace

std::string_view host_key(std::string_view authority, uint16_t default_port, Arena& arena) {
  const size_t bracket = authority.starts_with('[') ? authority.find(']') : 0;
  if (bracket == std::string_view::npos) return {};
  const size_t colon = authority.find(':', bracket);
  const std::string_view host = authority.substr(0, colon);
  if (bracket > 0) {
    const std::string_view address = host.substr(1, bracket - 1);
    const bool is_v6 = address.find(':') != std::string_view::npos;
    if (host.size() != bracket + 1 || !is_v6 || !Address::from_ip(address, 0).ok()) return {};
  } else if (!is_name(host)) {
    return {};
  }
  if (colon != std::string_view::npos) {
    return is_port(authority.substr(colon + 1)) ? authority : std::string_view();
  }
  return arena.join(host, ":", std::to_string(default_port));
}

HostAndPort parts_of_key(std::string_view key) {
  HostAndPort out;
  const size_t colon = key.rfind(':');
  const std::string_view digits = key.substr(colon + 1);
  std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  out.host = key.substr(0, colon);
  if (out.host.starts_with('[')) out.host = out.host.substr(1, out.host.size() - 2);
  return out;
}

void ResolvedName::touch(MonotonicMs now) const {
  // Workers share it: a little more or less does not matter.
  constexpr MonotonicMs kOftenEnoughMs = 100;
  if (now < last_used->load(std::memory_order_relaxed) + kOftenEnoughMs) return;
  last_used->store(now, std::memory_order_relaxed);
}

void DnsCache::release(Waiter& waiter) {
  waiter.unlink();
  waiter.cache_ = nullptr;
  pending_.fetch_sub(1, std::memory_order_relaxed);
}

const ResolvedNamePtr* DnsCache::find(uint32_t thread, std::string_view key) const {
  const StringMap<ResolvedNamePtr>& names = slots_[thread].names;
  const auto found = names.find(key);
  return found == names.end() ? nullptr : &found->second;
}

bool DnsCache::wait(uint32_t thread, std::string_view key, Waiter& waiter) {
  if (pending_.fetch_add(1, std::memory_order_relaxed) >= config_.max_pending) {
    pending_.fetch_sub(1, std::memory_order_relaxed);
    stats_->at(thread).inc(DnsCacheStat::dns_rq_pending_overflow);
    return false;
  }
  auto& waiters = slots_[thread].waiters[key];
  const bool first = waiters == nullptr;
  if (first) waiters = std::make_unique<IntrusiveList<Waiter>>();
  waiters->push_back(waiter);
  waiter.cache_ = this;
  // Who asked first may be gone, but the answer comes all the same.
  if (first) resolver_.ask(weak_from_this(), std::string(key), thread);
  return true;
}

void DnsCache::forget(uint32_t thread, const std::string& key) {
  Slot& slot = slots_[thread];
  if (slot.names.erase(key) == 0) return;
  slot.watchers.for_each([&key](Watcher& watcher) { watcher.on_forgotten(key); });
}

void DnsCache::deliver(uint32_t thread, const std::string& key, const ResolvedNamePtr& name) {
  Slot& slot = slots_[thread];
  if (name != nullptr) slot.names.insert_or_assign(key, name);
  const auto found = slot.waiters.find(key);
  if (found == slot.waiters.end()) return;
  const std::unique_ptr<IntrusiveList<Waiter>> told = std::move(found->second);
  slot.waiters.erase(found);
  while (!told->empty()) {
    Waiter& waiter = told->front();
    release(waiter);
    waiter.on_name(name);
  }
}

}  // namespace remora::upstream
