// What the cluster manager does about the health of hosts: active checks and outlier detection.
#include <memory>
#include <string>
#include <utility>

#include "proxy/server/cluster_manager.h"
#include "proxy/server/health_events.h"

namespace remora::server {

/// Every host was asked whether it is well, or what this cluster replaces knows them.
bool ClusterManager::checked(ManagedCluster& cluster) {
  const auto replaces = active_.find(cluster.config->name);
  const bool replaced = replaces != active_.end();
  if (cluster.config->health_check == nullptr) {
    if (replaced && replaces->second->health != nullptr) {
      upstream::HealthChecker::release_all(*cluster.hosts);
      apply_assignment(cluster, cluster.assignment);
    }
    return true;
  }
  if (cluster.health == nullptr) start_checks(cluster);
  return replaced || cluster.health->first_round_over();
}

void ClusterManager::start_checks(ManagedCluster& cluster) {
  upstream::HealthChecker::Hooks hooks;
  const std::string& name = cluster.config->name;
  hooks.on_changed = [this, &cluster] { on_health_changed(cluster); };
  hooks.on_first_round = [this, name] {
    make_active(name);
    check_initialized();
  };
  hooks.on_passed = [&cluster](const upstream::Host& host) {
    return cluster.outlier != nullptr && cluster.outlier->on_check_passed(host);
  };
  hooks.on_event = [this, config = cluster.config](const upstream::Host& host,
                                                   upstream::CheckEvent event) {
    for (const std::string& path : config->health_check->event_logs) {
      const auto log = context_.access_logs->file(path);
      if (log.ok()) write(**log, check_event_line(*config, host, event, wall_now_ns()));
    }
  };
  hooks.random = [this] { return main_.random(); };
  hooks.make_probe = [this, config = cluster.config](upstream::HostPtr host,
                                                     upstream::CheckDone done) {
    return std::make_unique<upstream::ConnectionProbe>(main_, config, std::move(host),
                                                       std::move(done));
  };
  cluster.health = std::make_unique<upstream::HealthChecker>(
      name, cluster.config->health_check, main_.loop().timers(),
      stats_.group<stats::HealthCheckSchema>(prefix_of(*cluster.config) + ".health_check"),
      stats_.main_index(), static_cast<upstream::HealthSink&>(*this), std::move(hooks));
  cluster.health->set_hosts(*cluster.hosts);
}

/// Hosts that the cluster's predecessor took out stay out, or come back where nobody judges any
/// more.
void ClusterManager::judge_hosts(ManagedCluster& cluster, bool were_judged) {
  const upstream::ClusterConfig& config = *cluster.config;
  if (!config.outlier) {
    if (!were_judged) return;
    upstream::OutlierDetector::release_all(*cluster.hosts);
    return apply_assignment(cluster, cluster.assignment);
  }
  upstream::OutlierDetector::Hooks hooks;
  hooks.on_changed = [this, &cluster] { on_health_changed(cluster); };
  hooks.on_event = [this, &cluster](const upstream::Host& host,
                                    const upstream::OutlierEvent& event) {
    if (outlier_log_ == nullptr) return;
    write(*outlier_log_, outlier_event_line(cluster.config->name, host, event, wall_now_ns()));
  };
  hooks.random = [this] { return main_.random(); };
  auto stats = stats_.group<stats::OutlierSchema>(prefix_of(config) + ".outlier_detection");
  cluster.outlier = std::make_unique<upstream::OutlierDetector>(
      config.name, *config.outlier, main_.loop().timers(), std::move(stats), stats_.main_index(),
      static_cast<upstream::OutlierSink&>(*this), std::move(hooks));
  cluster.outlier->set_hosts(*cluster.hosts);
}

void ClusterManager::write(telemetry::LogSink& log, const std::string& line) {
  log.buffer_of(main_) += line;
  log.entry_added(main_);
}

void ClusterManager::on_health_changed(ManagedCluster& cluster) {
  apply_assignment(cluster, cluster.assignment);
  const auto serving = active_.find(cluster.config->name);
  if (serving == active_.end() || serving->second.get() != &cluster) return;
  if (cluster.merge_window->passes(MergeWindow::Change::HealthOrWeight)) publish_hosts(cluster);
}

void ClusterManager::on_outlier(const std::string& cluster, upstream::HostPtr host,
                                upstream::Ejection why) {
  outliers_.post({cluster, std::move(host), why});
}

void ClusterManager::on_outlier_message(void* self, OutlierMessage&& message) {
  auto& active = static_cast<ClusterManager*>(self)->active_;
  const auto found = active.find(message.cluster);
  if (found == active.end() || found->second->outlier == nullptr) return;
  found->second->outlier->on_outlier(*message.host, message.why);
}

void ClusterManager::on_immediate_failure(const std::string& cluster, upstream::HostPtr host) {
  failing_.post({cluster, std::move(host)});
}

void ClusterManager::on_health_message(void* self, HealthMessage&& message) {
  auto& active = static_cast<ClusterManager*>(self)->active_;
  const auto found = active.find(message.cluster);
  if (found == active.end() || found->second->health == nullptr) return;
  found->second->health->on_immediate_failure(*message.host);
}

}  // namespace remora::server
