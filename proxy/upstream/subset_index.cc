// Which hosts are in which subset, and the host sets made of them.
#include "proxy/upstream/subset_index.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/hash_table.h"

namespace remora::upstream {
namespace {

using Combinations = std::vector<MetadataStruct>;

/// What `labels` have under all of `keys`: nothing when one is missing, several where a list counts
/// as each of its elements.
Combinations combinations(const MetadataStruct& labels, const SubsetSelector& selector,
                          bool list_as_any) {
  Combinations all = {{}};
  for (const std::string& key : selector.keys) {
    const auto found = labels.find(key);
    if (found == labels.end()) return {};
    const MetadataList* list = list_as_any ? found->second.list() : nullptr;
    const MetadataList values = list != nullptr ? *list : MetadataList{found->second};
    Combinations more;
    for (const MetadataStruct& so_far : all) {
      for (const MetadataValue& value : values) {
        more.push_back(so_far);
        more.back().emplace(key, value);
      }
    }
    all = std::move(more);
  }
  return all;
}

void add_host(auto& lists, const HostPtr& host) {
  lists.hosts.push_back(host);
  const Health health = host->overall_health();
  if (health == Health::Healthy) lists.healthy.push_back(host);
  if (health == Health::Degraded) lists.degraded.push_back(host);
}

/// A host set with the priorities and localities of another and some of its hosts.
class PartOf {
 public:
  PartOf(const HostSet& all, const SubsetConfig& subsets) : all_(all), subsets_(subsets) {
    set_->overprovisioning_percent = all.overprovisioning_percent;
    set_->weighs_localities = subsets.locality_weight_aware;
    set_->priorities.resize(all.priorities.size());
    for (size_t i = 0; i < all.priorities.size(); ++i) {
      for (const LocalityHosts& locality : all.priorities[i].localities) {
        set_->priorities[i].localities.push_back({locality.locality, 0, {}, {}, {}});
      }
    }
  }

  void add(size_t priority, const HostPtr& host) { add_host(set_->priorities[priority], host); }
  void add(size_t priority, size_t locality, const HostPtr& host) {
    add_host(set_->priorities[priority].localities[locality], host);
  }

  std::shared_ptr<const HostSet> finish(const ClusterConfig& config) {
    for (size_t i = 0; i < set_->priorities.size(); ++i) {
      std::vector<LocalityHosts>& parts = set_->priorities[i].localities;
      for (size_t k = 0; k < parts.size(); ++k) {
        parts[k].weight = weight_of(parts[k], all_.priorities[i].localities[k]);
      }
    }
    if (config.chooses_by_hash()) set_->hash_tables = make_hash_tables(*set_, config);
    return std::move(set_);
  }

 private:
  uint32_t weight_of(const LocalityHosts& part, const LocalityHosts& whole) const {
    if (!subsets_.locality_weight_aware || whole.hosts.empty()) return 0;
    if (!subsets_.scale_locality_weight) return whole.weight;
    const double share =
        static_cast<double>(part.hosts.size()) / static_cast<double>(whole.hosts.size());
    return static_cast<uint32_t>(std::round(whole.weight * share));
  }

  const HostSet& all_;
  const SubsetConfig& subsets_;
  std::shared_ptr<HostSet> set_ = std::make_shared<HostSet>();
};

/// Calls `add(host, place...)` for every host by priority and, once more, by locality.
template <class Add>
void for_each_place(const HostSet& all, Add add) {
  for (size_t i = 0; i < all.priorities.size(); ++i) {
    const PriorityHosts& priority = all.priorities[i];
    for (const HostPtr& host : priority.hosts) add(host, i);
    for (size_t k = 0; k < priority.localities.size(); ++k) {
      for (const HostPtr& host : priority.localities[k].hosts) add(host, i, k);
    }
  }
}

}  // namespace

/// Sorts the hosts into subsets, which are numbered as they are found.
class SubsetIndex::Builder {
 public:
  Builder(SubsetIndex& index, const HostSet& all, const ClusterConfig& config)
      : index_(index), subsets_(*index.config_), all_(all), config_(config) {}

  void build() {
    for (const PriorityHosts& priority : all_.priorities) {
      for (const HostPtr& host : priority.hosts) sort(host);
    }
    make_subsets();
    index_.any_ = all_with({});
    if (wants_default()) index_.default_ = all_with(subsets_.default_subset);
  }

 private:
  void sort(const HostPtr& host) {
    if (host->labels() == nullptr) return;
    std::vector<uint32_t>& member_of = members_[host.get()];
    for (const SubsetSelector& selector : subsets_.selectors) {
      for (const MetadataStruct& values :
           combinations(host->labels()->fields, selector, subsets_.list_as_any)) {
        const uint32_t subset = number_of(values, host, selector);
        if (std::ranges::find(member_of, subset) != member_of.end()) continue;
        member_of.push_back(subset);
        const HostPtr& only = index_.subsets_[subset].only_host;
        if (only != nullptr && only != host) ++index_.duplicates_;
      }
    }
  }

  uint32_t number_of(const MetadataStruct& values, const HostPtr& host,
                     const SubsetSelector& selector) {
    std::string text;
    append_json(values, text);
    const auto next = static_cast<uint32_t>(index_.subsets_.size());
    const auto [at, added] = index_.by_text_.try_emplace(std::move(text), next);
    if (added) index_.subsets_.push_back({nullptr, selector.single_host ? host : nullptr});
    return at->second;
  }

  void make_subsets() {
    std::vector<std::unique_ptr<PartOf>> parts(index_.subsets_.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      if (index_.subsets_[i].only_host != nullptr) continue;
      parts[i] = std::make_unique<PartOf>(all_, subsets_);
    }
    for_each_place(all_, [&](const HostPtr& host, auto... place) {
      const auto found = members_.find(host.get());
      if (found == members_.end()) return;
      for (const uint32_t subset : found->second) {
        if (parts[subset] != nullptr) parts[subset]->add(place..., host);
      }
    });
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i] != nullptr) index_.subsets_[i].hosts = parts[i]->finish(config_);
    }
  }

  bool wants_default() const {
    return subsets_.fallback == SubsetFallback::DefaultSubset ||
           std::ranges::any_of(subsets_.selectors, [](const SubsetSelector& selector) {
             return selector.fallback == SubsetSelector::Fallback::DefaultSubset;
           });
  }

  std::shared_ptr<const HostSet> all_with(const MetadataStruct& wanted) const {
    PartOf part(all_, subsets_);
    for_each_place(all_, [&](const HostPtr& host, auto... place) {
      if (has_all(host->labels(), wanted, subsets_.list_as_any)) part.add(place..., host);
    });
    return part.finish(config_);
  }

  SubsetIndex& index_;
  const SubsetConfig& subsets_;
  const HostSet& all_;
  const ClusterConfig& config_;
  absl::flat_hash_map<const Host*, std::vector<uint32_t>> members_;
};

SubsetIndex::SubsetIndex(const HostSet& all, const ClusterConfig& config)
    : config_(balancing_of(config).subsets) {
  for (const SubsetSelector& selector : config_->selectors) {
    by_keys_.try_emplace(keys_text(selector.keys), &selector);
  }
  Builder(*this, all, config).build();
}

const SubsetIndex::Subset* SubsetIndex::find(const MetadataCriteria& criteria) const {
  const auto found = by_text_.find(criteria.text());
  return found == by_text_.end() ? nullptr : &subsets_[found->second];
}

const SubsetSelector* SubsetIndex::selector_for(const MetadataCriteria& criteria) const {
  const auto found = by_keys_.find(criteria.keys());
  return found == by_keys_.end() ? nullptr : found->second;
}

size_t SubsetIndex::not_in(const SubsetIndex* other) const {
  if (other == nullptr) return by_text_.size();
  return static_cast<size_t>(std::ranges::count_if(
      by_text_, [other](const auto& entry) { return !other->by_text_.contains(entry.first); }));
}

}  // namespace remora::upstream
