// Network and listener filters: what a filter is asked, and what it may ask of its connection. A
// filter is made per connection from an immutable factory compiled once on the main thread.
// CONTRACT.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/net/config_source.h"
#include "proxy/net/connection.h"
#include "proxy/net/connection_facts.h"

namespace remora {

class WorkerContext;  // proxy/upstream/worker_context.h: the thread's loop, clusters, stats index

/// What a network filter may ask of the downstream connection it sits on.
class NetworkFilterContext {
 public:
  virtual Connection& connection() = 0;
  virtual ConnectionFacts& facts() = 0;
  virtual WorkerContext& worker() = 0;
  /// After StopIteration: hands what is buffered to the filters behind the caller.
  virtual void continue_reading() = 0;
  /// Text for %CONNECTION_TERMINATION_DETAILS% and the listener's log.
  virtual void set_termination_details(std::string_view details) = 0;
  virtual std::string_view termination_details() const { return {}; }
  /// This filter chain is being replaced or removed: true until the connection is gone.
  virtual bool draining() const = 0;

 protected:
  ~NetworkFilterContext() = default;
};

class NetworkFilter {
 public:
  enum class Status : uint8_t { Continue, StopIteration };

  virtual ~NetworkFilter() = default;
  /// In chain order, once the transport is ready (or at accept for server-first protocols over
  /// plain TCP).
  virtual Status on_new_connection() { return Status::Continue; }
  /// Bytes from the client. The last filter of a chain consumes them; the others look and pass on.
  virtual Status on_data(Buffer& /*data*/, bool /*end_stream*/) { return Status::Continue; }
  virtual void on_closed(CloseCause /*cause*/) {}
  /// The last filter of a chain only: bytes went out to the client. Must not close the connection
  /// at once (NoFlush, Abort).
  virtual void on_written(size_t bytes) {}
  virtual void on_write_high_water() {}
  virtual void on_write_low_water() {}
  /// The chain or the whole server begins to drain: finish politely (HTTP: connection: close).
  virtual void on_drain() {}
};

class NetworkFilterFactory {
 public:
  virtual ~NetworkFilterFactory() = default;
  virtual std::unique_ptr<NetworkFilter> make(NetworkFilterContext& context) const = 0;
  /// True for the last filter of a chain (tcp_proxy, HTTP connection manager).
  virtual bool terminal() const = 0;
  /// Route configurations that RDS brings: the listener warms until they have come.
  virtual std::vector<ResourceRef> route_configs() const { return {}; }
};

/// What a listener filter may look at: the socket before the filter chain is chosen.
class ListenerFilterContext {
 public:
  virtual int fd() = 0;
  virtual ConnectionFacts& facts() = 0;
  virtual EventLoop& loop() = 0;
  /// Index of this thread's slabs of statistics.
  virtual uint32_t worker_index() const = 0;
  /// From on_peek() only, and as the last thing there: takes `bytes` that it was shown off the
  /// socket, so that nobody sees them again. False: the socket would not give them; reject.
  virtual bool consume(size_t bytes) = 0;

 protected:
  ~ListenerFilterContext() = default;
};

class ListenerFilter {
 public:
  enum class Status : uint8_t {
    Done,      // go on with the next filter
    NeedData,  // call on_peek() when more bytes wait in the socket
    Reject,    // close the connection
  };
  virtual ~ListenerFilter() = default;
  virtual Status on_accept(ListenerFilterContext& context) = 0;
  /// Bytes waiting in the socket (MSG_PEEK), from the first on; at most max_peek_bytes() of them.
  virtual Status on_peek(ListenerFilterContext& /*context*/, std::string_view /*bytes*/) {
    return Status::Done;
  }
  virtual size_t max_peek_bytes() const { return 0; }
  /// After NeedData: how many bytes have to wait before on_peek() can say more. It is not called
  /// for fewer where the kernel can tell, so that a client which sends a byte at a time costs no
  /// more than one which does not.
  virtual size_t wanted_bytes() const { return 1; }
};

class ListenerFilterFactory {
 public:
  virtual ~ListenerFilterFactory() = default;
  virtual std::unique_ptr<ListenerFilter> make() const = 0;
  /// filter_disabled predicate (always false when none is configured).
  virtual bool disabled_for(const ConnectionFacts& /*facts*/) const { return false; }
};

}  // namespace remora
