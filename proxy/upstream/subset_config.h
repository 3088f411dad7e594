// Subsets of a cluster's hosts by what their metadata says (name space envoy.lb), as configured.
// Immutable. Documents: envoy.config.cluster.v3.Cluster.LbSubsetConfig and
// envoy.extensions.load_balancing_policies.subset.v3.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/metadata.h"

namespace remora::upstream {

/// Where a request goes that asks for what no subset has.
enum class SubsetFallback : uint8_t { None, AnyHost, DefaultSubset };

/// For every combination of values that hosts have under all of `keys` there is a subset.
struct SubsetSelector {
  enum class Fallback : uint8_t {
    ByCluster,  // as SubsetConfig::fallback says
    None,
    AnyHost,
    DefaultSubset,
    FewerKeys  // the same again, asked for fallback_keys only
  };
  std::vector<std::string> keys;  // sorted, none twice
  Fallback fallback = Fallback::ByCluster;
  std::vector<std::string> fallback_keys;  // sorted; some of `keys`, not all
  bool single_host = false;                // of each subset only one host is used
};

struct SubsetConfig {
  SubsetFallback fallback = SubsetFallback::None;
  MetadataStruct default_subset;  // hosts with all of these
  std::vector<SubsetSelector> selectors;
  bool locality_weight_aware = false;  // otherwise subsets forget the weights of localities
  bool scale_locality_weight = false;  // by the part of a locality's hosts that is in the subset
  bool panic_mode_any = false;         // where the fallback has no host either, any host will do
  bool list_as_any = false;            // a host with a list has each of its elements
  bool tries_fallback_list = false;    // the request's fallback_list has what to ask for in turn
};

}  // namespace remora::upstream
