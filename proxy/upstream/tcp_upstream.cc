// Connecting, handing over and accounting of upstream TCP connections; see the headers.
#include "proxy/upstream/tcp_upstream.h"

#include <cerrno>
#include <string>
#include <utility>

#include "proxy/upstream/cluster.h"
#include "proxy/upstream/tcp_ahead.h"

namespace remora::upstream {

using stats::ClusterHistogram;
using stats::ClusterStat;

/// How long a connection waits for somebody to want it: Envoy's default for its TCP pools.
constexpr uint64_t kSpareIdleMs = 600'000;

class TcpUpstream::Pending final : public PendingRequest {
 public:
  explicit Pending(TcpUpstream& upstream) : upstream_(&upstream) { upstream.pending_ = this; }
  ~Pending() override {
    if (upstream_ == nullptr) return;
    TcpUpstream& upstream = *std::exchange(upstream_, nullptr);
    upstream.pending_ = nullptr;
    upstream.cluster_->stats().inc(ClusterStat::upstream_rq_cancelled);
    upstream.stop_waiting();
    upstream.abandon();
  }

 private:
  friend class TcpUpstream;
  TcpUpstream* upstream_;
};

class TcpUpstream::Handle final : public TcpConnection {
 public:
  explicit Handle(TcpUpstream& upstream) : upstream_(upstream) {}
  ~Handle() override { upstream_.abandon(); }
  Connection& connection() override { return upstream_.connection_; }
  const HostPtr& host() const override { return upstream_.host_; }
  void count_bytes() override { upstream_.count_bytes(); }

 private:
  TcpUpstream& upstream_;
};

TcpUpstream& TcpUpstream::start(Cluster& cluster, HostPtr host, const ConnectionNeeds& needs) {
  int error = 0;
  Socket socket = cluster.open_socket(*host, &error);
  return *new TcpUpstream(cluster, std::move(host), std::move(socket), error, needs);
}

TcpUpstream::TcpUpstream(Cluster& cluster, HostPtr host, Socket socket, int connect_error,
                         const ConnectionNeeds& needs)
    : cluster_(&cluster),
      host_(std::move(host)),
      connection_(cluster.make_connection(std::move(socket), *host_, needs)),
      created_us_(cluster.loop().time().now_us),
      failed_at_once_(connect_error != 0 && connect_error != EINPROGRESS) {
  cluster.prepare(connection_, *host_);
  cluster.count_connection_opened(*host_);
  connection_.set_handler(*this);
  race_ = begin_connecting(cluster, connection_, *host_, connect_error);
}

TcpUpstream::~TcpUpstream() = default;

std::unique_ptr<PendingRequest> TcpUpstream::wait(TcpWaiter& waiter) {
  waiter_ = &waiter;
  spare_of_ = nullptr;
  spare_idle_.reset();
  if (established_) {
    cluster_->loop().at_end_of_turn(*this);
  } else {
    queued_ = true;
    cluster_->stats().inc(ClusterStat::upstream_rq_pending_total);
    cluster_->stats().inc(ClusterStat::upstream_rq_pending_active);
  }
  return std::make_unique<Pending>(*this);
}

void TcpUpstream::stop_waiting() {
  if (!std::exchange(queued_, false)) return;
  cluster_->stats().dec(ClusterStat::upstream_rq_pending_active);
  cluster_->shared().counts(Priority::Default).release(Resource::Pending);
}

void TcpUpstream::on_connected() {
  established_ = true;
  const uint64_t now_us = connection_.loop().time().now_us;
  cluster_->stats().record(ClusterHistogram::upstream_cx_connect_ms, (now_us - created_us_) / 1000);
  spare() ? set_aside() : hand_over();
}

void TcpUpstream::keep_spare(TcpAhead& ahead) {
  spare_of_ = &ahead;
  spare_idle_ = std::make_unique<Timer>(
      connection_.loop().timers(), Timer::bind<&TcpUpstream::on_idle_timeout, TcpUpstream>(), this);
  spare_idle_->arm(kSpareIdleMs);
}

// What a server says first stays in the socket, for who comes; but one that leaves is let go.
void TcpUpstream::set_aside() {
  connection_.pause_reading(kPauseByCodec);
  connection_.set_half_close(false);
  connection_.set_detect_early_close(true);
}

void TcpUpstream::on_idle_timeout() {
  cluster_->stats().inc(ClusterStat::upstream_cx_idle_timeout);
  close();
}

// Who asked for a connection that stands is not called from inside.
void TcpUpstream::end_of_turn() {
  if (pending_ == nullptr) return;
  connection_.set_half_close(true);
  connection_.set_detect_early_close(false);
  connection_.resume_reading(kPauseByCodec);
  hand_over();
}

void TcpUpstream::hand_over() {
  std::exchange(pending_, nullptr)->upstream_ = nullptr;
  stop_waiting();
  served_ = true;
  cluster_->count_request_started(*host_, Priority::Default);
  waiter_->on_tcp_ready(std::make_unique<Handle>(*this));
}

// Bytes for nobody: the user has gone and what is buffered is being sent.
void TcpUpstream::on_data(Buffer& data, bool /*end_stream*/) { data.clear(); }

// Heard while connecting and after the user has gone; in between the user is the handler.
void TcpUpstream::on_closed(CloseCause cause) {
  Pending* pending = std::exchange(pending_, nullptr);
  if (pending != nullptr) {
    pending->upstream_ = nullptr;
    stop_waiting();
    cluster_->stats().inc(ClusterStat::upstream_rq_pending_failure_eject);
  }
  over(cause);
  if (pending == nullptr) return;
  std::string detail =
      describe_connect_failure(cause, connection_.failure_detail(), failed_at_once_);
  if (race_ != nullptr && cause == CloseCause::ConnectFailed) detail.clear();  // one of several
  waiter_->on_tcp_failure(connect_failure_of(cause), detail, host_);
}

void TcpUpstream::abandon() {
  if (over_) return;
  if (connection_.closed()) {
    over(connection_.close_cause());
    return;
  }
  connection_.set_handler(*this);
  // What a user has closed with something left to send is sent without it.
  if (!connection_.closing()) close();
}

void TcpUpstream::close() {
  race_.reset();
  connection_.close(CloseHow::NoFlush);
}

void TcpUpstream::detach() {
  unlink();
  if (pending_ != nullptr) {
    std::exchange(pending_, nullptr)->upstream_ = nullptr;
    stop_waiting();
  }
  if (!connection_.closed()) close();
  give_back(connection_.close_cause());
}

void TcpUpstream::count_bytes() {
  if (cluster_ == nullptr) return;
  const uint64_t received = connection_.bytes_read();
  const uint64_t sent = connection_.bytes_written();
  auto& stats = cluster_->stats();
  stats.add(ClusterStat::upstream_cx_rx_bytes_total,
            received - std::exchange(received_counted_, received));
  stats.add(ClusterStat::upstream_cx_tx_bytes_total, sent - std::exchange(sent_counted_, sent));
}

void TcpUpstream::over(CloseCause cause) {
  over_ = true;
  unlink();
  connection_.loop().defer_delete(std::unique_ptr<Deferrable>(this));
  give_back(cause);
}

void TcpUpstream::give_back(CloseCause cause) {
  if (cluster_ == nullptr) return;
  count_bytes();
  Cluster& cluster = *std::exchange(cluster_, nullptr);
  spare_idle_.reset();
  if (spare()) std::exchange(spare_of_, nullptr)->spare_gone(*this);
  if (user_of_ != nullptr) std::exchange(user_of_, nullptr)->no_longer_used(*host_);
  if (served_) {
    cluster.count_request_ended(*host_, Priority::Default);
  } else if (!established_ && cause != CloseCause::LocalClose) {
    cluster.count_connect_failure(*host_, cause);
  }
  cluster.count_connection_closed(*host_, Priority::Default, caused_by_peer(cause), false,
                                  created_us_);
  cluster.maybe_finished();
}

}  // namespace remora::upstream
