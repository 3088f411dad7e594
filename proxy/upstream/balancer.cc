// Which balancer serves a cluster.
#include "proxy/upstream/balancer.h"

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/hash_balancer.h"
#include "proxy/upstream/list_balancer.h"
#include "proxy/upstream/subset_balancer.h"

namespace remora::upstream {

std::unique_ptr<Balancer> make_balancer(const BalancerParts& parts,
                                        std::shared_ptr<const HostSet> hosts) {
  const bool by_subset =
      balancing_of(*parts.config).subsets != nullptr && hosts->subsets != nullptr;
  if (by_subset) return std::make_unique<SubsetBalancer>(parts, std::move(hosts));
  return make_plain_balancer(parts, std::move(hosts));
}

std::unique_ptr<Balancer> make_plain_balancer(const BalancerParts& parts,
                                              std::shared_ptr<const HostSet> hosts) {
  if (parts.config->chooses_by_hash()) {
    return std::make_unique<HashBalancer>(parts, std::move(hosts));
  }
  return std::make_unique<ListBalancer>(parts, std::move(hosts));
}

}  // namespace remora::upstream
