#include "proxy/upstream/subset_balancer.h"

#include <utility>

#include "proxy/upstream/balancing_config.h"

namespace remora::upstream {

using stats::ClusterStat;

SubsetBalancer::SubsetBalancer(BalancerParts parts, std::shared_ptr<const HostSet> hosts)
    : parts_(std::move(parts)),
      hosts_(std::move(hosts)),
      config_(*balancing_of(*parts_.config).subsets),
      index_(*hosts_->subsets),
      stats_(parts_.stats()),
      balancers_(index_.size()) {}

HostPtr SubsetBalancer::pick(const PickContext& context) {
  if (context.metadata == nullptr) return pick_fallback(context);
  const auto alternatives = context.metadata->alternatives();
  if (!config_.tries_fallback_list || alternatives.empty()) {
    return pick_by(*context.metadata, context);
  }
  for (const MetadataCriteria& criteria : alternatives) {
    if (HostPtr host = pick_by(criteria, context)) return host;
  }
  return nullptr;
}

HostPtr SubsetBalancer::pick_by(const MetadataCriteria& criteria, const PickContext& context) {
  if (const SubsetIndex::Subset* subset = index_.find(criteria)) {
    stats_.inc(ClusterStat::lb_subsets_selected);
    if (subset->only_host != nullptr) return subset->only_host;
    return pick_from(balancers_[index_.index_of(*subset)], subset->hosts, context);
  }
  const SubsetSelector* selector = index_.selector_for(criteria);
  if (selector != nullptr && selector->fallback != SubsetSelector::Fallback::ByCluster) {
    return pick_in_place(*selector, criteria, context);
  }
  return pick_fallback(context);
}

/// As the selector says that has just these keys, and no such values.
HostPtr SubsetBalancer::pick_in_place(const SubsetSelector& selector,
                                      const MetadataCriteria& criteria,
                                      const PickContext& context) {
  switch (selector.fallback) {
    case SubsetSelector::Fallback::AnyHost:
      return pick_any(context);
    case SubsetSelector::Fallback::DefaultSubset:
      return pick_default(context);
    case SubsetSelector::Fallback::FewerKeys:
      return pick_by(criteria.only(selector.fallback_keys), context);
    case SubsetSelector::Fallback::None:
    case SubsetSelector::Fallback::ByCluster:
      break;
  }
  return nullptr;
}

HostPtr SubsetBalancer::pick_fallback(const PickContext& context) {
  if (config_.fallback == SubsetFallback::None) return nullptr;
  HostPtr host =
      config_.fallback == SubsetFallback::AnyHost ? pick_any(context) : pick_default(context);
  if (host != nullptr) {
    stats_.inc(ClusterStat::lb_subsets_fallback);
  } else if (config_.panic_mode_any) {
    host = pick_any(context);
    if (host != nullptr) stats_.inc(ClusterStat::lb_subsets_fallback_panic);
  }
  return host;
}

HostPtr SubsetBalancer::pick_from(std::unique_ptr<Balancer>& balancer,
                                  const std::shared_ptr<const HostSet>& hosts,
                                  const PickContext& context) {
  if (balancer == nullptr) balancer = make_plain_balancer(parts_, hosts);
  return balancer->pick(context);
}

}  // namespace remora::upstream
