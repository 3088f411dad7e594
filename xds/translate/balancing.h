// How a cluster chooses among its hosts: lb_policy with what belongs to it, or the first policy of
// load_balancing_policy that is known. Documents: envoy.config.cluster.v3.Cluster,
// envoy.extensions.load_balancing_policies. Pure functions; main thread.
#pragma once

#include <absl/status/status.h>

#include "api/cluster.pb.h"
#include "proxy/upstream/cluster_config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// `out` knows its discovery already.
absl::Status set_balancing(const envoy::config::cluster::v3::Cluster& cluster, Context& context,
                           upstream::ClusterConfig* out, const Path& path);

}  // namespace remora::xds::translate
