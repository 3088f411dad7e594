// The process: builds everything from options and bootstrap, brings it up in order, runs the main
// loop, and takes it down. Owned by main(); main thread only. Order of start-up: static clusters,
// CDS and its endpoints, static listeners and LDS with their routes, workers.
#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/event/event_loop.h"
#include "proxy/http/filter_registry.h"
#include "proxy/server/admin/admin.h"
#include "proxy/server/admin/admin_listener.h"
#include "proxy/server/cluster_manager.h"
#include "proxy/server/dns_cache_service.h"
#include "proxy/server/kept_message.h"
#include "proxy/server/lifecycle.h"
#include "proxy/server/listener_manager.h"
#include "proxy/server/options.h"
#include "proxy/server/publisher.h"
#include "proxy/server/remote_keys_service.h"
#include "proxy/server/route_manager.h"
#include "proxy/server/secret_manager.h"
#include "proxy/server/server_stats.h"
#include "proxy/server/signals.h"
#include "proxy/server/unknown_fields.h"
#include "proxy/server/worker.h"
#include "proxy/telemetry/log_sink.h"
#include "xds/config_sources.h"
#include "xds/subscription_stats.h"
#include "xds/translate/bootstrap.h"

namespace remora::server {

class Server final : private Publisher {
 public:
  /// Fails when the bootstrap cannot be honoured: the text says which resource, field and why.
  static absl::StatusOr<std::unique_ptr<Server>> create(const Options& options,
                                                        const FilterRegistries& registries);
  ~Server();

  /// Runs until told to stop; answers the exit status. --mode validate returns at once, init_only
  /// when initialised.
  int run();

 private:
  Server(const Options& options, const FilterRegistries& registries,
         xds::translate::BootstrapConfig bootstrap, std::unique_ptr<stats::Store> stats);
  friend class AdminEndpoints;

  void make_workers();
  absl::Status add_static_resources();
  absl::Status open_admin();
  /// Everything there is of a type; `prefix`: of its statistics.
  std::unique_ptr<xds::Subscription> subscribe_all(std::string_view type_url,
                                                   const ConfigSource& source,
                                                   std::string_view prefix,
                                                   xds::ResourceConsumer& consumer,
                                                   std::unique_ptr<xds::SubscriptionStats>* stats);
  void subscribe_clusters();
  void subscribe_listeners();
  void on_initialized();

  // Publisher
  size_t workers() const override { return workers_.size(); }
  void post(size_t worker, ConfigUpdate update) override {
    workers_[worker]->post(std::move(update));
  }

  void on_signal(int number);
  /// Stops accepting, lets connections finish, exits when they have or when the drain time is over.
  void drain_and_exit();
  void check_drained();
  void on_flush_timer();
  /// POST /drain_listeners: at once, or politely for the drain time and then (unless
  /// `keep_accepting`) at once.
  void drain_listeners(DrainScope scope, bool graceful, bool keep_accepting);
  /// POST /healthcheck/fail and /ok.
  void fail_health_check(bool failed);
  void quit_soon() { loop_.stop(); }

  static constexpr uint64_t kDrainPollMs = 20;

  const Options options_;
  const FilterRegistries& registries_;
  xds::translate::BootstrapConfig bootstrap_;  // without its message once that has been applied
  Kept<envoy::config::bootstrap::v3::Bootstrap> bootstrap_message_;
  const envoy::config::core::v3::Node node_;  // as control planes are told
  Lifecycle lifecycle_;
  std::atomic<bool> health_check_failed_{false};  // as in lifecycle_, for workers
  std::unique_ptr<stats::Store> stats_;
  ConnectionLimit connections_;
  UnknownFields unknown_;
  ServerStats server_stats_;
  telemetry::AccessLogSinks access_log_sinks_;
  xds::translate::Context static_context_;
  xds::translate::Context dynamic_context_;

  // The main thread's own data path: the control client runs over its clusters.
  EventLoop loop_;
  WorkerContext main_context_;
  upstream::ClusterMap main_clusters_;
  std::vector<std::unique_ptr<Worker>> workers_;

  xds::ConfigSources sources_;
  TrustCheck trust_check_;
  SecretManager secrets_;
  RemoteKeysService remote_keys_;
  DnsCacheService dns_caches_;
  ClusterManager clusters_;
  RouteManager routes_;
  ListenerManager listeners_;
  std::unique_ptr<xds::SubscriptionStats> cds_stats_, lds_stats_;
  std::unique_ptr<xds::Subscription> cds_, lds_;
  Admin admin_;
  xds::translate::AccessLogs admin_access_logs_;
  std::unique_ptr<AdminListener> admin_listener_;
  Signals signals_;
  Timer flush_timer_;
  Timer drain_timer_;
  Timer stop_listening_timer_;
  DrainScope stop_listening_scope_ = DrainScope::All;
  MonotonicMs drain_deadline_ = 0;
};

}  // namespace remora::server
