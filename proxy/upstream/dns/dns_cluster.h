// Keeps the endpoints of a STRICT_DNS or LOGICAL_DNS cluster up to date: resolves its names on
// schedule and hands out the assignment with addresses in place of names. Owned by the server's
// cluster manager; main thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/cluster_shared.h"
#include "proxy/upstream/dns/dns_resolver.h"

namespace remora::upstream {

class DnsCluster {
 public:
  /// STRICT_DNS: an endpoint for every address of each name; LOGICAL_DNS: one endpoint, for
  /// make_host_set(..., HostIdentity::Logical). Called whenever the addresses changed, and once
  /// when the first answer came, good or bad (then perhaps with no endpoints): the cluster need not
  /// be waited for any more.
  using OnChange = std::function<void(LoadAssignment)>;

  /// Starts to resolve; calls back from the loop, never inside this call. `resolver` is used unless
  /// the cluster names servers of its own. `shared`: counts update_*; may be null.
  DnsCluster(std::shared_ptr<const ClusterConfig> config, DnsResolver& resolver, EventLoop& loop,
             OnChange on_change, std::shared_ptr<ClusterShared> shared = nullptr);
  ~DnsCluster();

 private:
  class Target;  // one name
  using Stat = stats::ClusterMainStat;

  void choose_resolver(DnsResolver& resolver);
  void target_answered(bool changed);
  LoadAssignment resolved() const;
  uint64_t random();
  uint64_t jitter();
  void count(Stat stat) const;

  EventLoop& loop_;
  const std::shared_ptr<const ClusterConfig> config_;
  const OnChange on_change_;
  const std::shared_ptr<ClusterShared> shared_;
  std::unique_ptr<DnsResolver> own_resolver_;
  DnsResolver* resolver_;
  uint64_t random_state_;
  bool answered_ = false;
  std::vector<std::unique_ptr<Target>> targets_;  // in the order of the assignment's endpoints
};

}  // namespace remora::upstream
