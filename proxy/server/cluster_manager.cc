#include "proxy/server/cluster_manager.h"

#include <algorithm>
#include <set>

#include "api/endpoint.pb.h"
#include "proxy/base/log.h"
#include "proxy/stats/names.h"
#include "proxy/upstream/balancing_config.h"
#include "xds/translate/cluster.h"
#include "xds/translate/endpoint.h"

namespace remora::server {
namespace {

const std::string& eds_service_of(const upstream::ClusterConfig& config) {
  return config.eds_service_name.empty() ? config.name : config.eds_service_name;
}

std::vector<ResourceRef> secrets_of(const upstream::ClusterConfig& config) {
  std::vector<ResourceRef> out;
  const auto add = [&out](const TransportFactory* factory) {
    if (factory == nullptr) return;
    for (ResourceRef& ref : factory->secrets()) out.push_back(std::move(ref));
  };
  add(config.transport.get());
  for (const upstream::TransportMatch& match : config.transport_matches) add(match.transport.get());
  return out;
}

bool resolves_names(const upstream::ClusterConfig& config) {
  return config.discovery == upstream::Discovery::StrictDns ||
         config.discovery == upstream::Discovery::LogicalDns;
}

}  // namespace

std::string prefix_of(const upstream::ClusterConfig& config) {
  return stats::cluster_prefix(config.alt_stat_name.empty() ? config.name : config.alt_stat_name);
}

/// The subscription to one EDS service name and what it last brought, kept so that a cluster that
/// is replaced starts from the endpoints at hand and does not warm again.
class ClusterManager::EdsWatch final : public xds::ResourceConsumer {
 public:
  EdsWatch(ClusterManager& manager, std::string service, const upstream::ClusterConfig& cluster)
      : manager_(manager),
        service_(std::move(service)),
        stats_(manager.stats_.group<stats::ClusterSchema>(prefix_of(cluster)),
               manager.stats_.group<stats::EdsSchema>(prefix_of(cluster)),
               manager.stats_.main_index()),
        stale_(manager.main_.timers(), Timer::bind<&EdsWatch::on_stale, EdsWatch>(), this) {}

  void start(const ConfigSource& source) {
    xds::SubscribeOptions options;
    options.type_url = xds::kEndpointType;
    options.names = {service_};
    options.observer = &stats_;
    options.initial_fetch_timeout_ms = source.initial_fetch_timeout_ms;
    source_ads_ = source.kind == ConfigSource::Kind::Ads;
    subscription_ = manager_.sources_.of(source).subscribe(options, *this);
  }

  std::vector<xds::Reject> on_resources(const xds::Update& update) override {
    std::vector<xds::Reject> rejected;
    for (const xds::ResourcePtr& resource : update.added) {
      if (resource->name != service_) continue;
      envoy::config::endpoint::v3::ClusterLoadAssignment proto;
      if (!resource->body.UnpackTo(&proto)) {
        rejected.push_back({resource->name, "not a ClusterLoadAssignment"});
        continue;
      }
      auto assignment = xds::translate::assignment(proto, manager_.context_);
      if (!assignment.ok()) {
        rejected.push_back({resource->name, std::string(assignment.status().message())});
        continue;
      }
      version_ = std::string(update.version);
      received_ = std::make_shared<const upstream::LoadAssignment>(*std::move(assignment));
      last_ = received_;
      is_stale_ = false;
      manager_.on_eds(service_, last_);
    }
    if (rejected.empty() && update.removed.empty()) on_refreshed();
    // Asked for and not there: Envoy starts such a cluster with no endpoints, and so do we.
    if (last_ == nullptr) manager_.on_eds(service_, nullptr);
    return rejected;
  }

  void on_initial_fetch_timeout() override { manager_.on_eds(service_, nullptr); }

  EdsAge age() const {
    return {refreshed_at_, is_stale_, source_ads_ && !manager_.sources_.ads_connected()};
  }
  const LoadAssignmentPtr& last() const { return last_; }
  const std::string& version() const { return version_; }

 private:
  /// What was received has been received again, changed or not.
  void on_refreshed() {
    if (received_ == nullptr) return;
    refreshed_at_ = manager_.main_.timers().now();
    if (std::exchange(is_stale_, false)) {
      last_ = received_;
      manager_.on_eds(service_, last_);
    }
    stale_.disarm();
    if (received_->stale_after_ms == 0) return;
    manager_.count_of(service_, stats::ClusterMainStat::assignment_timeout_received);
    stale_.arm(received_->stale_after_ms);
  }

  /// As in Envoy, a cluster whose endpoints are too old has none.
  void on_stale() {
    is_stale_ = true;
    auto none = std::make_shared<upstream::LoadAssignment>();
    none->cluster_name = service_;
    last_ = std::move(none);
    manager_.on_eds(service_, last_);
    manager_.count_of(service_, stats::ClusterMainStat::assignment_stale);
  }

  ClusterManager& manager_;
  std::string service_;
  xds::EdsStats stats_;
  bool source_ads_ = false;
  LoadAssignmentPtr received_;
  LoadAssignmentPtr last_;  // without endpoints while received_ is too old
  MonotonicMs refreshed_at_ = 0;
  bool is_stale_ = false;
  Timer stale_;
  std::string version_;
  std::unique_ptr<xds::Subscription> subscription_;
};

ClusterManager::ClusterManager(Publisher& publisher, upstream::ClusterMap& main_clusters,
                               WorkerContext& main, stats::Store& stats,
                               xds::translate::Context& context, xds::ConfigSources& sources,
                               SecretManager& secrets)
    : publisher_(publisher),
      main_clusters_(main_clusters),
      main_(main),
      stats_(stats),
      counts_(stats.group<stats::ClusterManagerSchema>(stats::kClusterManagerPrefix)),
      context_(context),
      sources_(sources),
      secrets_(secrets),
      outliers_(main.loop(), &ClusterManager::on_outlier_message, this),
      failing_(main.loop(), &ClusterManager::on_health_message, this),
      look_timer_(main.timers(), Timer::bind<&ClusterManager::look_at_hosts, ClusterManager>(),
                  this) {
  look_timer_.arm(HostWatch::kLookEveryMs);
  secrets_.add_on_settled([this] { on_secrets_settled(); });
}

ClusterManager::~ClusterManager() = default;

absl::Status ClusterManager::add_static(const envoy::config::cluster::v3::Cluster& proto,
                                        std::shared_ptr<const upstream::ClusterConfig> config) {
  if (active_.count(config->name) || warming_.count(config->name)) {
    return absl::InvalidArgumentError("cluster manager: duplicate cluster '" + config->name + "'");
  }
  return apply(proto, std::move(config), "", true);
}

void ClusterManager::when_initialized(bool wait_for_cds, std::function<void()> done) {
  wait_for_cds_ = wait_for_cds;
  on_initialized_ = std::move(done);
  check_initialized();
}

std::string ClusterManager::eds_version(const std::string& service) const {
  auto found = eds_.find(service);
  return found == eds_.end() ? std::string() : found->second->version();
}

std::vector<xds::Reject> ClusterManager::on_resources(const xds::Update& update) {
  std::vector<xds::Reject> rejected;
  std::set<std::string> seen;
  for (const xds::ResourcePtr& resource : update.added) {
    envoy::config::cluster::v3::Cluster proto;
    if (!resource->body.UnpackTo(&proto)) {
      rejected.push_back({resource->name, "not a Cluster"});
      continue;
    }
    if (!seen.insert(proto.name()).second) {
      rejected.push_back({resource->name, "duplicate cluster " + proto.name() + " found"});
      continue;
    }
    auto config = xds::translate::cluster(proto, context_);
    absl::Status status = config.status();
    if (config.ok())
      status = apply(proto, *std::move(config), std::string(resource->version), false);
    if (!status.ok()) rejected.push_back({resource->name, std::string(status.message())});
  }
  for (const std::string& name : update.removed) remove(name);
  cds_version_ = std::string(update.version);
  rejected_ = rejected;
  cds_answered_ = true;
  update_gauges();
  check_initialized();
  return rejected;
}

void ClusterManager::on_initial_fetch_timeout() {
  cds_answered_ = true;
  check_initialized();
}

absl::Status ClusterManager::apply(const envoy::config::cluster::v3::Cluster& proto,
                                   std::shared_ptr<const upstream::ClusterConfig> config,
                                   const std::string& version, bool is_static) {
  const std::string name = config->name;
  auto current = active_.find(name);
  if (current != active_.end() && current->second->is_static && !is_static) {
    return absl::InvalidArgumentError("cluster '" + name +
                                      "' is defined in the bootstrap and cannot be changed");
  }
  auto pending = warming_.find(name);
  if (pending != warming_.end() && pending->second->config->content_hash == config->content_hash)
    return absl::OkStatus();
  if (pending == warming_.end() && current != active_.end() &&
      current->second->config->content_hash == config->content_hash) {
    current->second->version = version;
    return absl::OkStatus();
  }

  auto cluster = std::make_unique<ManagedCluster>();
  // The statistics and the limits in use belong to the name: a replaced cluster goes on counting.
  cluster->shared = current != active_.end()
                        ? current->second->shared
                        : std::make_shared<upstream::ClusterShared>(*config, stats_);
  counts_->inc(current == active_.end() && pending == warming_.end()
                   ? stats::ClusterManagerMainStat::cluster_added
                   : stats::ClusterManagerMainStat::cluster_modified);
  cluster->config = std::move(config);
  cluster->proto = Kept(proto);
  cluster->version = version;
  cluster->is_static = is_static;
  cluster->updated_at = wall_now_ns();
  if (current != active_.end() && current->second->hosts != nullptr) {
    cluster->hosts = current->second->hosts;
    apply_assignment(*cluster,
                     current->second->assignment);  // its tables and subsets may be others
  }
  ManagedCluster& added = *cluster;
  warming_[added.config->name] = std::move(cluster);
  secrets_.refresh();
  absl::Status status = start_discovery(added);
  if (!status.ok()) warming_.erase(name);
  return status;
}

absl::Status ClusterManager::start_discovery(ManagedCluster& cluster) {
  const upstream::ClusterConfig& config = *cluster.config;
  if (config.discovery == upstream::Discovery::Eds) {
    watch_eds(cluster);
  } else if (resolves_names(config)) {
    return start_dns(cluster);
  } else {
    apply_assignment(cluster, LoadAssignmentPtr(cluster.config, &config.assignment));
    make_active(config.name);
  }
  return absl::OkStatus();
}

absl::Status ClusterManager::start_dns(ManagedCluster& cluster) {
  if (resolver_ == nullptr) {
    auto created = upstream::DnsResolver::create(main_.loop(), {});
    if (!created.ok()) return created.status();
    resolver_ = *std::move(created);
  }
  std::string name = cluster.config->name;
  cluster.dns = std::make_unique<upstream::DnsCluster>(
      cluster.config, *resolver_, main_.loop(),
      [this, name](upstream::LoadAssignment assignment) {
        on_dns(name, std::make_shared<const upstream::LoadAssignment>(std::move(assignment)));
      },
      cluster.shared);
  if (!cluster.config->wait_for_warm_on_init) make_active(name);
  return absl::OkStatus();
}

void ClusterManager::watch_eds(const ManagedCluster& cluster) {
  std::string service = eds_service_of(*cluster.config);
  auto& watch = eds_[service];
  if (watch == nullptr) {
    watch = std::make_unique<EdsWatch>(*this, service, *cluster.config);
    watch->start(*cluster.config->eds_source);
  } else if (watch->last() != nullptr) {
    on_eds(service, watch->last());
  }
}

void ClusterManager::on_eds(const std::string& service, const LoadAssignmentPtr& assignment) {
  auto uses = [&](const ManagedCluster& cluster) {
    return cluster.config->discovery == upstream::Discovery::Eds &&
           eds_service_of(*cluster.config) == service;
  };
  std::vector<std::string> now_warm;
  for (auto& [name, cluster] : warming_) {
    if (!uses(*cluster)) continue;
    if (assignment != nullptr) apply_assignment(*cluster, assignment);
    now_warm.push_back(name);
  }
  for (auto& [name, cluster] : active_) {
    if (!uses(*cluster) || assignment == nullptr || replaced_soon(name)) continue;
    if (cluster->hosts != nullptr &&
        cluster->assignment->content_hash == assignment->content_hash) {
      cluster->shared->count_update_no_rebuild();
      continue;
    }
    update_hosts(*cluster, assignment);
  }
  for (const std::string& name : now_warm) make_active(name);
  check_initialized();
}

void ClusterManager::count_of(const std::string& service, stats::ClusterMainStat stat) {
  for (const auto* clusters : {&active_, &warming_}) {
    for (const auto& [name, cluster] : *clusters) {
      const bool uses = cluster->config->discovery == upstream::Discovery::Eds &&
                        eds_service_of(*cluster->config) == service;
      if (uses) cluster->shared->stats().inc(stat);
    }
  }
}

EdsAge ClusterManager::eds_age(const ManagedCluster& cluster) const {
  if (cluster.config->discovery != upstream::Discovery::Eds) return {};
  const auto found = eds_.find(eds_service_of(*cluster.config));
  return found == eds_.end() ? EdsAge() : found->second->age();
}

void ClusterManager::look_at_hosts() {
  watch_.begin_look();
  for (const auto& [name, cluster] : active_) watch_.look(*cluster->hosts);
  look_timer_.arm(HostWatch::kLookEveryMs);
}

/// Its successor warms, and not for lack of secrets: those may take long.
bool ClusterManager::replaced_soon(const std::string& name) const {
  const auto pending = warming_.find(name);
  return pending != warming_.end() && secrets_.settled(secrets_of(*pending->second->config));
}

void ClusterManager::on_dns(const std::string& name, LoadAssignmentPtr assignment) {
  if (auto pending = warming_.find(name);
      pending != warming_.end() && pending->second->dns != nullptr) {
    apply_assignment(*pending->second, std::move(assignment));
    make_active(name);
    check_initialized();
    return;
  }
  auto found = active_.find(name);
  if (found == active_.end()) return;
  update_hosts(*found->second, std::move(assignment));
}

void ClusterManager::update_hosts(ManagedCluster& cluster, LoadAssignmentPtr assignment) {
  const auto before = cluster.hosts;
  apply_assignment(cluster, std::move(assignment));
  const bool same = before != nullptr && upstream::same_hosts(*before, *cluster.hosts);
  const auto change = same ? MergeWindow::Change::HealthOrWeight : MergeWindow::Change::Membership;
  if (!cluster.merge_window->passes(change)) return;
  publish_hosts(cluster);
  counts_->inc(stats::ClusterManagerMainStat::cluster_updated);
}

void ClusterManager::publish_hosts(const ManagedCluster& cluster) {
  publisher_.post_all([&](size_t) -> ConfigUpdate {
    return SetHosts{cluster.config->name, cluster.hosts};
  });
  main_clusters_.update_hosts(cluster.config->name, cluster.hosts);
}

void ClusterManager::apply_assignment(ManagedCluster& cluster, LoadAssignmentPtr assignment) {
  auto previous = cluster.hosts;
  cluster.hosts = upstream::make_host_set(*assignment, previous.get(), *cluster.config);
  cluster.assignment = std::move(assignment);
  cluster.shared->on_hosts(*cluster.hosts, previous.get());
  if (cluster.outlier != nullptr) cluster.outlier->set_hosts(*cluster.hosts);
  if (cluster.health != nullptr) cluster.health->set_hosts(*cluster.hosts);
}

void ClusterManager::on_secrets_settled() {
  std::vector<std::string> discovered;
  for (const auto& [name, cluster] : warming_) {
    if (cluster->discovered) discovered.push_back(name);
  }
  for (const std::string& name : discovered) make_active(name);
  check_initialized();
}

void ClusterManager::make_active(const std::string& name) {
  auto pending = warming_.find(name);
  if (pending == warming_.end()) return;
  pending->second->discovered = true;
  if (!secrets_.settled(secrets_of(*pending->second->config))) return;
  if (pending->second->hosts == nullptr) {
    apply_assignment(*pending->second, std::make_shared<const upstream::LoadAssignment>());
  }
  if (!checked(*pending->second)) return;
  std::unique_ptr<ManagedCluster> cluster = std::move(pending->second);
  warming_.erase(pending);
  cluster->shared->set_config(*cluster->config);
  cluster->shared->on_hosts(*cluster->hosts, cluster->hosts.get());
  cluster->merge_window = std::make_unique<MergeWindow>(
      main_.loop(), upstream::balancing_of(*cluster->config).update_merge_window_ms, counts_,
      [this, name] { publish_hosts(*active_.find(name)->second); });
  const auto replaces = active_.find(name);
  judge_hosts(*cluster, replaces != active_.end() && replaces->second->outlier != nullptr);
  publish(*cluster);
  bool replaced = replaces != active_.end();
  active_[name] = std::move(cluster);
  LOG_DEBUG(upstream, "cluster '{}' {}", name, replaced ? "replaced" : "added");
  update_gauges();
  if (warming_.empty() && on_all_warm_) on_all_warm_();
}

void ClusterManager::update_gauges() {
  counts_->set(stats::ClusterManagerMainStat::active_clusters, active_.size());
  counts_->set(stats::ClusterManagerMainStat::warming_clusters, warming_.size());
}

void ClusterManager::publish(const ManagedCluster& cluster) {
  publisher_.post_all([&](size_t) -> ConfigUpdate {
    return SetCluster{cluster.config, cluster.shared, cluster.hosts};
  });
  main_clusters_.update(cluster.config, cluster.shared, cluster.hosts);
}

void ClusterManager::remove(const std::string& name) {
  auto found = active_.find(name);
  if (found != active_.end() && found->second->is_static) return;
  std::string service;
  for (auto* map : {&active_, &warming_}) {
    if (auto it = map->find(name);
        it != map->end() && it->second->config->discovery == upstream::Discovery::Eds) {
      service = eds_service_of(*it->second->config);
    }
  }
  warming_.erase(name);
  if (found != active_.end()) {
    publisher_.post_all([&](size_t) -> ConfigUpdate { return RemoveCluster{name}; });
    main_clusters_.remove(name);
    active_.erase(found);
    counts_->inc(stats::ClusterManagerMainStat::cluster_removed);
    LOG_DEBUG(upstream, "cluster '{}' removed", name);
  }
  if (service.empty()) return;
  auto still_used = [&](const auto& map) {
    return std::any_of(map.begin(), map.end(), [&](const auto& entry) {
      return entry.second->config->discovery == upstream::Discovery::Eds &&
             eds_service_of(*entry.second->config) == service;
    });
  };
  if (!still_used(active_) && !still_used(warming_)) eds_.erase(service);
}

void ClusterManager::check_initialized() {
  if (!on_initialized_ || !warming_.empty() || (wait_for_cds_ && !cds_answered_)) return;
  auto done = std::move(on_initialized_);
  on_initialized_ = nullptr;
  done();
}

}  // namespace remora::server
