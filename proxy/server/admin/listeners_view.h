// /listeners: name and bound address of every active listener, as Envoy's text or JSON. Main thread
// only.
#pragma once

#include "proxy/server/admin/admin.h"
#include "proxy/server/listener_manager.h"

namespace remora::server {

AdminResponse listeners_view(const ListenerManager& listeners, const AdminRequest& request);

}  // namespace remora::server
