// What is wrong with a host, in words for people: why it is left out or may be soon, that it is
// slow, that its connections fail, that nobody knows whether it is still there. Envoy's /clusters
// has flags and numbers only. Lives while an admin request is answered; main thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "proxy/server/cluster_manager.h"
#include "proxy/server/host_watch.h"

namespace remora::server {

class HostWords {
 public:
  HostWords(const ClusterManager& clusters, const ManagedCluster& cluster);

  /// By priority, where it panics: health does not matter, all of its hosts are used.
  const std::map<uint32_t, std::string>& panics() const { return panics_; }
  /// Of a host of the cluster; usually none.
  std::vector<std::string> reasons(const upstream::Host& host, uint32_t priority) const;

 private:
  std::string panic_of(const upstream::PriorityHosts& hosts) const;
  std::string ejection_of(const upstream::Host& host) const;
  std::string checks_of(const upstream::Host& host) const;
  std::string discovery_of(const upstream::Host& host) const;
  std::string age_of(const upstream::Host& host) const;

  const ClusterManager& clusters_;
  const ManagedCluster& cluster_;
  const EdsAge age_;
  std::map<uint32_t, std::string> panics_;
  std::vector<HostCounts> lately_;  // by priority, of all its hosts together
};

}  // namespace remora::server
