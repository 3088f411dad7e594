// Hosts of a cluster. A Host is shared by all threads and keeps its identity over endpoint updates
// as long as its address, metadata and locality stay; a HostSet is an immutable picture of all
// hosts made on the main thread. Document: envoy.config.endpoint.v3.ClusterLoadAssignment. CONTRACT
// (additive).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/outlier_monitor.h"

namespace remora::upstream {

/// Counters that several workers touch are relaxed atomics on their own cache line.
struct alignas(64) HostCounters {
  std::atomic<uint32_t> rq_active{0};
  std::atomic<uint32_t> cx_active{0};
  std::atomic<uint64_t> rq_total{0};
  std::atomic<uint64_t> rq_success{0};
  std::atomic<uint64_t> rq_error{0};
  std::atomic<uint64_t> rq_timeout{0};
  std::atomic<uint64_t> cx_total{0};
  std::atomic<uint64_t> cx_connect_fail{0};
  std::atomic<uint64_t> answer_us{0};  // how long answers took to begin, added up
};

/// What balancers that measure know of it. Any thread; an update more or less does not matter.
struct HostLoad {
  std::atomic<uint32_t> reported_weight{0};   // by the host's own load reports
  std::atomic<MonotonicMs> reports_since{0};  // 0: there are none that count
  std::atomic<MonotonicMs> last_report{0};    // 0: never
  std::atomic<uint64_t> answer_time{0};       // as peak_ewma.h packs it; 0: never measured
};

class HashTable;
class HealthSink;
class SubsetIndex;

/// What active health checks found out of a host; bits. Document: envoy.admin.v3.HostHealthStatus.
enum CheckFlag : uint8_t {
  kCheckFailed = 1,
  kCheckDegraded = 2,
  kCheckPending = 4,    // not asked yet, and not to be reckoned with until then
  kCheckTimeout = 8,    // it failed by not answering in time
  kCheckExcluded = 16,  // it asked to be left out at once
  kCheckRemoval = 32,   // discovery has dropped it; it stays while it passes
};

/// Shared by the hosts that are there; null: it is not known.
using LocalityPtr = std::shared_ptr<const Locality>;

class Host {
 public:
  /// `logical`: the host whose connections this one takes over (LOGICAL_DNS: the same host at a new
  /// address).
  Host(EndpointPtr endpoint, LocalityPtr locality, uint32_t priority, uint32_t transport = 0,
       uint8_t first_check_flags = 0, std::shared_ptr<const Host> logical = nullptr)
      : endpoint_(std::move(endpoint)),
        locality_(std::move(locality)),
        logical_(std::move(logical)),
        transport_(transport),
        priority_(priority),
        weight_(std::max<uint32_t>(endpoint_->weight, 1)),
        health_(endpoint_->draining ? Health::Unhealthy : endpoint_->health),
        status_(endpoint_->status),
        check_flags_(first_check_flags) {}
  ~Host() { delete monitor(); }
  Host(const Host&) = delete;

  const Address& address() const { return endpoint_->address; }
  const EndpointConfig& endpoint() const { return *endpoint_; }
  const EndpointExtras& extras() const { return *endpoint_->extras; }
  const std::string& hostname() const { return endpoint_->hostname; }
  const Locality& locality() const;
  const std::string& hash_key() const { return extras().hash_key; }
  const std::string& metadata_key() const { return extras().metadata_key; }
  /// Null: none.
  const HostLabels* labels() const { return extras().labels.get(); }
  /// Index by ClusterConfig::transport_for() of the transport that reaches it.
  uint32_t transport() const { return transport_; }
  uint32_t priority() const { return priority_.load(std::memory_order_relaxed); }
  uint32_t weight() const { return weight_.load(std::memory_order_relaxed); }
  /// What EDS says of it.
  Health health() const { return health_.load(std::memory_order_relaxed); }
  /// Outlier detection has taken it out.
  bool ejected() const { return ejected_.load(std::memory_order_relaxed); }
  /// Whether it may be chosen, by all that is known.
  Health overall_health() const {
    const uint8_t checked = check_flags();
    if (ejected() || (checked & kCheckFailed) != 0) return Health::Unhealthy;
    const Health said = health();
    return said == Health::Healthy && (checked & kCheckDegraded) != 0 ? Health::Degraded : said;
  }
  /// The same in the terms of EDS.
  EndpointStatus overall_status() const;
  /// CheckFlag bits.
  uint8_t check_flags() const { return check_flags_.load(std::memory_order_relaxed); }
  bool check_flag(CheckFlag flag) const { return (check_flags() & flag) != 0; }
  /// It counts for nothing, not even as a host that is out.
  bool excluded() const { return (check_flags() & (kCheckPending | kCheckExcluded)) != 0; }
  /// For outlier detection; null: its cluster wants none.
  OutlierMonitor* monitor() const { return monitor_.load(std::memory_order_acquire); }
  /// What pools are found by: two hosts with one key share their connections.
  const Host* pool_key() const { return logical_ ? logical_.get() : this; }
  const std::shared_ptr<const Host>& logical() const { return logical_; }
  /// Main thread, before the HostSet that relies on it is posted.
  void set_priority(uint32_t p) { priority_.store(p, std::memory_order_relaxed); }
  void set_weight(uint32_t w) const { weight_.store(w, std::memory_order_relaxed); }
  void set_health(Health h) { health_.store(h, std::memory_order_relaxed); }
  void set_status(EndpointStatus status) { status_.store(status, std::memory_order_relaxed); }
  /// Since when it serves, by the clock of its cluster's main thread; 0: it has not been healthy.
  MonotonicMs serving_since() const { return serving_since_.load(std::memory_order_relaxed); }
  void set_serving_since(MonotonicMs at) const {
    serving_since_.store(at, std::memory_order_relaxed);
  }
  /// Main thread. Counts when the next HostSet is made.
  void set_ejected(bool ejected) const { ejected_.store(ejected, std::memory_order_relaxed); }
  void set_check_flags(uint8_t flags) const {
    check_flags_.store(flags, std::memory_order_relaxed);
  }
  void set_check_flag(CheckFlag flag, bool set) const {
    set_check_flags(static_cast<uint8_t>(set ? check_flags() | flag : check_flags() & ~flag));
  }
  /// Null: its cluster has no active health checks.
  HealthSink* health_sink() const { return health_sink_.load(std::memory_order_relaxed); }
  void set_health_sink(HealthSink* sink) const {
    health_sink_.store(sink, std::memory_order_relaxed);
  }
  OutlierMonitor& monitor_with(const std::string& cluster, OutlierSink& sink) const;

  mutable HostCounters counters;
  mutable HostLoad load;
  /// How long it leaves idle connections open, as one of its pools has learnt last; 0: unknown.
  mutable std::atomic<uint64_t> idle_close_ms{0};

 private:
  const EndpointPtr endpoint_;
  const LocalityPtr locality_;
  const std::shared_ptr<const Host> logical_;
  const uint32_t transport_;
  std::atomic<uint32_t> priority_;
  mutable std::atomic<uint32_t> weight_;
  std::atomic<Health> health_;
  std::atomic<EndpointStatus> status_;
  mutable std::atomic<bool> ejected_{false};
  mutable std::atomic<uint8_t> check_flags_;
  mutable std::atomic<MonotonicMs> serving_since_{0};
  mutable std::atomic<HealthSink*> health_sink_{nullptr};
  mutable std::atomic<OutlierMonitor*> monitor_{nullptr};  // owned; made once
};

using HostPtr = std::shared_ptr<const Host>;

struct LocalityHosts {
  Locality locality;
  uint32_t weight = 0;
  std::vector<HostPtr> hosts;
  std::vector<HostPtr> healthy;
  std::vector<HostPtr> degraded;
};

struct PriorityHosts {
  std::vector<HostPtr> hosts;
  std::vector<HostPtr> healthy;
  std::vector<HostPtr> degraded;
  uint32_t excluded = 0;  // of hosts
  std::vector<LocalityHosts> localities;
};

struct HostSet {
  std::vector<PriorityHosts> priorities;
  /// By priority, for clusters that choose by hash; null where there is no host to choose.
  std::vector<std::shared_ptr<const HashTable>> hash_tables;
  /// Of clusters with subsets; null: it has none.
  std::shared_ptr<const SubsetIndex> subsets;
  uint32_t overprovisioning_percent = 140;
  bool weighs_localities = true;  // otherwise the weights of localities do not count
  size_t total() const;
  size_t healthy_total() const;
  size_t degraded_total() const;
  size_t excluded_total() const;
};

/// Whether both have the same hosts, whatever their health and weights.
bool same_hosts(const HostSet& a, const HostSet& b);

/// What makes an endpoint the same host as before.
enum class HostIdentity : uint8_t {
  ByAddress,  // address, hostname, locality and metadata
  Logical,    // LOGICAL_DNS: hostname; its connections stay when the address changes
};

HostIdentity host_identity_of(const ClusterConfig& config);

/// The host set for `assignment` (DNS names already resolved to addresses), reusing the Host
/// objects of `previous` that are the same host. Of endpoints with one address the first wins.
/// Unhealthy and draining endpoints are among `hosts` (panic may use them), never among `healthy`
/// or `degraded`. Main thread.
std::shared_ptr<const HostSet> make_host_set(const LoadAssignment& assignment,
                                             const HostSet* previous,
                                             HostIdentity identity = HostIdentity::ByAddress);
/// The same with what the policy of a cluster needs besides.
std::shared_ptr<const HostSet> make_host_set(const LoadAssignment& assignment,
                                             const HostSet* previous, const ClusterConfig& config);

}  // namespace remora::upstream
