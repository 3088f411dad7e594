// Who gets which connection: ready ones first, then a queue for those being made. See the header.
#include "proxy/upstream/http_pool.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "proxy/net/connection_facts.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/pooled_http.h"

namespace remora::upstream {

using stats::ClusterStat;

namespace {

/// What outlives the downstream connection: what a transport may tell of it.
std::unique_ptr<const ConnectionFacts> copy_of(const ConnectionFacts& facts) {
  auto copy = std::make_unique<ConnectionFacts>();
  copy->local = facts.local;
  copy->direct_local = facts.direct_local;
  copy->remote = facts.remote;
  copy->direct_remote = facts.direct_remote;
  if (const std::string* extensions = facts.filter_state.find(kProxyProtocolExtensions)) {
    copy->filter_state.set(kProxyProtocolExtensions, *extensions);
  }
  return copy;
}

}  // namespace

/// A place in the queue. Owned by who waits; `pool_` is null once it was called or the pool is no
/// more.
class HttpPool::Waiting final : public PendingRequest, public ListLink {
 public:
  Waiting(HttpPool& pool, HttpPoolWaiter& waiter, bool fresh)
      : pool_(&pool), waiter_(waiter), fresh_(fresh) {}
  ~Waiting() override {
    if (pool_ == nullptr) return;
    HttpPool& pool = *pool_;
    pool.cluster().stats().inc(ClusterStat::upstream_rq_cancelled);
    pool.leave_queue(*this);
    pool.maybe_gone();
  }

 private:
  friend class HttpPool;
  HttpPool* pool_;
  HttpPoolWaiter& waiter_;
  bool fresh_;
};

HttpPool::HttpPool(Cluster& cluster, HostPtr host, Priority priority, HttpProtocol protocol,
                   const ConnectionNeeds& needs)
    : cluster_(cluster),
      host_(std::move(host)),
      priority_(priority),
      protocol_(protocol),
      key_(needs.key),
      server_name_(needs.server_name),
      required_san_(needs.required_san),
      downstream_(needs.downstream == nullptr ? nullptr : copy_of(*needs.downstream)) {}

HttpPool::~HttpPool() {
  gone_ = true;
  while (!waiting_.empty()) leave_queue(waiting_.front());
  close_connections();
  cluster_.shared().counts(priority_).release(Resource::Pools);
}

Acquired HttpPool::acquire(const HostPtr& host, HttpPoolWaiter& waiter, bool fresh) {
  if (host_ != host) host_ = host;
  const CircuitBreakerThresholds& limits = cluster_.config().thresholds(priority_);
  ResourceCounts& counts = cluster_.shared().counts(priority_);
  Acquired acquired;
  const bool overdue = !ready_.empty() && ready_.front().overdue();
  if (!ready_.empty() && waiting_.empty() && !fresh && !overdue) {
    if (counts.at_limit(Resource::Requests, limits.max_requests)) {
      cluster_.stats().inc(ClusterStat::upstream_rq_active_overflow);
      return acquired;
    }
    acquired.ready = &ready_.front();
    if (connects_ahead()) connect_ahead(1);
    return acquired;
  }
  if (!counts.try_take(Resource::Pending, limits.max_pending_requests)) {
    cluster_.stats().inc(ClusterStat::upstream_rq_pending_overflow);
    return acquired;
  }
  cluster_.stats().inc(ClusterStat::upstream_rq_pending_total);
  cluster_.stats().inc(ClusterStat::upstream_rq_pending_active);
  auto waiting = std::make_unique<Waiting>(*this, waiter, fresh);
  waiting_.push_back(*waiting);
  ++waiting_count_;
  if (fresh) ++fresh_waiting_count_;
  acquired.pending = std::move(waiting);
  if (overdue) retire_overdue();
  if (!fresh && connects_ahead()) {
    connect_ahead(0);
  } else {
    connect_for_waiting();
  }
  return acquired;
}

/// The connection that was used last is the first to look at: what is behind it waits longer.
void HttpPool::retire_overdue() {
  while (!ready_.empty() && ready_.front().overdue()) ready_.front().retire();
  if (!ready_.empty()) cluster_.loop().at_end_of_turn(*this);
}

void HttpPool::leave_queue(Waiting& waiting) {
  waiting.unlink();
  waiting.pool_ = nullptr;
  --waiting_count_;
  if (waiting.fresh_) --fresh_waiting_count_;
  cluster_.stats().dec(ClusterStat::upstream_rq_pending_active);
  cluster_.shared().counts(priority_).release(Resource::Pending);
}

// --- connections ---

size_t HttpPool::connections_wanted() const {
  const size_t any = waiting_count_ - fresh_waiting_count_;
  const size_t ready = any == 0 || ready_.empty() ? 0 : ready_.count();
  return fresh_waiting_count_ + (any > ready ? any - ready : 0);
}

void HttpPool::connect_for_waiting() {
  while (connections_wanted() > connecting_capacity_) {
    if (may_connect()) {
      connect();
      continue;
    }
    // Better any connection than none.
    waiting_.for_each([](Waiting& waiting) { waiting.fresh_ = false; });
    if (std::exchange(fresh_waiting_count_, 0) == 0) return;
    if (!ready_.empty()) cluster_.loop().at_end_of_turn(*this);
  }
}

bool HttpPool::may_connect() {
  const CircuitBreakerThresholds& limits = cluster_.config().thresholds(priority_);
  ResourceCounts& counts = cluster_.shared().counts(priority_);
  const auto take = [&] {
    return host_->counters.cx_active.load(std::memory_order_relaxed) <
               limits.max_connections_per_host &&
           counts.try_take(Resource::Connections, limits.max_connections);
  };
  if (take()) return true;
  if (watched_ != nullptr) {
    watched_->close();
    if (take()) return true;
  }
  cluster_.stats().inc(ClusterStat::upstream_cx_overflow);
  // With no connection at all those who wait would wait for ever: always allow one.
  if (!connecting_.empty() || !ready_.empty() || !busy_.empty()) return false;
  counts.take(Resource::Connections);
  return true;
}

void HttpPool::connect() {
  int error = 0;
  Socket socket = cluster_.open_socket(*host_, &error);
  auto* connection = new PooledHttp(*this, host_, std::move(socket), error);
  connecting_.push_back(*connection);
  connecting_capacity_ += connection->expected_capacity();
}

void HttpPool::connecting_over(const PooledHttp& connection) {
  connecting_capacity_ -= connection.expected_capacity();
}

void HttpPool::place(PooledHttp& connection) {
  if (connection.ready()) {
    ready_.push_front(connection);
    if (!waiting_.empty()) cluster_.loop().at_end_of_turn(*this);
    if (!connection.idle()) return;
    if (draining_ && waiting_.empty()) {
      connection.close();
    } else {
      connection.start_idling();
    }
    return;
  }
  busy_.push_back(connection);
  if (connection.idle() && &connection != watched_) connection.close();
}

bool HttpPool::watch(PooledHttp& connection) {
  if (watched_ != nullptr || draining_) return false;
  watched_ = &connection;
  busy_.push_back(connection);
  return true;
}

bool HttpPool::unwatch(const PooledHttp& connection) {
  if (watched_ != &connection) return false;
  watched_ = nullptr;
  return true;
}

void HttpPool::connection_gone() {
  if (!waiting_.empty()) cluster_.loop().at_end_of_turn(*this);
  maybe_gone();
}

// --- the queue ---

void HttpPool::end_of_turn() {
  serve_waiting();
  connect_for_waiting();
  maybe_gone();
}

void HttpPool::serve_waiting() {
  if (fresh_waiting_count_ > 0) serve_fresh();
  while (waiting_count_ > fresh_waiting_count_ && !ready_.empty()) {
    Waiting* next = &waiting_.front();
    if (next->fresh_) {
      next = nullptr;
      waiting_.for_each([&](Waiting& one) {
        if (!one.fresh_ && next == nullptr) next = &one;
      });
    }
    serve(*next, ready_.front());
  }
}

/// Those who may have none but a fresh connection come first when there is one.
void HttpPool::serve_fresh() {
  while (fresh_waiting_count_ > 0) {
    PooledHttp* fresh = nullptr;
    ready_.for_each([&](PooledHttp& connection) {
      if (connection.streams_before() == 0) fresh = &connection;
    });
    if (fresh == nullptr) return;
    Waiting* first = nullptr;
    waiting_.for_each([&](Waiting& waiting) {
      if (waiting.fresh_ && first == nullptr) first = &waiting;
    });
    serve(*first, *fresh);
  }
}

void HttpPool::serve(Waiting& waiting, PooledHttp& connection) {
  const CircuitBreakerThresholds& limits = cluster_.config().thresholds(priority_);
  HttpPoolWaiter& waiter = waiting.waiter_;
  leave_queue(waiting);
  if (cluster_.shared().counts(priority_).at_limit(Resource::Requests, limits.max_requests)) {
    cluster_.stats().inc(ClusterStat::upstream_rq_active_overflow);
    waiter.on_pool_failure(PoolFailure::Overflow, {}, host_);
  } else {
    waiter.on_pool_ready(connection);
  }
}

void HttpPool::connect_failed(PoolFailure failure, std::string_view detail, const HostPtr& host) {
  // Those who ask again while they are told queue behind and get a connection of their own.
  IntrusiveList<Waiting> told;
  told.take_all(waiting_);
  while (!told.empty()) {
    Waiting& next = told.front();
    HttpPoolWaiter& waiter = next.waiter_;
    leave_queue(next);
    cluster_.stats().inc(ClusterStat::upstream_rq_pending_failure_eject);
    waiter.on_pool_failure(failure, detail, host);
  }
}

// --- the end ---

void HttpPool::drain() {
  if (std::exchange(draining_, true)) return;
  while (!ready_.empty()) ready_.front().drain();
  if (watched_ != nullptr) watched_->close();
  busy_.for_each([](PooledHttp& connection) { connection.take_no_more(); });
  if (!waiting_.empty())
    cluster_.loop().at_end_of_turn(*this);  // served by ready ones a moment ago
  if (waiting_.empty()) {
    while (!connecting_.empty()) connecting_.front().close();
  }
  maybe_gone();
}

void HttpPool::close_connections() {
  for (auto* list : {&ready_, &busy_, &connecting_}) {
    while (!list->empty()) list->front().close();
  }
}

void HttpPool::end_connections(TransportCondition condition, Ending how) {
  std::vector<PooledHttp*> chosen;
  const auto choose = [&](PooledHttp& connection) {
    if (condition(connection.connection().transport())) chosen.push_back(&connection);
  };
  ready_.for_each(choose);
  busy_.for_each(choose);
  if (how == Ending::AtOnce) connecting_.for_each(choose);
  for (PooledHttp* connection : chosen) {
    if (connection->connection().closing()) continue;
    if (how == Ending::AtOnce) {
      connection->close();
    } else {
      connection->drain();
    }
  }
}

bool HttpPool::empty() const {
  return waiting_count_ == 0 && connecting_.empty() && ready_.empty() && busy_.empty();
}

void HttpPool::maybe_gone() {
  if (gone_ || !empty() || (!draining_ && key_.empty())) return;
  gone_ = true;
  cluster_.pool_gone(*this);
}

}  // namespace remora::upstream
