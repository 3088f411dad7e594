// Names that a dynamic forward proxy has looked up: the main thread resolves, refreshes and forgets
// them, each worker has a slot with what it was last told. Shared by the configurations of filter
// and cluster (which may be destroyed on a worker) and the main thread's service, which keeps no
// configuration alive. Document: envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig.
#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/arena.h"
#include "proxy/base/clock.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/string_map.h"
#include "proxy/net/address.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schema.h"
#include "proxy/upstream/cluster_config.h"

namespace remora::upstream {

// --- dns_cache.NAME ---
// clang-format off
#define REMORA_DNS_CACHE_STATS(X) X(Counter, dns_rq_pending_overflow)
#define REMORA_DNS_CACHE_MAIN_STATS(X) \
  X(Gauge, rq_pending_open, "circuit_breakers.rq_pending_open") \
  X(Gauge, rq_pending_remaining, "circuit_breakers.rq_pending_remaining") X(Gauge, num_hosts) \
  X(Counter, cache_load) X(Counter, dns_address_filter_out) X(Counter, dns_query_attempt) \
  X(Counter, dns_query_failure) X(Counter, dns_query_success) X(Counter, dns_query_timeout) \
  X(Counter, host_added) X(Counter, host_address_changed) X(Counter, host_overflow) \
  X(Counter, host_removed)
// clang-format on
REMORA_STATS_SCHEMA(DnsCache, REMORA_DNS_CACHE_STATS, REMORA_DNS_CACHE_MAIN_STATS, REMORA_NO_STATS)

struct DnsCacheConfig {
  std::string name;
  DnsFamily family = DnsFamily::Auto;
  uint64_t refresh_ms = 60'000;     // of a name that answers with no time to live
  uint64_t min_refresh_ms = 5'000;  // however short an answer's time to live is
  uint64_t host_ttl_ms = 300'000;   // without use
  uint32_t max_hosts = 1024;
  uint64_t failure_base_ms = 60'000, failure_max_ms = 60'000;
  uint32_t max_pending = 1024;  // requests that wait
  uint64_t query_timeout_ms = 5'000;
  std::vector<Address> servers;         // empty: the system's
  std::vector<std::string> preresolve;  // keys

  bool operator==(const DnsCacheConfig&) const = default;
};

/// The two parts of a key: a name, or an address without brackets.
struct HostAndPort {
  std::string_view host;
  uint16_t port = 0;
};

/// By which the host of an authority is known: the authority as it is, or with `default_port` when
/// it has none. Empty: it names no host that could be looked up.
std::string_view host_key(std::string_view authority, uint16_t default_port, Arena& arena);
/// Of who names none, when `config` is the cluster's.
inline uint16_t default_port(const ClusterConfig& config) {
  constexpr uint16_t kHttp = 80, kHttps = 443;
  return config.reaches_securely(0) ? kHttps : kHttp;
}
/// `key` is one that host_key() gave.
HostAndPort parts_of_key(std::string_view key);

/// What is known of a name.
struct ResolvedName {
  std::string key;
  std::vector<Address> addresses;  // with port; empty: it could not be resolved
  std::string failure;             // then
  /// By any worker, as Envoy's host_ttl has it; one for all that is ever known of the name.
  std::shared_ptr<std::atomic<MonotonicMs>> last_used;

  void touch(MonotonicMs now) const;
};
using ResolvedNamePtr = std::shared_ptr<const ResolvedName>;

class DnsCache;

/// The main thread's service as the workers know it.
class DnsCacheResolver {
 public:
  /// Any thread: `thread` wants to know `key`.
  virtual void ask(std::weak_ptr<DnsCache> cache, std::string key, uint32_t thread) = 0;

 protected:
  ~DnsCacheResolver() = default;
};

class DnsCache : public std::enable_shared_from_this<DnsCache> {
 public:
  using Stats = stats::Group<DnsCacheSchema>;

  /// Who waits for a name. Destroying it cancels.
  class Waiter : public ListLink {
   public:
    /// Once, from the loop. Null: there is no room for more names.
    virtual void on_name(const ResolvedNamePtr& name) = 0;

   protected:
    ~Waiter() { cancel(); }
    void cancel() {
      if (cache_ != nullptr) cache_->release(*this);
    }

   private:
    friend class DnsCache;
    DnsCache* cache_ = nullptr;  // that counts it as waiting
  };

  /// Who has hosts of names.
  class Watcher : public ListLink {
   public:
    virtual void on_forgotten(std::string_view key) = 0;

   protected:
    ~Watcher() = default;
  };

  /// `resolver` outlives the workers' threads. `threads`: how many of them, and the main thread.
  DnsCache(DnsCacheConfig config, uint32_t threads, DnsCacheResolver& resolver,
           std::shared_ptr<Stats> stats)
      : config_(std::move(config)),
        resolver_(resolver),
        stats_(std::move(stats)),
        slots_(threads) {}

  const DnsCacheConfig& config() const { return config_; }
  Stats& stats() { return *stats_; }
  uint32_t pending() const { return pending_.load(std::memory_order_relaxed); }

  // --- on thread `thread` only ---
  /// Null: the name has not been looked up. Valid until the thread's loop goes on.
  const ResolvedNamePtr* find(uint32_t thread, std::string_view key) const;
  /// Has it looked up; the waiter hears of it. False: too many wait already.
  bool wait(uint32_t thread, std::string_view key, Waiter& waiter);
  void watch(uint32_t thread, Watcher& watcher) { slots_[thread].watchers.push_back(watcher); }
  /// What the main thread tells. Null: there is no room for the name.
  void deliver(uint32_t thread, const std::string& key, const ResolvedNamePtr& name);
  /// Nobody has used it for long.
  void forget(uint32_t thread, const std::string& key);

 private:
  struct alignas(64) Slot {
    StringMap<ResolvedNamePtr> names;
    StringMap<std::unique_ptr<IntrusiveList<Waiter>>> waiters;  // by key
    IntrusiveList<Watcher> watchers;
  };

  void release(Waiter& waiter);

  const DnsCacheConfig config_;
  DnsCacheResolver& resolver_;
  const std::shared_ptr<Stats> stats_;
  std::atomic<uint32_t> pending_{0};
  std::vector<Slot> slots_;
};

/// Where configurations get theirs while they are compiled; main thread.
class DnsCacheSource {
 public:
  /// One object for all that use a name. Fails when they differ in what they want of it.
  virtual absl::StatusOr<std::shared_ptr<DnsCache>> open(const DnsCacheConfig& config) = 0;

 protected:
  ~DnsCacheSource() = default;
};

}  // namespace remora::upstream
