// A worker: one thread with its loop, its clusters, its route tables and its half of every listener. Built on the main
// thread; from start() on only its own thread touches it, told what to do by ConfigUpdates. Owned by the Server.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "proxy/base/string_map.h"
#include "proxy/connection_manager/stream_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/mailbox.h"
#include "proxy/net/listener.h"
#include "proxy/router/route_tables.h"
#include "proxy/server/config_update.h"
#include "proxy/stats/store.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/worker_context.h"

namespace remora::server {

/// What all workers share and only count on: plain atomics.
struct WorkerShared {
  std::atomic<uint64_t> downstream_connections{0};
  uint64_t max_downstream_connections = UINT64_MAX;
};

class Worker final : private ListenerDirectory {
 public:
  Worker(uint32_t index, uint64_t seed, uint64_t drain_time_ms, stats::Store& stats, WorkerShared& shared);
  ~Worker();

  void start();
  /// Any thread.
  void post(ConfigUpdate update) { mailbox_.post(std::move(update)); }
  /// After Shutdown was posted.
  void join();

 private:
  void run();
  static void on_update(void* self, ConfigUpdate&& update);
  void apply(SetCluster&& update);
  void apply(SetHosts&& update);
  void apply(RemoveCluster&& update);
  void apply(SetRoutes&& update);
  void apply(RemoveRoutes&& update);
  void apply(SetListener&& update);
  void apply(RemoveListener&& update);
  void apply(Drain&& update);
  void apply(Shutdown&& update);
};

}  // namespace remora::server
