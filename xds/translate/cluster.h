// Clusters. Document: envoy.config.cluster.v3.Cluster. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "api/cluster.pb.h"
#include "proxy/upstream/cluster_config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// A resource by itself; errors begin with a path inside it.
absl::StatusOr<std::shared_ptr<const upstream::ClusterConfig>> cluster(
    const envoy::config::cluster::v3::Cluster& proto, Context& context);

}  // namespace remora::xds::translate
