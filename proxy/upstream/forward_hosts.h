// The hosts of a dynamic forward proxy's cluster: one for every name that its DNS cache knows and
// requests were sent to, forgotten when the cache forgets the name. Owned by the worker's Cluster;
// one thread: each worker has hosts of its own. Document:
// envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/string_map.h"
#include "proxy/upstream/dns_cache.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/worker_context.h"

namespace remora::upstream {

class ForwardHosts final : private DnsCache::Watcher {
 public:
  struct Events {
    /// Forgotten: its pools are to drain.
    std::function<void(const Host&)> on_forgotten;
    /// True for an address at which this proxy itself listens, or at which a listener at any
    /// address of the machine would: sending there could go round for ever.
    std::function<bool(const Address&)> listens_at;
  };

  ForwardHosts(std::shared_ptr<DnsCache> cache, WorkerContext& worker, Events events);

  const std::shared_ptr<DnsCache>& cache() const { return cache_; }
  /// The host of a name by its key; null: the cache does not know it, or not where it is.
  HostPtr pick(std::string_view key);
  bool knows(const Host& pool_key) const;
  size_t size() const { return hosts_.size(); }

 private:
  struct Entry {
    ResolvedNamePtr name;  // that the host was made of
    HostPtr host;
  };

  void on_forgotten(std::string_view key) override;

  const std::shared_ptr<DnsCache> cache_;
  WorkerContext& worker_;
  const Events events_;
  StringMap<Entry> hosts_;
};

}  // namespace remora::upstream
