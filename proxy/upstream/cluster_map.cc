// Clusters by name, and those that were removed until they are done. The worker's thread.
#include "proxy/upstream/cluster_map.h"

#include <algorithm>

#include "proxy/upstream/cluster.h"

namespace remora::upstream {

ClusterMap::ClusterMap(WorkerContext& worker) : worker_(worker) {}

ClusterMap::~ClusterMap() = default;

Cluster* ClusterMap::make(Entry& entry) {
  const std::unique_ptr<Unmade> of = std::move(entry.unmade);
  entry.cluster = std::make_unique<Cluster>(*this, worker_, std::move(of->config),
                                            std::move(of->shared), std::move(of->hosts));
  return entry.cluster.get();
}

void ClusterMap::update(std::shared_ptr<const ClusterConfig> config,
                        std::shared_ptr<ClusterShared> shared,
                        std::shared_ptr<const HostSet> hosts) {
  const std::string name = config->name;
  Entry& entry = clusters_[name];
  if (entry.cluster != nullptr && &entry.cluster->shared() == shared.get()) {
    entry.cluster->update(std::move(config), std::move(hosts));
    return hosts_changed(name);
  }
  // Other statistics: what is in flight goes on counting where it began.
  std::unique_ptr<Cluster> replaced = std::move(entry.cluster);
  entry.unmade =
      std::make_unique<Unmade>(Unmade{std::move(config), std::move(shared), std::move(hosts)});
  if (replaced != nullptr) retire(std::move(replaced));
  hosts_changed(name);
}

void ClusterMap::update_hosts(std::string_view name, std::shared_ptr<const HostSet> hosts) {
  const auto found = clusters_.find(name);
  if (found == clusters_.end()) return;
  if (Cluster* cluster = found->second.cluster.get()) {
    cluster->update_hosts(std::move(hosts));
  } else {
    found->second.unmade->hosts = std::move(hosts);
  }
  hosts_changed(name);
}

/// All clusters go by the hosts of the local one.
void ClusterMap::hosts_changed(std::string_view name) {
  ++generation_;
  if (local_cluster_.empty() || name != local_cluster_) return;
  for_each([](Cluster& cluster) { cluster.reset_balancer(); });
}

std::shared_ptr<const HostSet> ClusterMap::local_hosts() {
  Cluster* local = local_cluster_.empty() ? nullptr : find(local_cluster_);
  return local == nullptr ? nullptr : local->hosts_snapshot();
}

void ClusterMap::remove(std::string_view name) {
  auto found = clusters_.find(name);
  if (found == clusters_.end()) return;
  std::unique_ptr<Cluster> cluster = std::move(found->second.cluster);
  clusters_.erase(found);
  ++generation_;
  if (cluster != nullptr) retire(std::move(cluster));
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
  for (auto& [name, entry] : clusters_) {
    if (entry.cluster != nullptr) f(*entry.cluster);
  }
}

void ClusterMap::for_each_with_retired(const std::function<void(Cluster&)>& f) {
  for_each(f);
  std::vector<Cluster*> retired;  // one that finishes leaves the list
  for (auto& cluster : retired_) retired.push_back(cluster.get());
  for (Cluster* cluster : retired) f(*cluster);
}

}  // namespace remora::upstream
