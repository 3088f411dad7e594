// What both kinds of table share: hosts with their parts, keys, the bound of load.
#include "proxy/upstream/hash_table.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>

#include "proxy/upstream/list_balancer.h"

namespace remora::upstream {
namespace {

void add_shares(const std::vector<HostPtr>& hosts, double part, std::vector<HostShare>* out) {
  double sum = 0;
  for (const HostPtr& host : hosts) sum += host->weight();
  for (const HostPtr& host : hosts) out->push_back({host, host->weight() * part / sum});
}

std::vector<HostShare> shares_of(const PriorityHosts& priority, bool panic, bool by_locality) {
  std::vector<HostShare> shares;
  if (!by_locality) {
    add_shares(panic ? priority.hosts : priority.healthy, 1, &shares);
    return shares;
  }
  double sum = 0;
  for (const LocalityHosts& locality : priority.localities) sum += locality.weight;
  if (sum == 0) return shares;
  for (const LocalityHosts& locality : priority.localities) {
    if (locality.weight == 0) continue;
    add_shares(panic ? locality.hosts : locality.healthy, locality.weight / sum, &shares);
  }
  return shares;
}

/// In place of a host that has too much to do: another, by a random walk that the hash determines.
class BoundedLoad final : public HashTable {
 public:
  BoundedLoad(std::shared_ptr<const HashTable> table, std::vector<HostShare> shares,
              uint32_t factor)
      : table_(std::move(table)), shares_(std::move(shares)), factor_(factor) {
    for (const HostShare& share : shares_) share_of_[share.host.get()] = share.share;
    size_ = table_->size();
    least_entries_ = table_->least_entries();
    most_entries_ = table_->most_entries();
  }

  const HostPtr& choose(uint64_t hash, uint32_t attempt, uint64_t active) const override {
    const HostPtr& first = table_->choose(hash, attempt, active);
    const double load = load_of(*first, share_of_.at(first.get()), active);
    return load <= 1 ? first : another(first, load, hash, active);
  }

 private:
  /// Above 1: more than its bound.
  double load_of(const Host& host, double share, uint64_t active) const {
    const uint64_t all = ((active + 1) * factor_ + 99) / 100;
    const double bound = std::max(std::ceil(static_cast<double>(all) * share), 1.0);
    return host.counters.rq_active.load(std::memory_order_relaxed) / bound;
  }

  const HostPtr& another(const HostPtr& first, double load, uint64_t hash, uint64_t active) const {
    std::vector<uint32_t> order(shares_.size());
    std::iota(order.begin(), order.end(), 0);
    std::mt19937 random(static_cast<std::mt19937::result_type>(hash));
    const HostPtr* best = &first;
    for (size_t i = 0; i < order.size(); ++i) {
      std::swap(order[i], order[i + below(random, static_cast<uint32_t>(order.size() - i))]);
      const HostShare& candidate = shares_[order[i]];
      if (candidate.host == first) continue;
      const double other = load_of(*candidate.host, candidate.share, active);
      if (other <= 1) return candidate.host;
      if (other >= load) continue;
      load = other;
      best = &candidate.host;
    }
    return *best;
  }

  /// Uniform in [0, bound).
  static uint32_t below(std::mt19937& random, uint32_t bound) {
    const uint64_t bucket = (uint64_t{std::mt19937::max()} + 1) / bound;
    for (;;) {
      const auto drawn = static_cast<uint32_t>(random() / bucket);
      if (drawn < bound) return drawn;
    }
  }

  std::shared_ptr<const HashTable> table_;
  std::vector<HostShare> shares_;
  absl::flat_hash_map<const Host*, double> share_of_;
  uint64_t factor_;  // percent
};

}  // namespace

std::string hash_key_of(const Host& host, bool use_hostname) {
  if (!host.hash_key().empty()) return host.hash_key();
  return use_hostname && !host.hostname().empty() ? host.hostname() : host.address().to_string();
}

std::shared_ptr<const HashTable> bound_load(std::shared_ptr<const HashTable> table,
                                            std::vector<HostShare> shares,
                                            const HashPolicyConfig& config) {
  if (config.balance_factor_percent == 0) return table;
  return std::make_shared<BoundedLoad>(std::move(table), std::move(shares),
                                       config.balance_factor_percent);
}

std::vector<std::shared_ptr<const HashTable>> make_hash_tables(const HostSet& hosts,
                                                               const ClusterConfig& config) {
  const PriorityLoad load = load_of(hosts, config.panic_threshold_percent);
  std::vector<std::shared_ptr<const HashTable>> tables;
  for (size_t i = 0; i < hosts.priorities.size(); ++i) {
    std::vector<HostShare> shares = shares_of(hosts.priorities[i], load.shares[i].panic,
                                              config.locality_weighted && hosts.weighs_localities);
    if (shares.empty()) {
      tables.push_back(nullptr);
      continue;
    }
    auto table = config.lb == LbPolicy::RingHash ? make_ring(shares, config.hash)
                                                 : make_maglev(shares, config.hash);
    tables.push_back(bound_load(std::move(table), std::move(shares), config.hash));
  }
  return tables;
}

}  // namespace remora::upstream
