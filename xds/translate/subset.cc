#include "xds/translate/subset.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "xds/translate/host_metadata.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using upstream::SubsetConfig;
using upstream::SubsetFallback;
using upstream::SubsetSelector;

std::vector<std::string> sorted(const google::protobuf::RepeatedPtrField<std::string>& from) {
  std::vector<std::string> out(from.begin(), from.end());
  std::ranges::sort(out);
  const auto twice = std::ranges::unique(out);
  out.erase(twice.begin(), twice.end());
  return out;
}

template <class Selector>
SubsetSelector::Fallback fallback_of(const Selector& from) {
  switch (from.fallback_policy()) {
    case Selector::NO_FALLBACK:
      return SubsetSelector::Fallback::None;
    case Selector::ANY_ENDPOINT:
      return SubsetSelector::Fallback::AnyHost;
    case Selector::DEFAULT_SUBSET:
      return SubsetSelector::Fallback::DefaultSubset;
    case Selector::KEYS_SUBSET:
      return SubsetSelector::Fallback::FewerKeys;
    default:
      return SubsetSelector::Fallback::ByCluster;
  }
}

template <class Selector>
absl::StatusOr<SubsetSelector> selector(const Selector& from, const Path& path) {
  SubsetSelector out;
  out.keys = sorted(from.keys());
  out.fallback = fallback_of(from);
  out.single_host = from.single_host_per_subset();
  const Path at = path.field("fallback_keys_subset");
  if (out.fallback != SubsetSelector::Fallback::FewerKeys) {
    if (!from.fallback_keys_subset().empty()) return at.error("is for KEYS_SUBSET only");
    return out;
  }
  out.fallback_keys = sorted(from.fallback_keys_subset());
  if (out.fallback_keys.empty()) return at.error("must not be empty");
  if (!std::ranges::includes(out.keys, out.fallback_keys)) {
    return at.error("must be a subset of keys");
  }
  // Otherwise there would be no end to it.
  if (out.fallback_keys.size() == out.keys.size()) return at.error("must not be equal to keys");
  return out;
}

template <class Proto>
absl::StatusOr<std::shared_ptr<const SubsetConfig>> read(const Proto& from, const Path& path) {
  auto out = std::make_shared<SubsetConfig>();
  for (int i = 0; i < from.subset_selectors_size(); ++i) {
    if (from.subset_selectors(i).keys().empty()) continue;
    auto one = selector(from.subset_selectors(i), path.at("subset_selectors", i));
    if (!one.ok()) return one.status();
    out->selectors.push_back(*std::move(one));
  }
  if (out->selectors.empty()) return nullptr;
  out->fallback = from.fallback_policy() == Proto::ANY_ENDPOINT     ? SubsetFallback::AnyHost
                  : from.fallback_policy() == Proto::DEFAULT_SUBSET ? SubsetFallback::DefaultSubset
                                                                    : SubsetFallback::None;
  out->default_subset = metadata_struct(from.default_subset());
  out->locality_weight_aware = from.locality_weight_aware();
  out->scale_locality_weight = from.scale_locality_weight();
  out->panic_mode_any = from.panic_mode_any();
  out->list_as_any = from.list_as_any();
  out->tries_fallback_list = from.metadata_fallback_policy() == Proto::FALLBACK_LIST;
  return out;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SubsetConfig>> subset_config(
    const envoy::config::cluster::v3::Cluster::LbSubsetConfig& from, const Path& path) {
  return read(from, path);
}

absl::StatusOr<std::shared_ptr<const SubsetConfig>> subset_config(
    const envoy::extensions::load_balancing_policies::subset::v3::Subset& from, const Path& path) {
  return read(from, path);
}

}  // namespace remora::xds::translate
