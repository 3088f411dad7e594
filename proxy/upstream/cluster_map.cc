// Clusters by name, and those that were removed until they are done. The worker's thread.
#include "proxy/upstream/cluster_map.h"

#include <algorithm>

#include "proxy/upstream/cluster.h"

namespace remora::upstream {

ClusterMap::ClusterMap(WorkerContext& worker) : worker_(worker) {}

ClusterMap::~ClusterMap() = default;

Cluster* ClusterMap::find(std::string_view name) {
  auto found = clusters_.find(name);
  return found == clusters_.end() ? nullptr : found->second.get();
}

void ClusterMap::update(std::shared_ptr<const ClusterConfig> config,
                        std::shared_ptr<ClusterShared> shared,
                        std::shared_ptr<const HostSet> hosts) {
  std::unique_ptr<Cluster>& cluster = clusters_[config->name];
  if (cluster != nullptr && &cluster->shared() == shared.get()) {
    const std::string name = config->name;
    cluster->update(std::move(config), std::move(hosts));
    return hosts_changed(name);
  }
  // Other statistics: what is in flight goes on counting where it began.
  std::unique_ptr<Cluster> replaced = std::move(cluster);
  cluster = std::make_unique<Cluster>(*this, worker_, std::move(config), std::move(shared),
                                      std::move(hosts));
  if (replaced != nullptr) retire(std::move(replaced));
  hosts_changed(cluster->config().name);
}

void ClusterMap::update_hosts(std::string_view name, std::shared_ptr<const HostSet> hosts) {
  Cluster* cluster = find(name);
  if (cluster == nullptr) return;
  cluster->update_hosts(std::move(hosts));
  hosts_changed(name);
}

/// All clusters go by the hosts of the local one.
void ClusterMap::hosts_changed(std::string_view name) {
  ++generation_;
  if (local_cluster_.empty() || name != local_cluster_) return;
  for (auto& [other, cluster] : clusters_) cluster->reset_balancer();
}

std::shared_ptr<const HostSet> ClusterMap::local_hosts() {
  Cluster* local = local_cluster_.empty() ? nullptr : find(local_cluster_);
  return local == nullptr ? nullptr : local->hosts_snapshot();
}

void ClusterMap::remove(std::string_view name) {
  auto found = clusters_.find(name);
  if (found == clusters_.end()) return;
  std::unique_ptr<Cluster> cluster = std::move(found->second);
  clusters_.erase(found);
  ++generation_;
  retire(std::move(cluster));
}

void ClusterMap::retire(std::unique_ptr<Cluster> cluster) {
  Cluster& retired = *cluster;
  retired_.push_back(std::move(cluster));
  retired.retire();
}

void ClusterMap::cluster_finished(Cluster& cluster) {
  auto at = std::find_if(retired_.begin(), retired_.end(),
                         [&cluster](const auto& retired) { return retired.get() == &cluster; });
  worker_.loop().defer_delete(std::move(*at));
  retired_.erase(at);
}

void ClusterMap::for_each(const std::function<void(Cluster&)>& f) {
  for (auto& [name, cluster] : clusters_) f(*cluster);
}

void ClusterMap::for_each_with_retired(const std::function<void(Cluster&)>& f) {
  for_each(f);
  std::vector<Cluster*> retired;  // one that finishes leaves the list
  for (auto& cluster : retired_) retired.push_back(cluster.get());
  for (Cluster* cluster : retired) f(*cluster);
}

}  // namespace remora::upstream
