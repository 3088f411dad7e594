// Life of one pooled connection: connecting, ready, busy, draining, closed. See the header.
#include "proxy/upstream/pooled_http.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "proxy/upstream/client_codec.h"
#include "proxy/upstream/cluster.h"

namespace remora::upstream {
namespace {

using stats::ClusterHistogram;
using stats::ClusterStat;

Connection make_connection(HttpPool& pool, const Host& host, Socket socket) {
  ConnectionNeeds needs = pool.needs();
  needs.alpn = alpn_of(pool.protocol());
  return pool.cluster().make_connection(std::move(socket), host, needs);
}

// What servers say unasked when they close an idle connection: no breach of the protocol.
bool is_request_timeout(const Buffer& data) {
  const std::string_view front = data.front();
  return front.size() >= 12 && front.starts_with("HTTP/1.") && front.substr(8, 4) == " 408";
}

}  // namespace

PooledHttp::PooledHttp(HttpPool& pool, HostPtr host, Socket socket, int connect_error)
    : pool_(pool),
      host_(std::move(host)),
      connection_(make_connection(pool, *host_, std::move(socket))),
      idle_timer_(connection_.loop().timers(),
                  Timer::bind<&PooledHttp::on_idle_timeout, PooledHttp>(), this),
      created_us_(connection_.loop().time().now_us),
      expected_capacity_(std::min(expected_streams(pool.cluster().config(), pool.protocol()),
                                  pool.known_streams())),
      failed_at_once_(connect_error != 0 && connect_error != EINPROGRESS) {
  const ClusterConfig& config = pool.cluster().config();
  streams_left_ =
      config.max_requests_per_connection == 0 ? UINT64_MAX : config.max_requests_per_connection;
  pool_.cluster().prepare(connection_, *host_);
  pool_.cluster().count_connection_opened(*host_);
  count_protocol(pool.protocol());
  connection_.set_handler(*this);
  race_ = begin_connecting(pool_.cluster(), connection_, *host_, connect_error);
}

PooledHttp::~PooledHttp() = default;

void PooledHttp::count_protocol(HttpProtocol protocol) {
  if (protocol == HttpProtocol::Auto) return;  // when it is known
  pool_.cluster().stats().inc(protocol == HttpProtocol::Http2
                                  ? ClusterStat::upstream_cx_http2_total
                                  : ClusterStat::upstream_cx_http1_total);
}

bool PooledHttp::ready() const {
  return codec_ != nullptr && !draining_ && !connection_.closing() && codec_->can_take_stream();
}

// --- streams ---

http::StreamSender& PooledHttp::new_stream(http::StreamReceiver& response) {
  Cluster& cluster = pool_.cluster();
  cluster.count_request_started(*host_, pool_.priority());
  idle_timer_.disarm();
  if (++active_streams_ == 1) {
    reused_ = streams_opened_ > 0;
    bytes_before_ = connection_.bytes_written();
  }
  ++streams_opened_;
  if (--streams_left_ == 0) {
    cluster.stats().inc(ClusterStat::upstream_cx_max_requests);
    draining_ = true;
  }
  http::StreamSender& sender = codec_->new_stream(response);
  pool_.place(*this);
  return sender;
}

void PooledHttp::on_stream_ended() {
  if (active_streams_ == 0) return;
  stream_released();
  // Inside dispatch() the bytes behind the message are not known yet; inside a send the caller is a
  // stream.
  if (!dispatching_) connection_.loop().at_end_of_turn(*this);
}

void PooledHttp::stream_released() {
  if (--active_streams_ == 0) idle_since_ms_ = connection_.loop().now_ms();
  pool_.cluster().count_request_ended(*host_, pool_.priority());
}

void PooledHttp::end_of_turn() { settle(); }

// Streams have ended or the codec has changed its mind: ready again, or closing.
void PooledHttp::settle() {
  if (connection_.closing()) return;
  if (idle() && !connection_.read_buffer().empty()) on_codec_error("http1.unsolicited_response");
  if (codec_failed_ || peer_silent_) {
    close();
    return;
  }
  pool_.place(*this);
}

void PooledHttp::start_idling() {
  const uint64_t configured_ms = pool_.cluster().config().idle_timeout_ms;
  const uint64_t timeout_ms = std::min(configured_ms > 0 ? configured_ms : UINT64_MAX,
                                       pool_.idle_close().retire_after_ms());
  const uint64_t idle_for_ms = idle_ms();
  if (timeout_ms != UINT64_MAX) idle_timer_.arm(timeout_ms - std::min(timeout_ms, idle_for_ms));
}

void PooledHttp::drain() {
  draining_ = true;
  pool_.unwatch(*this);
  pool_.place(*this);
}

void PooledHttp::close() {
  closed_here_ = true;
  race_.reset();
  connection_.close(CloseHow::NoFlush);
}

// --- what is known of the host's own timeout ---

uint64_t PooledHttp::idle_ms() const { return pool_.cluster().loop().now_ms() - idle_since_ms_; }

bool PooledHttp::overdue() const {
  return codec_ != nullptr && idle() && idle_ms() >= pool_.idle_close().retire_after_ms();
}

void PooledHttp::retire() {
  // How much longer than the host was seen to wait one waits for it to close.
  constexpr uint64_t kPatienceFactor = 2;
  const IdleClose& known = pool_.idle_close();
  pool_.cluster().remora_stats().inc(ClusterRemoraStat::upstream_cx_retired);
  if (!known.seen() || streams_opened_ == 0 || !pool_.watch(*this)) {
    close();
    return;
  }
  draining_ = true;
  idle_timer_.arm(known.retire_after_ms() * kPatienceFactor);
}

void PooledHttp::learn_idle_close() {
  if (streams_opened_ == 0) return;
  pool_.idle_close().closed_after(idle_ms());
  show_idle_close();
}

void PooledHttp::on_keep_alive(std::string_view value) {
  const auto ms = keep_alive_timeout_ms(value);
  if (!ms) return;
  pool_.idle_close().announced(*ms);
  show_idle_close();
}

void PooledHttp::show_idle_close() {
  host_->idle_close_ms.store(pool_.idle_close().idle_ms(), std::memory_order_relaxed);
}

void PooledHttp::on_idle_timeout() {
  if (!idle()) {
    if (fate_wait_ms_ > 0) judge_end();
    return;
  }
  if (pool_.unwatch(*this)) {
    pool_.idle_close().forget_seen();
    show_idle_close();
    close();
    return;
  }
  const uint64_t configured_ms = pool_.cluster().config().idle_timeout_ms;
  if (configured_ms > 0 && idle_ms() >= configured_ms) {
    pool_.cluster().stats().inc(ClusterStat::upstream_cx_idle_timeout);
    close();
  } else if (overdue()) {
    retire();
  } else {
    start_idling();  // something else has been learnt meanwhile
  }
}

// --- what became of a request that the peer's end has crossed ---

Fate PooledHttp::fate() const {
  const uint64_t sent = bytes_sent();
  if (sent == 0) return Fate::Refused;
  // What TLS has made of the request is of another length.
  if (secure_ || !host_->address().is_ip()) return Fate::Unclear;
  return fate_after_end(connection_.fd(), sent);
}

/// Within a round trip the peer's kernel has acknowledged the request or refused it.
void PooledHttp::judge_end() {
  constexpr uint32_t kLongestWaitMs = 256;
  Fate known = fate();
  if (known == Fate::Open && fate_wait_ms_ >= kLongestWaitMs) known = Fate::Unclear;
  switch (known) {
    case Fate::Open:
      fate_wait_ms_ = std::max(1u, fate_wait_ms_ * 2);
      idle_timer_.arm(fate_wait_ms_);
      return;
    case Fate::Refused:
      refuse_answer(true);
      return;
    case Fate::Unclear:
      dispatch(connection_.read_buffer(), true);
      return;
  }
}

/// Whatever has come was sent before any of the request can have arrived, and answers nothing.
void PooledHttp::refuse_answer(bool end_stream) {
  Buffer& data = connection_.read_buffer();
  refused_ = true;
  if (!data.empty() && !is_request_timeout(data)) on_codec_error("http1.unsolicited_response");
  data.clear();
  if (!end_stream) {
    close();
    return;
  }
  learn_idle_close();
  dispatch(data, true);
}

void PooledHttp::on_duration_reached() {
  pool_.cluster().stats().inc(ClusterStat::upstream_cx_max_duration_reached);
  drain();
}

// --- the connection ---

void PooledHttp::on_connected() {
  Cluster& cluster = pool_.cluster();
  const ClusterConfig& config = cluster.config();
  const uint64_t now_us = connection_.loop().time().now_us;
  cluster.stats().record(ClusterHistogram::upstream_cx_connect_ms, (now_us - created_us_) / 1000);
  pool_.connecting_over(*this);
  secure_ = connection_.transport().secure();
  idle_since_ms_ = connection_.loop().now_ms();
  HttpProtocol protocol = pool_.protocol();
  if (protocol == HttpProtocol::Auto) {
    protocol = negotiated(connection_.transport().negotiated_protocol());
    count_protocol(protocol);
  }
  codec_ = make_client_codec(config, protocol, pool_.known_streams(), connection_, *this,
                             cluster.http2_stats(), this);
  if (config.max_connection_duration_ms > 0) {
    duration_timer_ =
        std::make_unique<Timer>(connection_.loop().timers(),
                                Timer::bind<&PooledHttp::on_duration_reached, PooledHttp>(), this);
    duration_timer_->arm(cluster.worker().with_jitter(config.max_connection_duration_ms,
                                                      config.max_connection_jitter_ms));
  }
  pool_.place(*this);
}

void PooledHttp::on_data(Buffer& data, bool end_stream) {
  count_received();
  if (end_stream && idle()) learn_idle_close();
  const bool answer_due = reused_ && !idle() && codec_->protocol() != http::Protocol::Http2;
  if (answer_due && bytes_sent() == 0) {
    refuse_answer(end_stream);
  } else if (answer_due && end_stream) {
    judge_end();
  } else {
    dispatch(data, end_stream);
  }
}

void PooledHttp::dispatch(Buffer& data, bool end_stream) {
  const bool took_streams = !draining_;
  dispatching_ = true;
  const bool go_on = codec_->dispatch(data, end_stream);
  dispatching_ = false;
  if (end_stream) remote_ended_ = true;
  if (connection_.closing()) return;
  // Bytes that nobody asked for: whatever they are, they answer no request of ours.
  if (idle() && !data.empty() && !codec_failed_ && !is_request_timeout(data)) {
    on_codec_error("http1.unsolicited_response");
  }
  if (took_streams && draining_ && !codec_failed_ && !end_stream && data.empty()) {
    pool_.cluster().stats().inc(ClusterStat::upstream_cx_close_notify);
  }
  // A stream that reads slowly may still be owed what came before the end.
  if (!go_on || (end_stream && idle())) {
    close();
    return;
  }
  settle();
}

void PooledHttp::on_closed(CloseCause cause) {
  count_received();
  // A codec closes only under a stream that is reset, which has ended by now. One of HTTP/2 that
  // failed has reset all its streams before.
  const bool reset = cause == CloseCause::LocalClose && !closed_here_;
  const bool failed_http2 =
      codec_failed_ && codec_ != nullptr && codec_->protocol() == http::Protocol::Http2;
  const bool had_streams = (active_streams_ > 0 || stream_failed_ || reset) && !failed_http2;
  idle_timer_.disarm();
  pool_.unwatch(*this);
  if (cause == CloseCause::RemoteReset && idle() && codec_ != nullptr) learn_idle_close();
  unlink();
  connection_.loop().defer_delete(std::unique_ptr<Deferrable>(this));
  if (codec_ == nullptr) {
    connect_failed(cause);
    return;
  }
  const bool broken = cause == CloseCause::TransportError;
  codec_->on_connection_closed(http::ResetReason::ConnectionClosed,
                               broken ? connection_.failure_detail() : std::string_view());
  while (active_streams_ > 0) stream_released();
  count_closed(cause, had_streams);
  pool_.connection_gone();
}

void PooledHttp::connect_failed(CloseCause cause) {
  pool_.connecting_over(*this);
  // Closed by the pool before it stood: nobody's failure.
  const bool failed = cause != CloseCause::LocalClose;
  if (failed) pool_.cluster().count_connect_failure(*host_, cause);
  count_closed(cause, false);
  if (failed) {
    std::string detail =
        describe_connect_failure(cause, connection_.failure_detail(), failed_at_once_);
    if (race_ != nullptr && cause == CloseCause::ConnectFailed) detail.clear();  // one of several
    pool_.connect_failed(connect_failure_of(cause), detail, host_);
  }
  pool_.connection_gone();
}

void PooledHttp::on_write_high_water() {
  if (codec_ != nullptr) codec_->on_write_high_water();
}

void PooledHttp::on_write_low_water() {
  if (codec_ != nullptr) codec_->on_write_low_water();
}

void PooledHttp::on_written(size_t bytes) {
  pool_.cluster().stats().add(ClusterStat::upstream_cx_tx_bytes_total, bytes);
}

// --- the codec ---

void PooledHttp::on_codec_draining() {
  const bool goaway = codec_->protocol() == http::Protocol::Http2;
  if (goaway && !draining_ && !codec_failed_ && !connection_.closing()) {
    pool_.cluster().stats().inc(ClusterStat::upstream_cx_close_notify);
  }
  draining_ = true;
  if (!dispatching_) connection_.loop().at_end_of_turn(*this);
}

void PooledHttp::on_codec_error(std::string_view detail) {
  draining_ = true;
  // A server that fell silent broke no rule.
  peer_silent_ = detail == http2::kKeepaliveTimeout;
  if (peer_silent_) {
    connection_.loop().at_end_of_turn(*this);
    return;
  }
  codec_failed_ = true;
  pool_.cluster().stats().inc(ClusterStat::upstream_cx_protocol_error);
  if (!dispatching_) connection_.loop().at_end_of_turn(*this);
}

void PooledHttp::on_stream_failed(http::ResetReason reason) {
  stream_failed_ = true;
  if (reason == http::ResetReason::IncompleteBody) on_codec_error("incomplete body");
}

void PooledHttp::on_max_streams(uint32_t max) {
  pool_.learn_streams(max);
  if (!dispatching_) connection_.loop().at_end_of_turn(*this);
}

// --- accounting ---

void PooledHttp::count_received() {
  const uint64_t received = connection_.bytes_read();
  pool_.cluster().stats().add(ClusterStat::upstream_cx_rx_bytes_total,
                              received - std::exchange(bytes_counted_, received));
}

void PooledHttp::count_closed(CloseCause cause, bool had_streams) {
  Cluster& cluster = pool_.cluster();
  if (codec_ != nullptr) {
    cluster.stats().record(ClusterHistogram::upstream_rq_per_cx, streams_opened_);
  }
  cluster.count_connection_closed(*host_, pool_.priority(), remote_ended_ || caused_by_peer(cause),
                                  had_streams, created_us_);
}

}  // namespace remora::upstream
