// A worker: one thread with its loop, its clusters, its route tables and its half of every
// listener. Built on the main thread; from start() on only its own thread touches it, told what to
// do by ConfigUpdates. Owned by the Server.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "proxy/connection_manager/request_stream.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/mailbox.h"
#include "proxy/net/listener_set.h"
#include "proxy/router/route_tables.h"
#include "proxy/server/config_update.h"
#include "proxy/server/options.h"
#include "proxy/server/trust_check.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/worker_context.h"

namespace remora::server {

/// What a worker is built with.
struct WorkerSettings {
  uint32_t index = 0;
  uint64_t random_seed = 0;
  uint64_t drain_time_ms = 600'000;
  bool gradual_drain = true;
  ConnectionLimit* connection_limit = nullptr;             // shared by all workers
  const std::atomic<bool>* health_check_failed = nullptr;  // likewise; the main thread writes it
  std::string local_cluster;  // that this process is part of; empty: none
  upstream::Locality here;
};

class Worker {
 public:
  explicit Worker(const WorkerSettings& settings);
  ~Worker();

  void start();
  /// Any thread. Messages posted before start() are applied first thing.
  void post(ConfigUpdate update) { mailbox_.post(std::move(update)); }
  /// After Shutdown was posted.
  void join();

 private:
  static void on_update(void* self, ConfigUpdate&& update);
  void apply(SetCluster&& update);
  void apply(SetHosts&& update);
  void apply(RemoveCluster&& update);
  void apply(SetRoutes&& update);
  void apply(RemoveRoutes&& update);
  void apply(SetListener&& update);
  void apply(RemoveListener&& update);
  void apply(SetTlsContext&& update);
  void apply(Drain&& update);
  void apply(DeliverKeys&& update);
  void apply(DeliverName&& update);
  void apply(ForgetName&& update);
  void apply(Shutdown&& update);

  // In order of construction; destruction runs backwards, connections before pools before the loop.
  EventLoop loop_;
  WorkerContext context_;
  connection_manager::StreamPool streams_;
  router::RouteTables routes_;
  upstream::ClusterMap clusters_;
  ListenerSet listeners_;
  TrustCheck trust_check_;
  Mailbox<ConfigUpdate> mailbox_;
  std::thread thread_;
};

}  // namespace remora::server
