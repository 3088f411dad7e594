// Every cluster of the process, as the main thread knows it: static and CDS clusters, their
// endpoints from the configuration, EDS or DNS, warming, and what is told to the workers. Owned by
// the Server; main thread only. Documents: "cluster warming" and "xDS protocol" of the Envoy API.
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/cluster.pb.h"
#include "proxy/base/clock.h"
#include "proxy/event/mailbox.h"
#include "proxy/server/host_watch.h"
#include "proxy/server/kept_message.h"
#include "proxy/server/merge_window.h"
#include "proxy/server/publisher.h"
#include "proxy/server/secret_manager.h"
#include "proxy/telemetry/log_sink.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/cluster_shared.h"
#include "proxy/upstream/dns/dns_cluster.h"
#include "proxy/upstream/dns/dns_resolver.h"
#include "proxy/upstream/health_checker.h"
#include "proxy/upstream/outlier_detector.h"
#include "xds/config_sources.h"
#include "xds/subscription.h"
#include "xds/subscription_stats.h"
#include "xds/translate/context.h"

namespace remora::server {

/// Shared by who brought it and the clusters that use it; never null in what is handed on.
using LoadAssignmentPtr = std::shared_ptr<const upstream::LoadAssignment>;

/// One cluster with everything the main thread keeps of it.
struct ManagedCluster {
  std::shared_ptr<const upstream::ClusterConfig> config;
  std::shared_ptr<upstream::ClusterShared> shared;
  std::shared_ptr<const upstream::HostSet> hosts;
  Kept<envoy::config::cluster::v3::Cluster> proto;
  LoadAssignmentPtr assignment;  // the last one applied
  bool is_static = false;
  std::string version;
  WallNs updated_at = 0;
  std::unique_ptr<upstream::DnsCluster> dns;
  std::unique_ptr<MergeWindow> merge_window;           // of an active cluster
  std::unique_ptr<upstream::OutlierDetector> outlier;  // of an active cluster that wants one
  std::unique_ptr<upstream::HealthChecker> health;     // of one that wants checks, once discovered
  bool discovered = false;                             // the endpoints to begin with are known
};

/// How old what EDS brought is.
struct EdsAge {
  MonotonicMs refreshed_at = 0;  // 0: it never came
  bool stale = false;            // too old, so that it counts for nothing
  bool cut_off = false;          // nothing newer can come: the control plane is not there
};

/// What the names of a cluster's statistics begin with.
std::string prefix_of(const upstream::ClusterConfig& config);

class ClusterManager final : public xds::ResourceConsumer,
                             private upstream::OutlierSink,
                             private upstream::HealthSink {
 public:
  ClusterManager(Publisher& publisher, upstream::ClusterMap& main_clusters, WorkerContext& main,
                 stats::Store& stats, xds::translate::Context& context, xds::ConfigSources& sources,
                 SecretManager& secrets);
  ~ClusterManager();

  /// A cluster of the bootstrap. Fails on a duplicate name.
  absl::Status add_static(const envoy::config::cluster::v3::Cluster& proto,
                          std::shared_ptr<const upstream::ClusterConfig> config);

  /// Where it is told who is left out as an outlier; null: nowhere.
  void set_outlier_log(telemetry::LogSink* log) { outlier_log_ = log; }

  /// Calls `done` once: when every cluster known by then is warm and, if `wait_for_cds`, CDS has
  /// answered (or timed out).
  void when_initialized(bool wait_for_cds, std::function<void()> done);
  /// Called whenever no cluster is warming any more (LDS and RDS may then proceed).
  void set_on_all_warm(std::function<void()> callback) { on_all_warm_ = std::move(callback); }

  const std::map<std::string, std::unique_ptr<ManagedCluster>>& active() const { return active_; }
  const std::map<std::string, std::unique_ptr<ManagedCluster>>& warming() const { return warming_; }
  bool has(const std::string& name) const { return active_.count(name) != 0; }
  const std::string& cds_version() const { return cds_version_; }
  const std::vector<xds::Reject>& last_rejected() const { return rejected_; }
  std::string eds_version(const std::string& service) const;
  EdsAge eds_age(const ManagedCluster& cluster) const;
  const HostWatch& host_watch() const { return watch_; }
  MonotonicMs now() const { return main_.timers().now(); }

  // xds::ResourceConsumer, for CDS.
  std::vector<xds::Reject> on_resources(const xds::Update& update) override;
  void on_initial_fetch_timeout() override;

 private:
  class EdsWatch;
  /// What a worker found out of a host.
  struct OutlierMessage {
    std::string cluster;
    upstream::HostPtr host;
    upstream::Ejection why;
  };
  struct HealthMessage {
    std::string cluster;
    upstream::HostPtr host;
  };

  absl::Status apply(const envoy::config::cluster::v3::Cluster& proto,
                     std::shared_ptr<const upstream::ClusterConfig> config,
                     const std::string& version, bool is_static);
  absl::Status start_discovery(ManagedCluster& cluster);
  absl::Status start_dns(ManagedCluster& cluster);
  void watch_eds(const ManagedCluster& cluster);
  void apply_assignment(ManagedCluster& cluster, LoadAssignmentPtr assignment);
  void on_eds(const std::string& service, const LoadAssignmentPtr& assignment);
  void on_dns(const std::string& name, LoadAssignmentPtr assignment);
  void update_hosts(ManagedCluster& cluster, LoadAssignmentPtr assignment);
  void publish_hosts(const ManagedCluster& cluster);
  bool replaced_soon(const std::string& name) const;
  void on_secrets_settled();
  void on_outlier(const std::string& cluster, upstream::HostPtr host,
                  upstream::Ejection why) override;
  static void on_outlier_message(void* self, OutlierMessage&& message);
  void on_immediate_failure(const std::string& cluster, upstream::HostPtr host) override;
  static void on_health_message(void* self, HealthMessage&& message);
  void count_of(const std::string& service, stats::ClusterMainStat stat);
  void look_at_hosts();
  void write(telemetry::LogSink& log, const std::string& line);
  void judge_hosts(ManagedCluster& cluster, bool were_judged);
  void on_health_changed(ManagedCluster& cluster);
  bool checked(ManagedCluster& cluster);
  void start_checks(ManagedCluster& cluster);
  void make_active(const std::string& name);
  void remove(const std::string& name);
  void publish(const ManagedCluster& cluster);
  void update_gauges();
  void check_initialized();

  Publisher& publisher_;
  upstream::ClusterMap& main_clusters_;
  WorkerContext& main_;
  std::unique_ptr<upstream::DnsResolver>
      resolver_;  // of the system; made when the first cluster needs it
  stats::Store& stats_;
  std::shared_ptr<stats::Group<stats::ClusterManagerSchema>> counts_;
  xds::translate::Context& context_;
  xds::ConfigSources& sources_;
  SecretManager& secrets_;
  telemetry::LogSink* outlier_log_ = nullptr;
  Mailbox<OutlierMessage> outliers_;
  Mailbox<HealthMessage> failing_;
  HostWatch watch_;
  Timer look_timer_;
  std::map<std::string, std::unique_ptr<ManagedCluster>> active_;
  std::map<std::string, std::unique_ptr<ManagedCluster>> warming_;
  std::map<std::string, std::unique_ptr<EdsWatch>> eds_;  // by EDS service name
  std::string cds_version_;
  std::vector<xds::Reject> rejected_;
  bool cds_answered_ = false;
  bool wait_for_cds_ = false;
  std::function<void()> on_initialized_;
  std::function<void()> on_all_warm_;
};

}  // namespace remora::server
