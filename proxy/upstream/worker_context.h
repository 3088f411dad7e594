// What a worker lends to its connections, streams and filters: the loop, the clusters, its index
// among the stats' slabs, random numbers. One per worker (and one on the main thread, for the
// control client); owned by the Worker. CONTRACT (additive).
#pragma once

#include <cstdint>

#include "proxy/event/event_loop.h"

namespace remora {

namespace upstream {
class ClusterMap;
}
namespace router {
class RouteTables;
}
namespace connection_manager {
class StreamPool;
}

class WorkerContext {
 public:
  WorkerContext(EventLoop& loop, uint32_t index, uint64_t seed)
      : loop_(loop), index_(index), random_state_(seed | 1) {}

  EventLoop& loop() { return loop_; }
  TimerWheel& timers() { return loop_.timers(); }
  BlockPool& blocks() { return loop_.blocks(); }
  /// 0..N-1 for workers, N for the main thread: index of the stats slabs.
  uint32_t index() const { return index_; }

  upstream::ClusterMap& clusters() { return *clusters_; }
  void set_clusters(upstream::ClusterMap& clusters) { clusters_ = &clusters; }
  /// Route tables that RDS keeps up to date, by name.
  router::RouteTables& routes() { return *routes_; }
  void set_routes(router::RouteTables& routes) { routes_ = &routes; }
  /// Request streams that wait to be used again.
  connection_manager::StreamPool& streams() { return *streams_; }
  void set_streams(connection_manager::StreamPool& streams) { streams_ = &streams; }

  /// Fast, not for secrets (xorshift64*).
  uint64_t random() {
    random_state_ ^= random_state_ >> 12;
    random_state_ ^= random_state_ << 25;
    random_state_ ^= random_state_ >> 27;
    return random_state_ * 0x2545F4914F6CDD1Dull;
  }

  /// A time that is longer than `ms` by at most `jitter_ms`.
  uint64_t with_jitter(uint64_t ms, uint64_t jitter_ms) {
    return jitter_ms == 0 ? ms : ms + random() % (jitter_ms + 1);
  }

  /// Next downstream or upstream connection id; unique in the process.
  uint64_t next_connection_id() { return (uint64_t{index_} << 48) | ++last_connection_id_; }

 private:
  EventLoop& loop_;
  uint32_t index_;
  uint64_t random_state_;
  uint64_t last_connection_id_ = 0;
  upstream::ClusterMap* clusters_ = nullptr;
  router::RouteTables* routes_ = nullptr;
  connection_manager::StreamPool* streams_ = nullptr;
};

}  // namespace remora
