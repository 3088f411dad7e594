// Compiled values back to xDS messages, for the admin answers that Envoy gives as messages. Main
// thread only.
#pragma once

#include "api/core.pb.h"
#include "api/endpoint.pb.h"
#include "proxy/net/address.h"
#include "proxy/server/cluster_manager.h"

namespace remora::server {

void to_message(const Address& address, envoy::config::core::v3::Address* out);
void to_message(const upstream::Locality& locality, envoy::config::core::v3::Locality* out);
/// The hosts a cluster has now, as the assignment that would give them.
envoy::config::endpoint::v3::ClusterLoadAssignment assignment_message(
    const ManagedCluster& cluster);

}  // namespace remora::server
