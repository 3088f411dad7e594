#include "proxy/connection_manager/connection_manager.h"

#include <algorithm>
#include <array>

#include "proxy/connection_manager/request_stream.h"
#include "proxy/http1/server_codec.h"
#include "proxy/http2/server_codec.h"
#include "proxy/stats/names.h"
#include "proxy/upstream/worker_context.h"

namespace remora::connection_manager {

using stats::HttpHistogram;
using stats::HttpStat;

namespace {

/// What an HTTP/2 client says first (RFC 9113 section 3.4); HTTP/1 has no such method.
constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n";

/// A client that resets what it has just asked for costs more than it spends: from so many requests
/// on no more than half may end so (CVE-2023-44487 and its kin). Envoy's figures.
constexpr uint32_t kEarlyResetSample = 500;
constexpr uint64_t kEarlyResetUs = 1'000'000;

enum class Guess : uint8_t { Http1, Http2, TooShort };

Guess guess_protocol(const Buffer& data) {
  std::array<char, kHttp2Preface.size()> start;
  const size_t known = std::min(data.size(), start.size());
  data.copy_out(0, known, start.data());
  if (std::string_view(start.data(), known) != kHttp2Preface.substr(0, known)) return Guess::Http1;
  return known == kHttp2Preface.size() ? Guess::Http2 : Guess::TooShort;
}

}  // namespace

ConnectionManager::ConnectionManager(const Shared& shared, NetworkFilterContext& context)
    : config_(shared.config),
      context_(context),
      connection_(context.connection()),
      stats_(shared.stats->at(context.worker().index())),
      listener_stats_(shared.listener_stats ? &shared.listener_stats->at(context.worker().index())
                                            : nullptr),
      http1_stats_(shared.http1_stats.get()),
      http2_stats_(shared.http2_stats.get()),
      idle_(context.worker().timers(),
            Timer::bind<&ConnectionManager::on_idle_timeout, ConnectionManager>(), this),
      duration_(context.worker().timers(),
                Timer::bind<&ConnectionManager::on_duration_reached, ConnectionManager>(), this),
      drained_(context.worker().timers(),
               Timer::bind<&ConnectionManager::on_drained, ConnectionManager>(), this) {
  if (!config_->rds_name.empty()) routes_ = &context.worker().routes().slot(config_->rds_name);
}

ConnectionManager::~ConnectionManager() = default;

// -----------------------------------------------------------------------------------------------
// the connection

NetworkFilter::Status ConnectionManager::on_new_connection() {
  secure_ = connection_.transport().secure();
  buffer_limit_ = connection_.limits().buffer_bytes;
  connection_.set_half_close(false);
  connection_.set_detect_early_close(true);
  // A head one byte too long must still be seen whole enough to be refused.
  connection_.set_min_read_limit(config_->http1.limits.max_bytes + Block::kBytes);
  connection_.set_delayed_close_ms(static_cast<uint32_t>(config_->delayed_close_timeout_ms));
  counted_ = true;
  stats_.inc(HttpStat::downstream_cx_total);
  stats_.inc(HttpStat::downstream_cx_active);
  if (secure_) {
    stats_.inc(HttpStat::downstream_cx_ssl_total);
    stats_.inc(HttpStat::downstream_cx_ssl_active);
  }
  if (config_->idle_timeout_ms != 0) idle_.arm(config_->idle_timeout_ms);
  if (config_->max_connection_duration_ms != 0) {
    duration_.arm(context_.worker().with_jitter(config_->max_connection_duration_ms,
                                                config_->max_connection_jitter_ms));
  }
  return Status::Continue;
}

NetworkFilter::Status ConnectionManager::on_data(Buffer& data, bool end_stream) {
  if (codec_ == nullptr && !choose_codec(data, end_stream)) return Status::StopIteration;
  if (!codec_->dispatch(data, end_stream)) {
    data.clear();
    if (!connection_.closing()) close(CloseHow::FlushAndWait);
  }
  return Status::StopIteration;
}

/// False: more bytes are needed to tell.
bool ConnectionManager::choose_codec(const Buffer& data, bool end_stream) {
  using http::Protocol;
  if (config_->codec != HttpConfig::Codec::Auto) {
    make_codec(config_->codec == HttpConfig::Codec::Http2 ? Protocol::Http2 : Protocol::Http11);
    return true;
  }
  // What was negotiated holds; the first bytes tell only where nothing was.
  if (const std::string_view alpn = connection_.transport().negotiated_protocol(); !alpn.empty()) {
    make_codec(alpn == "h2" ? Protocol::Http2 : Protocol::Http11);
    return true;
  }
  const Guess guess = guess_protocol(data);
  if (guess == Guess::TooShort && !end_stream) return false;
  make_codec(guess == Guess::Http2 ? Protocol::Http2 : Protocol::Http11);
  return true;
}

void ConnectionManager::make_codec(http::Protocol protocol) {
  if (protocol == http::Protocol::Http2) {
    http2::SessionStats* stats =
        http2_stats_ == nullptr ? nullptr : &http2_stats_->at(context_.worker().index());
    codec_ = std::make_unique<http2::ServerCodec>(connection_, *this, config_->http2, buffer_limit_,
                                                  stats);
    stats_.inc(HttpStat::downstream_cx_http2_total);
    stats_.inc(HttpStat::downstream_cx_http2_active);
    return;
  }
  codec_ = std::make_unique<http1::ServerCodec>(connection_, *this, config_->http1);
  stats_.inc(HttpStat::downstream_cx_http1_total);
  stats_.inc(HttpStat::downstream_cx_http1_active);
}

void ConnectionManager::on_write_high_water() {
  if (codec_ != nullptr) codec_->on_write_high_water();
}

void ConnectionManager::on_write_low_water() {
  if (codec_ != nullptr) codec_->on_write_low_water();
}

void ConnectionManager::close(CloseHow how) {
  idle_.disarm();
  connection_.close(how);
}

void ConnectionManager::on_closed(CloseCause cause) {
  if (counted_) count_closed(cause);
  closed_ = true;
  idle_.disarm();
  duration_.disarm();
  drained_.disarm();
  if (codec_ != nullptr) codec_->on_connection_closed();
}

void ConnectionManager::count_closed(CloseCause cause) {
  const bool local = cause == CloseCause::LocalClose;
  const bool busy = active_streams_ > 0;
  count_bytes();
  stats_.inc(HttpStat::downstream_cx_destroy);
  stats_.inc(local ? HttpStat::downstream_cx_destroy_local
                   : HttpStat::downstream_cx_destroy_remote);
  if (busy) {
    stats_.inc(HttpStat::downstream_cx_destroy_active_rq);
    stats_.inc(local ? HttpStat::downstream_cx_destroy_local_active_rq
                     : HttpStat::downstream_cx_destroy_remote_active_rq);
  }
  stats_.dec(HttpStat::downstream_cx_active);
  if (secure_) stats_.dec(HttpStat::downstream_cx_ssl_active);
  if (codec_ != nullptr) {
    stats_.dec(http2() ? HttpStat::downstream_cx_http2_active
                       : HttpStat::downstream_cx_http1_active);
  }
  stats_.record(HttpHistogram::downstream_cx_length_ms,
                context_.worker().loop().now_ms() - connection_.opened_at());
}

void ConnectionManager::count_bytes() {
  stats_.add(HttpStat::downstream_cx_rx_bytes_total, connection_.bytes_read() - rx_counted_);
  stats_.add(HttpStat::downstream_cx_tx_bytes_total, connection_.bytes_written() - tx_counted_);
  rx_counted_ = connection_.bytes_read();
  tx_counted_ = connection_.bytes_written();
}

// --------------------------------------------------------------------------------------------------
// its streams

http::StreamReceiver& ConnectionManager::on_new_stream(http::StreamSender& response) {
  idle_.disarm();
  ++active_streams_;
  ++requests_;
  stats_.inc(HttpStat::downstream_rq_total);
  stats_.inc(http2() ? HttpStat::downstream_rq_http2_total : HttpStat::downstream_rq_http1_total);
  stats_.inc(HttpStat::downstream_rq_active);
  RequestStream& stream = context_.worker().streams().take();
  current_ = http2() ? nullptr : &stream;
  stream.begin(*this, response);
  return stream;
}

void ConnectionManager::on_codec_error(uint16_t status, std::string_view detail) {
  stats_.inc(HttpStat::downstream_cx_protocol_error);
  if (http1_stats_ != nullptr && detail == http1::details::kUnexpectedUnderscore) {
    http1_stats_->at(context_.worker().index())
        .inc(stats::Http1Stat::requests_rejected_with_underscores_in_headers);
  }
  if (status == 0) {
    if (!connection_.closing()) close(CloseHow::FlushAndWait);
  } else if (current_ != nullptr && !current_->finished()) {
    current_->refuse(status, detail);
  }
}

void ConnectionManager::on_fields_dropped(size_t count) {
  if (http1_stats_ == nullptr) return;
  http1_stats_->at(context_.worker().index())
      .add(stats::Http1Stat::dropped_headers_with_underscores, count);
}

Snapshot<router::RouteTable> ConnectionManager::route_table(const router::RouteTable** table) {
  if (routes_ == nullptr) {
    *table = config_->routes.get();
    return {};
  }
  *table = routes_->table.get();
  return routes_->table;
}

void ConnectionManager::count_response(uint16_t status) {
  stats::count_downstream_response(stats_, status);
  if (listener_stats_ != nullptr) stats::count_downstream_response(*listener_stats_, status);
}

bool ConnectionManager::closes_after_response() {
  const uint32_t limit = config_->max_requests_per_connection;
  if (limit != 0 && requests_ >= limit && drain_ == Drain::No) {
    stats_.inc(HttpStat::downstream_cx_max_requests_reached);
    if (http2()) {
      start_drain();
    } else {
      drain_ = Drain::Closing;
    }
  }
  if (drain_ == Drain::No && (drain_wanted_ || context_.draining())) {
    start_drain();
    stats_.inc(HttpStat::downstream_cx_drain_close);
  }
  return drain_ != Drain::No;
}

void ConnectionManager::on_stream_finished(RequestStream& stream) {
  --active_streams_;
  if (current_ == &stream) current_ = nullptr;
  const http::StreamInfo& info = stream.info();
  constexpr uint64_t kUsPerMs = 1000;
  stats_.dec(HttpStat::downstream_rq_active);
  stats_.record(HttpHistogram::downstream_rq_time, (info.end_us - info.start_us) / kUsPerMs);
  // An answer that did not wait for the end of its request counts as a reset, as with Envoy.
  if (stream.was_reset() || !stream.request_ended()) stats_.inc(HttpStat::downstream_rq_rx_reset);
  if (closed_) return;
  count_bytes();
  ++finished_requests_;
  if (http2() && stream.was_reset()) count_early_reset(info);
  close_if_done();
}

void ConnectionManager::count_early_reset(const http::StreamInfo& info) {
  if (info.end_us - info.start_us < kEarlyResetUs) ++early_resets_;
  if (early_resets_ * 2 < std::max(finished_requests_, kEarlyResetSample)) return;
  if (connection_.closing()) return;
  if (static_cast<http2::ServerCodec&>(*codec_).give_up("http2.too_many_premature_resets")) {
    stats_.inc(HttpStat::downstream_rq_too_many_premature_resets);
  }
}

void ConnectionManager::close_if_done() {
  if (active_streams_ > 0 || connection_.closing()) return;
  if (http2() && !codec_->idle()) return;  // the last response is still leaving
  if (codec_->wants_close() || drain_ == Drain::Closing) {
    close(CloseHow::FlushAndWait);
  } else if (config_->idle_timeout_ms != 0) {
    idle_.arm(config_->idle_timeout_ms);
  }
}

// -------------------------------------------------------------------------------------------------
// its deadlines

/// HTTP/2 can say so at once, HTTP/1 only with the next response.
void ConnectionManager::on_drain() {
  drain_wanted_ = true;
  if (!http2() || drain_ != Drain::No || connection_.closing()) return;
  stats_.inc(HttpStat::downstream_cx_drain_close);
  start_drain();
}

void ConnectionManager::start_drain() {
  drain_ = Drain::Draining;
  if (codec_ != nullptr) codec_->start_drain();
  drained_.arm(context_.worker().with_jitter(config_->drain_timeout_ms, config_->drain_jitter_ms));
}

void ConnectionManager::on_drained() {
  drain_ = Drain::Closing;
  if (codec_ == nullptr) return;
  codec_->finish_drain();
  close_if_done();
}

void ConnectionManager::on_idle_timeout() {
  stats_.inc(HttpStat::downstream_cx_idle_timeout);
  if (codec_ == nullptr) {
    close(CloseHow::Flush);
  } else if (drain_ == Drain::No) {
    start_drain();
  }
}

void ConnectionManager::on_duration_reached() {
  stats_.inc(HttpStat::downstream_cx_max_duration_reached);
  if (codec_ == nullptr) {
    close(CloseHow::Flush);
  } else if (drain_ == Drain::No) {
    if (config_->safe_max_connection_duration && codec_->protocol() != http::Protocol::Http2) {
      drain_ = Drain::Closing;
    } else {
      start_drain();
    }
  }
}

// --------------------------------------------------------------------------------------------------
// the factory

std::unique_ptr<NetworkFilter> ConnectionManagerFactory::make(NetworkFilterContext& context) const {
  return std::make_unique<ConnectionManager>(shared_, context);
}

std::vector<ResourceRef> ConnectionManagerFactory::route_configs() const {
  const HttpConfig& config = *shared_.config;
  if (config.rds_name.empty()) return {};
  return {
      {config.rds_name, config.rds_source, stats::rds_prefix(config.stat_prefix, config.rds_name)}};
}

}  // namespace remora::connection_manager
