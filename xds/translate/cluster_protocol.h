// How a cluster's connections speak: HTTP versions and limits, buffers, sockets and limits on their
// number. Part of the translation of clusters.
#pragma once

#include <absl/status/status.h>

#include "api/cluster.pb.h"
#include "proxy/upstream/cluster_config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::Status set_protocol(const envoy::config::cluster::v3::Cluster& proto, Context& context,
                          upstream::ClusterConfig* out, const Path& path);

absl::Status set_connections(const envoy::config::cluster::v3::Cluster& proto, Context& context,
                             upstream::ClusterConfig* out, const Path& path);

absl::Status set_circuit_breakers(const envoy::config::cluster::v3::Cluster& proto,
                                  upstream::ClusterConfig* out, const Path& path);

}  // namespace remora::xds::translate
