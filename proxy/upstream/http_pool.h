// Per-worker pool of HTTP connections to one host. Owned by its Cluster; streams hold what
// acquire() gave them. acquire() never calls back into its caller: it answers at once or keeps the
// caller waiting. Thread: the worker's. CONTRACT (additive).
#pragma once

#include <absl/functional/function_ref.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/intrusive_list.h"
#include "proxy/event/event_loop.h"
#include "proxy/http/codec.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/idle_close.h"

namespace remora::upstream {

class Cluster;
class PooledHttp;

enum class PoolFailure : uint8_t {
  Overflow,       // circuit breaker: max_pending_requests, max_connections or max_requests
  ConnectFailed,  // refused, unreachable, handshake
  ConnectTimeout,
  ClusterGone,  // asked of a cluster that has been removed (a retry); those already waiting are
                // still served
};

/// What one user needs of a connection. Views need live only during the call.
struct ConnectionNeeds {
  /// Users with equal keys may share connections to a host; empty: those that need nothing special.
  std::string_view key = {};
  std::string_view server_name = {};   // as in TransportOptions
  std::string_view required_san = {};  // as in TransportOptions
  std::string_view alpn = {};          // as in TransportOptions; pools say what their codec speaks
  const ConnectionFacts* downstream = nullptr;  // as in TransportOptions
  /// What the downstream speaks, for clusters that follow it; none: nobody asks.
  std::optional<http::Protocol> downstream_protocol = {};
  /// Only a connection that carried nothing yet will do.
  bool fresh = false;
};

/// How connections are ended: after what is in flight, or at once.
enum class Ending : uint8_t { Politely, AtOnce };
/// Picks connections by what they go through.
using TransportCondition = absl::FunctionRef<bool(const Transport&)>;

/// A pooled connection with a codec; lives until it is closed and its streams are over.
class HttpConnection {
 public:
  /// Opens a stream; only on a connection that acquire() or on_pool_ready() just gave. The request
  /// counts as active (host, cluster, breaker) until the stream ends; the pool takes the connection
  /// back by itself then.
  virtual http::StreamSender& new_stream(http::StreamReceiver& response) = 0;
  virtual const HostPtr& host() const = 0;
  virtual Connection& connection() = 0;
  /// Streams opened on it before this one: 0 means a fresh connection.
  virtual uint64_t streams_before() const = 0;
  /// Of a stream that failed without a byte of an answer: whether it is certain that the peer has
  /// processed nothing of its request. unprocessed.h says what is accepted as proof.
  virtual bool unprocessed() const = 0;

 protected:
  ~HttpConnection() = default;
};

/// Who waits for a connection. Exactly one of the two is called, from the loop; destroy the
/// PendingRequest then or earlier. `detail` is Envoy's transport failure reason ("delayed connect
/// error: Connection refused"), or empty.
class HttpPoolWaiter {
 public:
  virtual void on_pool_ready(HttpConnection& connection) = 0;
  virtual void on_pool_failure(PoolFailure failure, std::string_view detail,
                               const HostPtr& host) = 0;

 protected:
  ~HttpPoolWaiter() = default;
};

/// A place in the queue; destroying it cancels.
class PendingRequest {
 public:
  virtual ~PendingRequest() = default;
};

struct Acquired {
  HttpConnection* ready = nullptr;              // use it now
  std::unique_ptr<PendingRequest> pending;      // wait
  PoolFailure failure = PoolFailure::Overflow;  // when neither
};

/// How much is asked of a pool, and how much it has room for; in streams.
struct PoolLoad {
  uint64_t waiting = 0;
  uint64_t active = 0;
  uint64_t room = 0;  // besides, also on connections that are being made
  void add(const PoolLoad& other) {
    waiting += other.waiting;
    active += other.active;
    room += other.room;
  }
  /// Whether it is too little for `ratio` times what is asked, and for `coming` streams more.
  bool wants_more(double ratio, uint64_t coming) const {
    return static_cast<double>(waiting + active + coming) * ratio >
           static_cast<double>(room + active);
  }
};

/// The pool of one host, priority and protocol. Written for any number of streams per connection:
/// a connection is ready while can_take_stream(). The most recently used connection is used first.
class HttpPool final : public Deferrable, private EndOfTurn {
 public:
  /// With `needs` that have a key the pool is for them alone, and goes when it is empty.
  HttpPool(Cluster& cluster, HostPtr host, Priority priority, HttpProtocol protocol,
           const ConnectionNeeds& needs = {});
  ~HttpPool() override;

  Acquired acquire(const HostPtr& host, HttpPoolWaiter& waiter, bool fresh = false);

  /// Idle connections close now, busy ones after their streams; who waits is still served. Then the
  /// cluster lets the pool go.
  void drain();
  /// All connections close now, streams and all.
  void close_connections();
  /// Ends those that `condition` holds for.
  void end_connections(TransportCondition condition, Ending how);
  bool draining() const { return draining_; }
  /// No connection, and nobody waits for one.
  bool empty() const;

  size_t connecting_count() const { return connecting_.count(); }
  size_t ready_count() const { return ready_.count(); }
  size_t busy_count() const { return busy_.count(); }
  size_t waiting_count() const { return waiting_count_; }
  PoolLoad load() const;
  /// Makes a connection for a stream that is likely to come here, unless there is room for `ratio`
  /// times what is asked. Answers whether it did.
  bool connect_for_coming(double ratio);

  const Host& host() const { return *host_; }

  // --- for its connections ---
  Cluster& cluster() { return cluster_; }
  Priority priority() const { return priority_; }
  HttpProtocol protocol() const { return protocol_; }
  /// How many streams at once the host allowed last; what new connections are expected to take.
  uint32_t known_streams() const { return known_streams_; }
  void learn_streams(uint32_t max) { known_streams_ = std::max<uint32_t>(max, 1); }
  /// When the host closes connections that are idle.
  IdleClose& idle_close() { return idle_close_; }
  const std::string& key() const { return key_; }
  ConnectionNeeds needs() const {
    return {key_, server_name_, required_san_, {}, downstream_.get()};
  }
  /// No longer connecting: established or failed.
  void connecting_over(const PooledHttp& connection);
  /// Puts a connected connection where it belongs after a stream began or ended, or closes it.
  void place(PooledHttp& connection);
  void connect_failed(PoolFailure failure, std::string_view detail, const HostPtr& host);
  /// A connection is gone: another may be wanted, or the pool may be empty.
  void connection_gone();
  /// An idle connection asks to be kept out of use, to see when the host closes it. One may.
  bool watch(PooledHttp& connection);
  /// Whether it was that.
  bool unwatch(const PooledHttp& connection);

 private:
  class Waiting;

  void end_of_turn() override;
  void serve_waiting();
  void serve(Waiting& waiting, PooledHttp& connection);
  void serve_fresh();
  void retire_overdue();
  size_t connections_wanted() const;
  void connect_for_waiting();
  bool connects_ahead() const;
  void connect_ahead(uint64_t coming);
  bool may_connect();
  void connect();
  void leave_queue(Waiting& waiting);
  void maybe_gone();

  Cluster& cluster_;
  HostPtr host_;  // the latest that was asked for: a logical host changes its address
  const Priority priority_;
  const HttpProtocol protocol_;
  const std::string key_;
  const std::string server_name_;
  const std::string required_san_;
  const std::unique_ptr<const ConnectionFacts> downstream_;  // of those that the pool is for
  uint32_t known_streams_ = UINT32_MAX;
  IdleClose idle_close_;
  bool draining_ = false;
  bool gone_ = false;
  size_t waiting_count_ = 0;
  size_t fresh_waiting_count_ = 0;  // of them, those that want a fresh connection
  size_t connecting_capacity_ = 0;  // streams that connections being made will have room for
  IntrusiveList<Waiting> waiting_;
  IntrusiveList<PooledHttp> connecting_;
  IntrusiveList<PooledHttp> ready_;
  IntrusiveList<PooledHttp> busy_;  // full, or taking no more streams
  PooledHttp* watched_ = nullptr;   // one of the busy ones, out of use
};

}  // namespace remora::upstream
