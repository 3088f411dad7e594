// The process: builds everything from options and bootstrap, brings it up in order, runs the main loop, and takes it
// down. Owned by main(); main thread only. Order of start-up: static clusters, CDS and its endpoints, static listeners
// and LDS with their routes, workers.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "proxy/event/event_loop.h"
#include "proxy/http/filter_registry.h"
#include "proxy/server/admin/admin.h"
#include "proxy/server/admin/admin_listener.h"
#include "proxy/server/cluster_manager.h"
#include "proxy/server/lifecycle.h"
#include "proxy/server/listener_manager.h"
#include "proxy/server/options.h"
#include "proxy/server/publisher.h"
#include "proxy/server/route_manager.h"
#include "proxy/server/signals.h"
#include "proxy/server/worker.h"
#include "proxy/server/xds_hub.h"
#include "xds/translate/bootstrap.h"

namespace remora::server {

class Server final : private Publisher {
 public:
  /// Fails when the bootstrap cannot be honoured: the text says which resource, field and why.
  static absl::StatusOr<std::unique_ptr<Server>> create(const Options& options, const FilterRegistries& registries);
  ~Server();

  /// Runs until told to stop; answers the exit status.
  int run();

 private:
  struct Parts;
};

}  // namespace remora::server
