// /config_dump: what every manager holds, as Envoy's ConfigDump messages in JSON. Main thread only.
// Document: envoy.admin.v3.ConfigDump.
#pragma once

#include <string>

#include "api/bootstrap.pb.h"
#include "proxy/server/admin/admin.h"
#include "proxy/server/cluster_manager.h"
#include "proxy/server/kept_message.h"
#include "proxy/server/listener_manager.h"
#include "proxy/server/route_manager.h"
#include "proxy/server/secret_manager.h"

namespace remora::server {

struct DumpSources {
  const Kept<envoy::config::bootstrap::v3::Bootstrap>& bootstrap;
  WallNs started_at;
  const ClusterManager& clusters;
  const ListenerManager& listeners;
  const RouteManager& routes;
  const SecretManager& secrets;
};

/// Honours ?resource=FIELD (one repeated field of a dump), ?mask=PATHS, ?include_eds, ?name_regex=.
AdminResponse config_dump(const DumpSources& sources, const AdminRequest& request);

}  // namespace remora::server
