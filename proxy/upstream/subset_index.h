// The subsets of one host set: found by what a request asks for, in one look-up. Built on the main
// thread with the host set and shared by the workers; immutable. Document: "Load balancer subsets"
// of Envoy's load balancing pages.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/metadata_criteria.h"
#include "proxy/upstream/subset_config.h"

namespace remora::upstream {

class SubsetIndex {
 public:
  /// Of one combination of values.
  struct Subset {
    std::shared_ptr<const HostSet> hosts;  // null where one host is the subset
    HostPtr only_host;
  };

  /// `config` has subsets.
  SubsetIndex(const HostSet& all, const ClusterConfig& config);

  /// Null: no host has all of that, or no selector has just these keys.
  const Subset* find(const MetadataCriteria& criteria) const;
  /// The selector with the keys of `criteria`; null: there is none.
  const SubsetSelector* selector_for(const MetadataCriteria& criteria) const;
  /// All hosts, as a subset: without the weights of localities unless subsets know them.
  const std::shared_ptr<const HostSet>& any() const { return any_; }
  /// Null: the configuration names no default subset.
  const std::shared_ptr<const HostSet>& fallback() const { return default_; }

  size_t size() const { return subsets_.size(); }
  /// Position of `subset` among all.
  size_t index_of(const Subset& subset) const { return &subset - subsets_.data(); }
  /// How many of its subsets `other` does not have; null: all.
  size_t not_in(const SubsetIndex* other) const;
  /// Hosts beyond the first of subsets that use one only.
  uint64_t duplicates() const { return duplicates_; }

 private:
  class Builder;

  std::shared_ptr<const SubsetConfig> config_;
  std::vector<Subset> subsets_;
  StringMap<uint32_t> by_text_;
  StringMap<const SubsetSelector*> by_keys_;
  std::shared_ptr<const HostSet> any_;
  std::shared_ptr<const HostSet> default_;
  uint64_t duplicates_ = 0;
};

}  // namespace remora::upstream
