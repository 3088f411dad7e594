// Upstream TCP connections for tcp_proxy: one downstream, one upstream connection, given away for
// good. Thread: the worker's. CONTRACT (additive).
#pragma once

#include <memory>
#include <string_view>

#include "proxy/net/connection.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/http_pool.h"

namespace remora::upstream {

/// A TCP connection with its accounting (host and cluster gauges, breaker) bound to its life.
class TcpConnection {
 public:
  virtual ~TcpConnection() = default;    // closes (NoFlush) if still open, gives the counts back
  virtual Connection& connection() = 0;  // set_handler() it at once
  virtual const HostPtr& host() const = 0;
  /// Adds the bytes moved since the last call to the cluster's counters; call it from on_data() and
  /// on_written().
  virtual void count_bytes() = 0;
};

class TcpWaiter {
 public:
  /// The connection stands; bytes that came with it are delivered after this returns.
  virtual void on_tcp_ready(std::unique_ptr<TcpConnection> connection) = 0;
  virtual void on_tcp_failure(PoolFailure failure, std::string_view detail,
                              const HostPtr& host) = 0;

 protected:
  ~TcpWaiter() = default;
};

struct TcpAcquired {
  std::unique_ptr<PendingRequest> pending;  // null: failed at once
  PoolFailure failure = PoolFailure::Overflow;
};

}  // namespace remora::upstream
