// /clusters: every cluster and host with its counters, as Envoy's text or JSON. Main thread only.
#pragma once

#include "proxy/server/admin/admin.h"
#include "proxy/server/cluster_manager.h"

namespace remora::server {

AdminResponse clusters_view(const ClusterManager& clusters, const AdminRequest& request);

}  // namespace remora::server
