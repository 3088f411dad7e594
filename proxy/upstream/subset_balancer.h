// The balancer of clusters with subsets: finds the subset that a request asks for, or what is to
// take its place, and chooses there by the cluster's policy. Owned by the worker's Cluster; one
// thread. Document: envoy.config.cluster.v3.Cluster.LbSubsetConfig.
#pragma once

#include <memory>
#include <vector>

#include "proxy/upstream/balancer.h"
#include "proxy/upstream/subset_index.h"

namespace remora::upstream {

class SubsetBalancer final : public Balancer {
 public:
  /// `hosts` have subsets.
  SubsetBalancer(BalancerParts parts, std::shared_ptr<const HostSet> hosts);

  HostPtr pick(const PickContext& context) override;

 private:
  HostPtr pick_by(const MetadataCriteria& criteria, const PickContext& context);
  HostPtr pick_in_place(const SubsetSelector& selector, const MetadataCriteria& criteria,
                        const PickContext& context);
  HostPtr pick_fallback(const PickContext& context);
  HostPtr pick_from(std::unique_ptr<Balancer>& balancer,
                    const std::shared_ptr<const HostSet>& hosts, const PickContext& context);
  HostPtr pick_any(const PickContext& context) { return pick_from(any_, index_.any(), context); }
  HostPtr pick_default(const PickContext& context) {
    return pick_from(default_, index_.fallback(), context);
  }

  BalancerParts parts_;
  std::shared_ptr<const HostSet> hosts_;
  const SubsetConfig& config_;
  const SubsetIndex& index_;
  stats::Slab<stats::ClusterSchema>& stats_;
  // Made when they are first used.
  std::vector<std::unique_ptr<Balancer>> balancers_;  // by position in the index
  std::unique_ptr<Balancer> any_;
  std::unique_ptr<Balancer> default_;
};

}  // namespace remora::upstream
