#include "proxy/upstream/hash_balancer.h"

#include <utility>

#include "proxy/upstream/hash_table.h"
#include "proxy/upstream/list_balancer.h"

namespace remora::upstream {

HashBalancer::HashBalancer(const BalancerParts& parts, std::shared_ptr<const HostSet> hosts)
    : hosts_(std::move(hosts)),
      worker_(parts.worker),
      shared_(parts.shared),
      stats_(parts.stats()),
      load_(load_of(*hosts_, parts.config->panic_threshold_percent)) {}

HostPtr HashBalancer::pick(const PickContext& context) {
  const uint64_t hash = context.hash ? *context.hash : worker_.random();
  const uint32_t priority =
      context.choice ? context.choice->priority : choose_priority(load_, hash).priority;
  if (priority >= hosts_->hash_tables.size()) return nullptr;
  if (load_.shares[priority].panic) stats_.inc(stats::ClusterStat::lb_healthy_panic);
  const auto& table = hosts_->hash_tables[priority];
  if (table == nullptr) return nullptr;
  return table->choose(hash, context.attempt, shared_.active_requests());
}

}  // namespace remora::upstream
