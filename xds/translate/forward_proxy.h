// The cluster of a dynamic forward proxy. Main thread.
#pragma once

#include <absl/status/status.h>

#include <string>

#include "api/cluster.pb.h"
#include "proxy/upstream/balancing_config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// `bytes`: of an envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig.
absl::Status set_forward_proxy(const std::string& bytes, Context& context,
                               upstream::BalancingConfig* out, const Path& path);

/// What the rest of such a cluster must and must not say; nothing for other clusters.
absl::Status check_forward_proxy(const envoy::config::cluster::v3::Cluster& cluster,
                                 Context& context, upstream::ClusterConfig* out, const Path& path);

}  // namespace remora::xds::translate
