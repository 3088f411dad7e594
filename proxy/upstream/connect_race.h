// Connects to a host that has several addresses: one after the other, each as soon as the one
// before has failed or has been at it for 300 ms, and the first that connects serves (happy
// eyeballs, RFC 8305). Owned by who owns the connection, beside it; that worker's thread. Document:
// envoy.config.cluster.v3.UpstreamConnectionOptions.HappyEyeballsConfig.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/base/timer_wheel.h"
#include "proxy/event/fd_event.h"
#include "proxy/net/address.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/host_set.h"

namespace remora::upstream {

class Cluster;

/// Begins to connect `connection`, whose socket Cluster::open_socket() made for `host`. Null: the
/// host has one address and there is no race; otherwise the race ends when what it gives is
/// destroyed, which comes before the connection is closed.
class ConnectRace;
std::unique_ptr<ConnectRace> begin_connecting(Cluster& cluster, Connection& connection,
                                              const Host& host, int error);

class ConnectRace {
 public:
  /// `connection` owns the socket that connects to the first address, with `error` so far, but has
  /// not begun; it begins with the one that wins, or with the failure of the last.
  ConnectRace(Cluster& cluster, Connection& connection, const Host& host, int error,
              uint64_t timeout_ms);
  ~ConnectRace();

 private:
  class Attempt;

  void on_next();
  void on_timeout();
  void try_next();
  void finished(Attempt& attempt, int error);
  void end(const Attempt& with, int error);

  Cluster& cluster_;
  Connection& connection_;
  const Host& host_;  // the owner of the connection keeps it
  std::vector<Address> addresses_;
  size_t next_ = 0;
  bool over_ = false;
  MonotonicMs deadline_;  // 0: none
  std::vector<std::unique_ptr<Attempt>> attempts_;
  Timer next_timer_;
  Timer timeout_;
};

}  // namespace remora::upstream
