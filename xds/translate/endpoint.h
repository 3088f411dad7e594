// Endpoints of a cluster, from EDS or from inside the cluster.
// Document: envoy.config.endpoint.v3.ClusterLoadAssignment. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include "api/endpoint.pb.h"
#include "proxy/upstream/cluster_config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// Whether an endpoint's address must be an IP literal or may be a name to look up.
enum class EndpointNames { Literal, Resolved };

/// A resource by itself, as EDS brings it: looks for unknown fields too.
absl::StatusOr<upstream::LoadAssignment> assignment(
    const envoy::config::endpoint::v3::ClusterLoadAssignment& proto, Context& context);

/// One that stands inside a cluster, at `path`.
absl::StatusOr<upstream::LoadAssignment> load_assignment(
    const envoy::config::endpoint::v3::ClusterLoadAssignment& proto, EndpointNames names,
    Context& context, const Path& path);

}  // namespace remora::xds::translate
