#include "proxy/upstream/hash_balancer.h"

#include <utility>

#include "proxy/upstream/hash_table.h"
#include "proxy/upstream/list_balancer.h"

namespace remora::upstream {

HashBalancer::HashBalancer(const ClusterConfig& config, std::shared_ptr<const HostSet> hosts,
                           WorkerContext& worker, const ClusterShared& shared)
    : hosts_(std::move(hosts)),
      worker_(worker),
      shared_(shared),
      load_(load_of(*hosts_, config.panic_threshold_percent)) {}

HostPtr HashBalancer::pick(const PickContext& context) {
  const uint64_t hash = context.hash ? *context.hash : worker_.random();
  const uint32_t priority = choose_priority(load_, hash).priority;
  if (priority >= hosts_->hash_tables.size()) return nullptr;
  if (load_.shares[priority].panic) ++panics_;
  const auto& table = hosts_->hash_tables[priority];
  if (table == nullptr) return nullptr;
  return table->choose(hash, context.attempt, shared_.active_requests());
}

}  // namespace remora::upstream
