// Holds a thread's TLS connections against the rules of now, after those have changed: a connection
// lives as long as what its peer has proved. Those that would be refused are told to finish, and
// closed when the time for that is over. Owned by the Worker (and by the Server, for the main
// thread's upstream connections); its thread only.
#pragma once

#include "proxy/base/timer_wheel.h"
#include "proxy/net/listener_set.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/worker_context.h"

namespace remora::server {

class TrustCheck {
 public:
  /// How long a connection whose peer is no longer trusted may take to finish.
  static constexpr uint64_t kGraceMs = 5000;

  /// `listeners`: null on a thread that has none.
  TrustCheck(WorkerContext& worker, upstream::ClusterMap& clusters, ListenerSet* listeners);

  /// The rules have changed.
  void start();

 private:
  void on_grace_over();

  WorkerContext& worker_;
  upstream::ClusterMap& clusters_;
  ListenerSet* const listeners_;
  Timer timer_;
  MonotonicMs last_change_ms_ = 0;
};

}  // namespace remora::server
