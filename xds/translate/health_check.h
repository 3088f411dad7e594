// Active health checks of a cluster and where its endpoints want to be asked. Documents:
// envoy.config.core.v3.HealthCheck, envoy.config.endpoint.v3.Endpoint.HealthCheckConfig. Pure
// functions; main thread.
#pragma once

#include <absl/status/status.h>

#include "api/cluster.pb.h"
#include "api/endpoint.pb.h"
#include "proxy/upstream/cluster_config.h"
#include "xds/translate/context.h"

namespace remora::xds::translate {

absl::Status set_health_checks(const envoy::config::cluster::v3::Cluster& cluster, Context& context,
                               upstream::ClusterConfig* out, const Path& path);

absl::Status set_check_address(const envoy::config::endpoint::v3::Endpoint::HealthCheckConfig& from,
                               upstream::EndpointConfig* out, const Path& path);

}  // namespace remora::xds::translate
