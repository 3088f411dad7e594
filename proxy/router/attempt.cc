#include "proxy/router/attempt.h"

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/peak_ewma.h"
#include "proxy/upstream/reported_weights.h"

namespace remora::router {
namespace {

http::ResetReason reason_of(upstream::PoolFailure failure) {
  switch (failure) {
    case upstream::PoolFailure::Overflow:
      return http::ResetReason::Overflow;
    case upstream::PoolFailure::ConnectTimeout:
      return http::ResetReason::ConnectTimeout;
    case upstream::PoolFailure::ConnectFailed:
    case upstream::PoolFailure::ClusterGone:
      break;
  }
  return http::ResetReason::ConnectFailed;
}

}  // namespace

Attempt::Attempt(Owner& owner, upstream::HostPtr host, TimerWheel& timers)
    : owner_(owner),
      host_(std::move(host)),
      headers_timer_(timers, Timer::bind<&Attempt::on_headers_late, Attempt>(), this),
      idle_timer_(timers, Timer::bind<&Attempt::on_idle, Attempt>(), this),
      stream_timer_(timers, Timer::bind<&Attempt::on_stream_late, Attempt>(), this) {}

std::optional<http::ResetReason> Attempt::start(upstream::Cluster& cluster,
                                                upstream::Priority priority,
                                                const upstream::ConnectionNeeds& needs) {
  cluster_ = &cluster;
  upstream::Acquired acquired = cluster.acquire_http(host_, priority, *this, needs);
  if (acquired.ready != nullptr) {
    on_pool_ready(*acquired.ready);
    return std::nullopt;
  }
  pending_ = std::move(acquired.pending);
  if (pending_ != nullptr) return std::nullopt;
  over_ = true;
  return reason_of(acquired.failure);
}

std::optional<http::ResetReason> Attempt::start_raw(upstream::Cluster& cluster,
                                                    const upstream::ConnectionNeeds& needs) {
  upstream::TcpAcquired acquired = cluster.acquire_tcp(host_, *this, needs);
  pending_ = std::move(acquired.pending);
  if (pending_ != nullptr) return std::nullopt;
  over_ = true;
  return reason_of(acquired.failure);
}

void Attempt::bound_answer(uint64_t headers_ms, uint64_t idle_ms) {
  if (headers_ms != 0 && !headers_seen_) headers_timer_.arm(headers_ms);
  idle_ms_ = idle_ms;
  note_progress();
}

void Attempt::note_progress() {
  if (idle_ms_ != 0) idle_timer_.arm(idle_ms_);
}

void Attempt::stop_timers() {
  headers_timer_.disarm();
  idle_timer_.disarm();
  stream_timer_.disarm();
  idle_ms_ = 0;
}

void Attempt::complete() {
  sender_ = nullptr;
  stop_timers();
}

void Attempt::abandon() {
  if (over_) return;
  over_ = true;
  stop_timers();
  pending_ = nullptr;
  leave_high_water();
  count_reset(http::ResetReason::LocalReset);
  if (http::StreamSender* sender = std::exchange(sender_, nullptr)) {
    sender->reset(http::ResetReason::LocalReset);
  }
}

void Attempt::on_pool_ready(upstream::HttpConnection& connection) {
  pending_ = nullptr;
  connection_ = &connection.connection();
  host_ = connection.host();
  opened_ = true;
  opened_us_ = connection_->loop().time().now_us;
  pooled_ = &connection;
  const bool reused = connection.streams_before() > 0;
  sender_ = &connection.new_stream(*this);
  may_go_unprocessed_ = reused || sender_->protocol() == http::Protocol::Http2;
  owner_.on_attempt_open(*this);
}

void Attempt::on_tcp_ready(std::unique_ptr<upstream::TcpConnection> connection) {
  pending_ = nullptr;
  connection_ = &connection->connection();
  host_ = connection->host();
  opened_ = true;
  raw_ = std::make_unique<TcpStream>(std::move(connection), *this);
  sender_ = raw_.get();
  owner_.on_attempt_open(*this);
}

void Attempt::on_pool_failure(upstream::PoolFailure failure, std::string_view detail,
                              const upstream::HostPtr& host) {
  pending_ = nullptr;
  over_ = true;
  if (host != nullptr) host_ = host;
  owner_.on_attempt_failed(*this, reason_of(failure), detail);
}

void Attempt::on_informational(http::HeaderMap& headers) {
  if (!over_) owner_.on_attempt_informational(*this, headers);
}

void Attempt::on_headers(http::HeaderMap& headers, bool end_stream) {
  if (over_) return;
  headers_seen_ = true;
  headers_timer_.disarm();
  note_progress();
  measure(headers);
  owner_.on_attempt_headers(*this, headers, end_stream);
}

/// For balancers that go by it.
void Attempt::measure(const http::HeaderMap& headers) {
  if (cluster_ == nullptr) return;
  const auto& config = upstream::balancing_of(cluster_->config()).peak_ewma;
  if (config != nullptr) {
    const TurnTime& time = connection_->loop().time();
    const double took_ms = static_cast<double>(time.now_us - opened_us_) / 1000;
    upstream::note_answer(*host_, took_ms, time.now_ms, *config);
  }
  read_load(headers);
}

/// What the host says of its load counts once for an answer.
void Attempt::read_load(const http::HeaderMap& headers) {
  if (cluster_ == nullptr || load_reported_) return;
  const auto& config = upstream::balancing_of(cluster_->config()).reported_weights;
  if (config == nullptr) return;
  load_reported_ =
      upstream::note_load_report(*host_, headers, *config, connection_->loop().time().now_ms);
}

void Attempt::on_data(Buffer& data, bool end_stream) {
  if (over_) {
    data.clear();
    return;
  }
  note_progress();
  owner_.on_attempt_data(data, end_stream);
}

void Attempt::on_trailers(http::HeaderMap& trailers) {
  if (over_) return;
  read_load(trailers);
  owner_.on_attempt_trailers(trailers);
}

void Attempt::on_reset(http::ResetReason reason, std::string_view detail) {
  if (!over_) count_reset(reason);
  sender_ = nullptr;
  if (over_) return;
  over_ = true;
  unprocessed_ = reason == http::ResetReason::RemoteRefused ||
                 (reason == http::ResetReason::ConnectionClosed && pooled_ != nullptr &&
                  !headers_seen_ && pooled_->unprocessed());
  stop_timers();
  leave_high_water();
  // A codec says what became of the stream, which the reason tells already; only transports say
  // why.
  const bool by_codec = detail.starts_with("upstream_reset") || detail.starts_with("http2.");
  owner_.on_attempt_failed(*this, reason, by_codec ? std::string_view() : detail);
}

/// As Envoy counts: multiplexed streams only, and not those that may be sent again at no risk.
void Attempt::count_reset(http::ResetReason reason) {
  if (sender_ == nullptr || sender_->protocol() != http::Protocol::Http2) return;
  if (reason == http::ResetReason::RemoteReset) {
    cluster_->stats().inc(stats::ClusterStat::upstream_rq_rx_reset);
  } else if (reason == http::ResetReason::LocalReset ||
             reason == http::ResetReason::ProtocolError) {
    cluster_->stats().inc(stats::ClusterStat::upstream_rq_tx_reset);
  }
}

void Attempt::on_send_high_water() {
  if (over_ || over_high_water_) return;
  over_high_water_ = true;
  owner_.on_attempt_high_water();
}

void Attempt::on_send_low_water() { leave_high_water(); }

void Attempt::leave_high_water() {
  if (!over_high_water_) return;
  over_high_water_ = false;
  owner_.on_attempt_low_water();
}

}  // namespace remora::router
