// One worker's half of a cluster: its configuration, hosts, balancer and pools. Owned by the
// ClusterMap, also after it was removed, until nothing of it is in use. Thread: the worker's.
// CONTRACT (public part; additive).
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/string_map.h"
#include "proxy/net/socket.h"
#include "proxy/stats/schemas.h"
#include "proxy/upstream/balancer.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/cluster_shared.h"
#include "proxy/upstream/grpc_calls.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/http_pool.h"
#include "proxy/upstream/tcp_pool.h"

namespace remora::upstream {

class Aggregate;
class ForwardHosts;
class OriginalDst;
class TcpAhead;
class TcpUpstream;

class Cluster final : public Deferrable {
 public:
  using Stats = stats::Slab<stats::ClusterSchema>;

  /// As it is now: an update replaces it, so keep no reference to it over a turn.
  const ClusterConfig& config() const { return *config_; }
  const std::shared_ptr<const ClusterConfig>& config_snapshot() const { return config_; }
  const HostSet& hosts() const { return *hosts_; }
  const std::shared_ptr<const HostSet>& hosts_snapshot() const { return hosts_; }

  /// The cluster that is to choose a host for a request: this one, or of an aggregate cluster a
  /// member, with its choice of priorities in `context`.
  Cluster& member_for(PickContext& context);
  /// A host by the cluster's policy, or null (503 UH). Circuit breakers are not consulted here.
  /// When the host is one to avoid, up to `max_attempts` others are drawn, and the last is taken
  /// whatever it is.
  HostPtr pick_host(const PickContext& context);

  /// A connection for one request to `host`. When `ready`, new_stream() must be called on it before
  /// anything else is acquired.
  Acquired acquire_http(const HostPtr& host, Priority priority, HttpPoolWaiter& waiter,
                        const ConnectionNeeds& needs = {});
  TcpAcquired acquire_tcp(const HostPtr& host, TcpWaiter& waiter,
                          const ConnectionNeeds& needs = {});

  /// Circuit breaker for retries: true takes a place until release_retry().
  bool try_retry(Priority priority);
  void release_retry(Priority priority);

  /// This worker's slab of the cluster's stats group.
  Stats& stats() {
    if (stats_ == nullptr) stats_ = &shared_->stats().at(worker_.index());
    return *stats_;
  }
  /// The same of what Envoy has no metric for.
  stats::Slab<ClusterRemoraSchema>& remora_stats() {
    return shared_->remora_stats().at(worker_.index());
  }
  /// What it counts of gRPC calls; made when first used.
  GrpcCalls& grpc_calls(GrpcKind kind) {
    auto& calls = grpc_calls_[static_cast<size_t>(kind)];
    if (calls == nullptr) {
      calls =
          std::make_unique<GrpcCalls>(kind, shared_->store(), shared_->stats(), worker_.index());
    }
    return *calls;
  }
  /// That of its HTTP/2 codecs; null for a cluster that has none.
  stats::Slab<stats::Http2Schema>* http2_stats() {
    auto* group = shared_->http2_stats();
    return group == nullptr ? nullptr : &group->at(worker_.index());
  }
  /// Removed, or replaced by one of the same name: no new requests.
  bool retired() const { return retired_; }

  // --- life; for the ClusterMap ---
  Cluster(ClusterMap& map, WorkerContext& worker, std::shared_ptr<const ClusterConfig> config,
          std::shared_ptr<ClusterShared> shared, std::shared_ptr<const HostSet> hosts);
  ~Cluster() override;
  void update(std::shared_ptr<const ClusterConfig> config, std::shared_ptr<const HostSet> hosts);
  void update_hosts(std::shared_ptr<const HostSet> hosts);
  /// Its balancer is made anew: what it goes by has changed elsewhere.
  void reset_balancer() { balancer_.reset(); }
  void retire();
  /// Ends connections that `condition` holds for. Politely: pooled ones when they are idle; TCP
  /// connections know no polite way.
  void end_connections(TransportCondition condition, Ending how);

  // --- for its pools and connections ---
  EventLoop& loop() { return worker_.loop(); }
  WorkerContext& worker() { return worker_; }
  ClusterShared& shared() { return *shared_; }
  /// Connecting to the address of `host` that is tried first.
  Socket open_socket(const Host& host, int* error) const;
  Socket open_socket(const Address& address, int* error) const;
  /// A connection to `host` over `socket`; prepare() names it.
  Connection make_connection(Socket socket, const Host& host, const ConnectionNeeds& needs);
  void prepare(Connection& connection, const Host& host);
  void pool_gone(HttpPool& pool);
  /// Takes a place for one more TCP connection to `host`, or counts that there is none.
  bool may_connect_tcp(const Host& host);
  TcpUpstream& connect_tcp(const HostPtr& host, const ConnectionNeeds& needs);
  /// The host of a request or session to come, which then does go there. Null: that cannot be
  /// foretold.
  HostPtr peek_host();
  /// Something that kept a retired cluster has gone.
  void maybe_finished();

  void count_request_started(const Host& host, Priority priority);
  void count_request_ended(const Host& host, Priority priority);
  void count_connection_opened(const Host& host);
  /// The same connection is tried at another address too.
  void count_further_attempt(const Host& host);
  void count_connect_failure(const Host& host, CloseCause cause);
  void count_connection_closed(const Host& host, Priority priority, bool by_peer, bool had_streams,
                               uint64_t opened_us);

 private:
  friend class ClusterPin;
  using PoolsOfOneKey = std::array<std::unique_ptr<HttpPool>, 4>;  // by priority and protocol
  struct HostPools {
    PoolsOfOneKey shared;
    std::unique_ptr<StringMap<PoolsOfOneKey>> by_key;  // of ConnectionNeeds; made when first needed
  };

  void make_balancer();
  HostPtr pick_forward(std::string_view key);
  HostPtr pick_once(const PickContext& context);
  void connect_ahead(Priority priority, const ConnectionNeeds& needs);
  TcpAhead* tcp_ahead_for(const Host& host, const ConnectionNeeds& needs);
  HostPtr find_by_address(std::string_view address);
  HttpProtocol protocol_for(const ConnectionNeeds& needs) const;
  static size_t index_of(Priority priority, HttpProtocol protocol);
  HttpPool* http_pool(const HostPtr& host, Priority priority, const ConnectionNeeds& needs);
  template <class Action>
  void for_each_pool(Action action);
  static void take_pools(PoolsOfOneKey& from, std::vector<std::unique_ptr<HttpPool>>* to);
  void forget_keyed(HttpPool& pool);
  const TransportFactory& transport_to(const Host& host) const;
  void set_connect_options();
  bool has_host(const Host& host) const;
  void drain_vanished();
  void drain_pools_of(const Host* key);
  void drain_all_pools();
  void leave_failed();

  ClusterMap& map_;
  WorkerContext& worker_;
  std::shared_ptr<const ClusterConfig> config_;
  std::shared_ptr<ClusterShared> shared_;
  std::shared_ptr<const HostSet> hosts_;
  Stats* stats_ = nullptr;                                // made when first used
  std::array<std::unique_ptr<GrpcCalls>, 2> grpc_calls_;  // by kind
  ConnectOptions connect_options_;
  std::vector<std::shared_ptr<const TransportFactory>> transports_;  // by Host::transport()
  // One of them, made at the first pick.
  std::unique_ptr<Balancer> balancer_;
  std::unique_ptr<OriginalDst> original_dst_;
  std::unique_ptr<Aggregate> aggregate_;            // of an aggregate cluster; made when first used
  std::unique_ptr<ForwardHosts> forward_hosts_;     // of one that goes by a DNS cache; likewise
  std::unique_ptr<StringMap<HostPtr>> by_address_;  // made when a host is first asked for
  // Chosen ahead of the requests that are to go there; made when first used.
  std::unique_ptr<std::deque<HostPtr>> peeked_;
  uint32_t pins_ = 0;
  bool retired_ = false;
  bool finished_ = false;
  absl::flat_hash_map<const Host*, HostPools> pools_;  // by Host::pool_key()
  std::vector<std::unique_ptr<HttpPool>> draining_pools_;
  IntrusiveList<TcpUpstream> tcp_;
  std::unique_ptr<TcpAhead> tcp_ahead_;      // made when first used
  absl::flat_hash_set<const Host*> failed_;  // of its hosts, found out by checks or as outliers
};

/// Keeps a cluster from being destroyed, removed or not: held by a stream or session for as long as
/// it has a Cluster&. A plain count; the worker's thread.
class ClusterPin {
 public:
  ClusterPin() = default;
  explicit ClusterPin(Cluster& cluster) : cluster_(&cluster) { ++cluster.pins_; }
  ClusterPin(ClusterPin&& other) noexcept : cluster_(std::exchange(other.cluster_, nullptr)) {}
  ClusterPin& operator=(ClusterPin&& other) noexcept {
    std::swap(cluster_, other.cluster_);
    return *this;
  }
  ~ClusterPin() {
    if (cluster_ == nullptr) return;
    --cluster_->pins_;
    cluster_->maybe_finished();
  }
  Cluster* get() const { return cluster_; }
  Cluster* operator->() const { return cluster_; }
  Cluster& operator*() const { return *cluster_; }
  explicit operator bool() const { return cluster_ != nullptr; }

 private:
  Cluster* cluster_ = nullptr;
};

/// How a waiter hears of a connection that did not come about.
PoolFailure connect_failure_of(CloseCause cause);
/// Envoy's transport failure reason: "delayed connect error: Connection refused", TLS' own text, or
/// nothing.
std::string describe_connect_failure(CloseCause cause, std::string_view detail,
                                     bool failed_at_once);
bool caused_by_peer(CloseCause cause);

}  // namespace remora::upstream
