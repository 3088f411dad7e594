// How connections to the hosts of a cluster are made: ahead of requests, to which of several
// addresses, to which original destination. Main thread.
#pragma once

#include <absl/status/status.h>

#include "api/cluster.pb.h"
#include "proxy/upstream/balancing_config.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::Status read_host_connections(const envoy::config::cluster::v3::Cluster& cluster,
                                   upstream::BalancingConfig* out, const Path& path);

}  // namespace remora::xds::translate
