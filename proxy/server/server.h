// The process: builds everything from options and bootstrap, brings it up in order, runs the main loop, and takes it
// down. Owned by main(); main thread only. Order of start-up: static clusters, CDS and its endpoints, static listeners
// and LDS with their routes, workers.
#pragma once

#include <memory>
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
#include "proxy/server/server_stats.h"
#include "proxy/server/signals.h"
#include "proxy/server/unknown_fields.h"
#include "proxy/server/worker.h"
#include "proxy/server/xds_hub.h"
#include "xds/translate/bootstrap.h"

namespace remora::server {

class Server final : private Publisher {
 public:
  /// Fails when the bootstrap cannot be honoured: the text says which resource, field and why.
  static absl::StatusOr<std::unique_ptr<Server>> create(const Options& options, const FilterRegistries& registries);
  ~Server();

  /// Runs until told to stop; answers the exit status. With --mode init_only: until initialised.
  int run();

 private:
  Server(const Options& options, const FilterRegistries& registries);

  absl::Status load();
  absl::Status load_static_resources();
  absl::Status open_admin();
  void add_admin_endpoints();
  void subscribe();
  void on_clusters_initialized();
  void on_initialized();

  // Publisher
  size_t workers() const override { return workers_.size(); }
  void post(size_t worker, ConfigUpdate update) override { workers_[worker]->post(std::move(update)); }

  void on_signal(int number);
  /// Stops accepting, lets connections finish, exits when they have or the drain time is over.
  void drain_and_exit();
  void exit_when_drained();
  void exit_now();

  const Options options_;
  const FilterRegistries& registries_;
  Lifecycle lifecycle_;
  EventLoop loop_;
  UnknownFields unknown_fields_;
  xds::translate::BootstrapConfig bootstrap_;
};

}  // namespace remora::server
