// Subsets of a cluster's hosts: lb_subset_config, and the policy that says the same. Documents:
// envoy.config.cluster.v3.Cluster.LbSubsetConfig,
// envoy.extensions.load_balancing_policies.subset.v3.Subset. Pure functions; main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "api/cluster.pb.h"
#include "api/lb_subset.pb.h"
#include "proxy/upstream/subset_config.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// Null: without selectors there are no subsets, whatever else it says.
absl::StatusOr<std::shared_ptr<const upstream::SubsetConfig>> subset_config(
    const envoy::config::cluster::v3::Cluster::LbSubsetConfig& from, const Path& path);
absl::StatusOr<std::shared_ptr<const upstream::SubsetConfig>> subset_config(
    const envoy::extensions::load_balancing_policies::subset::v3::Subset& from, const Path& path);

}  // namespace remora::xds::translate
