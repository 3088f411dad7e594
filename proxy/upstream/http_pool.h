// Per-worker pool of HTTP connections to one host. Owned by its Cluster; streams hold what acquire() gave them.
// acquire() never calls back into its caller: it answers at once or keeps the caller waiting.
// Thread: the worker's. CONTRACT (additive).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "proxy/http/codec.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/host_set.h"

namespace remora::upstream {

class Cluster;
class HttpPool;

enum class PoolFailure : uint8_t {
  Overflow,         // circuit breaker: max_pending_requests, max_connections or max_requests
  ConnectFailed,    // refused, unreachable, handshake
  ConnectTimeout,
  ClusterGone,      // removed while waiting
};

/// A pooled connection with a codec; lives until it is closed and its streams are over.
class HttpConnection {
 public:
  /// Opens a stream; only on a connection that acquire() or on_pool_ready() just gave. The request counts as active
  /// (host, cluster, breaker) until the stream ends; the pool takes the connection back by itself then.
  virtual http::StreamSender& new_stream(http::StreamReceiver& response) = 0;
  virtual const HostPtr& host() const = 0;
  virtual Connection& connection() = 0;
  /// Streams opened on it before this one: 0 means a fresh connection.
  virtual uint64_t streams_before() const = 0;

 protected:
  ~HttpConnection() = default;
};

/// Who waits for a connection. Exactly one of the two is called, from the loop.
class HttpPoolWaiter {
 public:
  virtual void on_pool_ready(HttpConnection& connection) = 0;
  virtual void on_pool_failure(PoolFailure failure, std::string_view detail, const HostPtr& host) = 0;

 protected:
  ~HttpPoolWaiter() = default;
};

/// A place in the queue; destroying it cancels.
class PendingRequest {
 public:
  virtual ~PendingRequest() = default;
};

struct Acquired {
  HttpConnection* ready = nullptr;            // use it now
  std::unique_ptr<PendingRequest> pending;    // wait
  PoolFailure failure = PoolFailure::Overflow;  // when neither
};

}  // namespace remora::upstream
