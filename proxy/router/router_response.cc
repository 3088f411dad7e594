// The response's half of the router: what comes back from an attempt, what happens when nothing
// does, and counting.
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "proxy/http/grpc.h"
#include "proxy/http/upgrade.h"
#include "proxy/router/route_match.h"
#include "proxy/router/router.h"
#include "proxy/upstream/health_sink.h"
#include "proxy/upstream/worker_context.h"

namespace remora::router {

using http::HeaderId;
using http::HeaderMap;
using http::ResetReason;
using http::ResponseFlag;
using stats::ClusterHistogram;
using stats::ClusterScope;
using stats::ClusterStat;
using stats::RouterStat;
using stats::RouteStat;

namespace {

constexpr uint16_t kServiceUnavailable = 503;
constexpr uint16_t kGatewayTimeout = 504;

std::string_view decimal(uint64_t number, Arena& arena) {
  constexpr size_t kMaxDigits = 20;
  char* out = static_cast<char*>(arena.allocate(kMaxDigits, 1));
  char* end = std::to_chars(out, out + kMaxDigits, number).ptr;
  return {out, static_cast<size_t>(end - out)};
}

void count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

void count_grpc_verdict(upstream::HostCounters& counters, std::optional<int64_t> status) {
  const bool success = status && !http::is_server_error(*status);
  count(success ? counters.rq_success : counters.rq_error);
}

ResponseFlag flag_of(ResetReason reason) {
  switch (reason) {
    case ResetReason::ConnectFailed:
    case ResetReason::ConnectTimeout:
      return ResponseFlag::UF;
    case ResetReason::ConnectionClosed:
      return ResponseFlag::UC;
    case ResetReason::LocalReset:
      return ResponseFlag::LR;
    case ResetReason::RemoteReset:
    case ResetReason::RemoteRefused:
      return ResponseFlag::UR;
    case ResetReason::Overflow:
      return ResponseFlag::UO;
    case ResetReason::ProtocolError:
    case ResetReason::IncompleteBody:
      return ResponseFlag::UPE;
  }
  return ResponseFlag::UR;
}

uint16_t status_of(ResetReason reason) {
  constexpr uint16_t kBadGateway = 502;
  return reason == ResetReason::ProtocolError ? kBadGateway : kServiceUnavailable;
}

/// As a response-code detail: no white space.
std::string_view with_underscores(std::string_view text, Arena& arena) {
  if (text.empty()) return text;
  char* out = static_cast<char*>(arena.allocate(text.size(), 1));
  std::transform(text.begin(), text.end(), out, [](char c) { return c == ' ' ? '_' : c; });
  return {out, text.size()};
}

std::string_view reset_details(std::string_view event, ResetReason reason, std::string_view detail,
                               Arena& arena) {
  const std::string_view why = with_underscores(http::reset_reason_text(reason), arena);
  return arena.join(event, "{", why, detail.empty() ? "" : "|", with_underscores(detail, arena),
                    "}");
}

}  // namespace

/// Whoever says anything to the client has the last word too, as in Envoy.
void Router::on_attempt_informational(Attempt& attempt, HeaderMap& headers) {
  settle_on(attempt);
  count_upstream_code(headers.status(), &headers, &attempt);
  stream_.respond_informational(headers);
}

/// What outlier detection takes an answer for.
uint16_t Router::verdict_of(const HeaderMap& headers) const {
  const auto grpc = grpc_ ? http::grpc_status_in(headers) : std::nullopt;
  return grpc ? http::http_status_of_grpc(*grpc) : headers.status();
}

void Router::on_attempt_headers(Attempt& attempt, HeaderMap& headers, bool end_stream) {
  if (upstream::OutlierMonitor* monitor = attempt.host()->monitor()) {
    monitor->on_response(attempt.host(), verdict_of(headers));
  }
  if (headers.has(HeaderId::XEnvoyImmediateHealthCheckFail)) {
    upstream::HealthSink* sink = attempt.host()->health_sink();
    if (sink != nullptr) sink->on_immediate_failure(cluster_->config().name, attempt.host());
  }
  http::StreamInfo& info = stream_.info();
  info.upstream_first_rx_us = now_us();
  const uint16_t status = headers.status();
  const bool wanted = plan_.wants_retry(headers);
  if (wanted) plan_.heed_reset_headers(headers, unix_seconds());
  // An attempt that another has replaced is not repeated once more.
  const bool again = !attempt.replaced && decide_retry(wanted) == Again::Yes;
  if (again) count_retried_code(status);
  if (again || (wanted && others_may_answer(attempt))) {
    count(attempt.host()->counters.rq_error);
    if (end_stream && request_ended_) {
      attempt.complete();
    } else {
      attempt.abandon();
    }
    return;
  }
  if (extras_ != nullptr && extras_->redirects && follows_redirect(attempt, headers, end_stream)) {
    return;
  }
  settle_on(attempt);
  replay_.clear();
  response_started_ = true;
  info.response_code_details = resent_ ? "via_upstream{resent}" : "via_upstream";
  complete_response_headers(headers);
  count_upstream_code(status, &headers, &attempt);
  judge_host(attempt, headers, end_stream);
  if (!end_stream && http::opens_tunnel(info.tunnel, status)) open_tunnel();
  if (end_stream) on_response_complete();
  stream_.respond_headers(headers, end_stream);
}

void Router::complete_response_headers(HeaderMap& headers) {
  Arena& arena = stream_.arena();
  if (request_ended_ && config_.envoy_headers == EnvoyHeaders::Insert) {
    headers.set(HeaderId::XEnvoyUpstreamServiceTime, decimal(ms_since_request(), arena));
  }
  for (const std::string_view cookie : set_cookies_) headers.add(HeaderId::SetCookie, cookie);
  const RouteDecision& decision = stream_.route_decision();
  http::StreamInfo& info = stream_.info();
  info.response_headers = &headers;  // which the edits may name
  info.response_code = headers.status();
  edit_response(decision, info, headers);
  if (decision.vhost->include_attempt_count_in_response) {
    headers.set(HeaderId::XEnvoyAttemptCount, decimal(attempt_count_, arena));
  }
}

void Router::on_attempt_data(Buffer& data, bool end_stream) {
  stream_.info().upstream_last_rx_us = now_us();
  // A gRPC answer that ends without a status is an error.
  if (end_stream && std::exchange(host_unjudged_, false))
    count(attempt_->host()->counters.rq_error);
  if (end_stream) on_response_complete();
  stream_.respond_data(data, end_stream);
}

void Router::on_attempt_trailers(HeaderMap& trailers) {
  stream_.info().upstream_last_rx_us = now_us();
  if (std::exchange(host_unjudged_, false)) {
    count_grpc_verdict(attempt_->host()->counters, http::grpc_status_in(trailers));
  }
  on_response_complete();
  stream_.respond_trailers(trailers);
}

/// How long the tunnel lasts is nobody's business; that it is used, the stream's idle timeout.
void Router::open_tunnel() {
  tunnel_ = true;
  global_timer_.disarm();
}

/// The last byte of the response has come.
void Router::on_response_complete() {
  response_ended_ = true;
  global_timer_.disarm();
  stream_.info().upstream_last_rx_us = now_us();
  count_upstream_time();
  if (request_ended_) {
    attempt_->complete();
  } else if (!tunnel_) {
    attempt_->abandon();  // nobody wants the rest of the request
  }
}

void Router::on_response_high_water() {
  ++response_pauses_;
  for (Attempt* attempt = attempts_; attempt != nullptr; attempt = attempt->previous) {
    if (attempt->sender() == nullptr) continue;
    cluster_->stats().inc(ClusterStat::upstream_flow_control_paused_reading_total);
    attempt->sender()->pause_receiving();
  }
}

void Router::on_response_low_water() {
  if (response_pauses_ == 0) return;
  --response_pauses_;
  for (Attempt* attempt = attempts_; attempt != nullptr; attempt = attempt->previous) {
    if (attempt->sender() == nullptr) continue;
    cluster_->stats().inc(ClusterStat::upstream_flow_control_resumed_reading_total);
    attempt->sender()->resume_receiving();
  }
}

// --------------------------------------------------------------------------------------------------------
// failures

void Router::on_attempt_failed(Attempt& attempt, ResetReason reason, std::string_view detail) {
  http::StreamInfo& info = stream_.info();
  info.upstream_host = &attempt.host()->address();
  if (!detail.empty()) info.upstream_transport_failure = stream_.arena().copy(detail);
  // That a connection was too old is no fault of the host.
  if (reason == ResetReason::ConnectionClosed && attempt.unprocessed() && !attempt.replaced &&
      send_unprocessed_again(reason) == Again::Yes) {
    return;
  }
  // Nor are limits of the cluster.
  if (reason != ResetReason::Overflow) report_failure(attempt, kServiceUnavailable);
  if (!response_started_ || std::exchange(host_unjudged_, false)) {
    count(attempt.host()->counters.rq_error);
  }
  if (response_started_) {
    stats_.inc(RouterStat::rq_reset_after_downstream_response_started);
    info.flags.set(flag_of(reason));
    info.response_code_details =
        reset_details("upstream_reset_after_response_started", reason, detail, stream_.arena());
    stream_.reset(ResetReason::LocalReset);
    return;
  }
  if (!attempt.replaced) {
    const bool wanted = plan_.wants_retry(reason, attempt.opened());
    if (decide_retry(wanted) == Again::Yes) return;
    if (!wanted && attempt.unprocessed() && send_unprocessed_again(reason) == Again::Yes) return;
  }
  count_upstream_code(status_of(reason), nullptr, &attempt);
  if (!others_may_answer(attempt)) answer_reset(reason, detail);
}

void Router::report_failure(const Attempt& attempt, uint16_t as_status) {
  if (upstream::OutlierMonitor* monitor = attempt.host()->monitor()) {
    monitor->on_local_failure(attempt.host(), as_status);
  }
}

void Router::answer_reset(ResetReason reason, std::string_view detail) {
  Arena& arena = stream_.arena();
  http::Failure failure;
  failure.status = status_of(reason);
  failure.flag = flag_of(reason);
  failure.details = reset_details("upstream_reset_before_response_started", reason, detail, arena);
  failure.body = arena.join("upstream connect error or disconnect/reset before headers. ",
                            retried_ ? "retried and the latest " : "",
                            "reset reason: ", http::reset_reason_text(reason));
  reply(failure, failure.body, reason == ResetReason::Overflow);
}

void Router::answer_no_host() {
  attempt_ = nullptr;
  count_upstream_code(http::failures::kNoHealthyUpstream.status, nullptr);
  reply(http::failures::kNoHealthyUpstream, {}, false);
}

// --- what takes too long ---

void Router::on_attempt_overdue(Attempt& attempt, Attempt::Bound bound) {
  switch (bound) {
    case Attempt::Bound::Headers:
      return on_try_timeout(attempt, ClusterStat::upstream_rq_per_try_timeout,
                            http::failures::kUpstreamPerTryTimeout);
    case Attempt::Bound::Idle:
      return on_try_timeout(attempt, ClusterStat::upstream_rq_per_try_idle_timeout,
                            http::failures::kUpstreamPerTryIdleTimeout);
    case Attempt::Bound::Stream:
      return on_stream_duration_reached(attempt);
  }
}

void Router::on_global_timeout() {
  for (Attempt* attempt = attempts_; attempt != nullptr; attempt = attempt->previous) {
    if (!attempt->in_flight()) continue;
    cluster_->stats().inc(ClusterStat::upstream_rq_timeout);
    count_for_route(RouteStat::upstream_rq_timeout);
    count(attempt->host()->counters.rq_timeout);
    if (response_started_) continue;
    if (!attempt->lateness_counted) report_failure(*attempt, kGatewayTimeout);
    charge_timeout(*attempt);
  }
  answer_timeout(http::failures::kUpstreamTimeout);
}

void Router::charge_timeout(const Attempt& attempt) {
  count(attempt.host()->counters.rq_error);
  count_upstream_code(timeout_status(), nullptr, &attempt);
}

void Router::on_try_timeout(Attempt& attempt, ClusterStat counter, const http::Failure& failure) {
  if (timeouts_.hedges) return hedge(attempt);
  cluster_->stats().inc(counter);
  count(attempt.host()->counters.rq_timeout);
  report_failure(attempt, kGatewayTimeout);
  if (!response_started_) {
    constexpr bool kLate = true;
    if (decide_retry(plan_.wants_retry_after_timeout(), kLate) == Again::Yes) {
      count(attempt.host()->counters.rq_error);
      attempt.abandon();
      return;
    }
    charge_timeout(attempt);
  }
  answer_timeout(failure);
}

/// `attempt` answers, and nobody else.
void Router::settle_on(Attempt& attempt) {
  plan_.give_up();
  resendable_ = false;
  back_off_timer_.disarm();
  release_retry();
  if (attempt_ != &attempt) note_connection(attempt);
  attempt_ = &attempt;
  for (Attempt* other = attempts_; other != nullptr; other = other->previous) {
    if (other != &attempt) other->abandon();
  }
}

/// The client may have asked for another status.
uint16_t Router::timeout_status() const {
  constexpr uint16_t kNoContent = 204;
  return timeouts_.answers_no_content ? kNoContent : kGatewayTimeout;
}

/// The attempts are given up; what was begun downstream can only be broken off.
void Router::answer_timeout(const http::Failure& timeout) {
  http::Failure failure = timeout;
  failure.status = timeout_status();
  if (failure.status != kGatewayTimeout) failure.body = {};
  give_up_attempts();
  if (response_started_) {
    stream_.reply(failure);
    return;
  }
  reply(failure, {}, false);
}

void Router::give_up_attempts() {
  for (Attempt* attempt = attempts_; attempt != nullptr; attempt = attempt->previous) {
    attempt->abandon();
  }
  back_off_timer_.disarm();
  release_retry();
}

/// An attempt's stream has lasted as long as the cluster, or the request, lets it.
void Router::on_stream_duration_reached(Attempt& attempt) {
  cluster_->stats().inc(ClusterStat::upstream_rq_max_duration_reached);
  const bool may_retry = !response_started_ && !attempt.replaced;
  if (may_retry && decide_retry(plan_.wants_retry_after_timeout()) == Again::Yes) {
    count(attempt.host()->counters.rq_error);
    attempt.abandon();
    return;
  }
  http::Failure failure = http::failures::kUpstreamMaxStreamDuration;
  if (request_ended_) failure.status = kGatewayTimeout;
  give_up_attempts();
  reply(failure, {}, false);
}

/// A local answer on behalf of the upstream.
void Router::reply(const http::Failure& failure, std::string_view body, bool overloaded) {
  global_timer_.disarm();
  give_up_attempts();
  std::array<http::ReplyHeader, 2> headers;
  size_t count = 0;
  if (stream_.route_decision().vhost->include_attempt_count_in_response) {
    headers[count++] = {HeaderId::XEnvoyAttemptCount, decimal(attempt_count_, stream_.arena())};
  }
  if (overloaded && config_.envoy_headers == EnvoyHeaders::Insert) {
    headers[count++] = {HeaderId::XEnvoyOverloaded, "true"};
  }
  over_ = true;
  stream_.reply(failure, body, {headers.data(), count});
}

// --------------------------------------------------------------------------------------------------------
// counting

void Router::count_upstream_code(uint16_t status, const HeaderMap* response,
                                 const Attempt* attempt) {
  if (!config_.dynamic_stats) return;
  upstream::Cluster::Stats& counts = cluster_->stats();
  const bool internal = stream_.request_headers().get(HeaderId::XEnvoyInternal) == "true";
  counts.count_response(ClusterScope::All, status);
  counts.count_response(internal ? ClusterScope::Internal : ClusterScope::External, status);
  if ((response != nullptr && response->get(HeaderId::XEnvoyUpstreamCanary) == "true") ||
      (attempt != nullptr && attempt->host()->endpoint().canary)) {
    counts.count_response(ClusterScope::Canary, status);
  }
  for (auto* slab : route_stats_) slab->count_response(stats::RouteScope::All, status);
}

void Router::count_retried_code(uint16_t status) {
  if (config_.dynamic_stats) cluster_->stats().count_response(ClusterScope::Retry, status);
}

/// What the answer says of the host that gave it. Of gRPC the status of the call decides, which may
/// come in trailers.
void Router::judge_host(Attempt& attempt, const HeaderMap& headers, bool end_stream) {
  constexpr uint16_t kFirstError = 500;
  upstream::HostCounters& counters = attempt.host()->counters;
  if (headers.status() < kFirstError) {
    const uint64_t took = now_us() - stream_.info().upstream_last_tx_us;
    counters.answer_us.fetch_add(took, std::memory_order_relaxed);
  }
  if (headers.status() >= kFirstError) {
    count(counters.rq_error);
  } else if (!grpc_) {
    count(counters.rq_success);
  } else if (end_stream) {
    count_grpc_verdict(counters, http::grpc_status_in(headers));
  } else {
    host_unjudged_ = true;
  }
}

/// By the request as the client sent it, before the route's edits.
void Router::find_route_counters(const HeaderMap& headers) {
  const RouteDecision& decision = stream_.route_decision();
  const uint32_t worker = stream_.worker().index();
  if (const VirtualCluster* cluster = virtual_cluster_of(*decision.vhost, headers)) {
    // The one that takes the rest has no name for logs, as in Envoy.
    if (!cluster->headers.empty()) stream_.info().virtual_cluster_name = cluster->name;
    route_stats_.push_back(&cluster->stats->at(worker));
  }
  if (decision.route->stats != nullptr) route_stats_.push_back(&decision.route->stats->at(worker));
}

void Router::count_for_route(stats::RouteStat stat) {
  for (auto* slab : route_stats_) slab->inc(stat);
}

void Router::count_upstream_time() {
  if (!config_.dynamic_stats || request_end_us_ == 0) return;
  upstream::Cluster::Stats& counts = cluster_->stats();
  const uint64_t ms = ms_since_request();
  const bool internal = stream_.request_headers().get(HeaderId::XEnvoyInternal) == "true";
  counts.record(ClusterHistogram::upstream_rq_time, ms);
  counts.record(internal ? ClusterHistogram::internal_upstream_rq_time
                         : ClusterHistogram::external_upstream_rq_time,
                ms);
  for (auto* slab : route_stats_) slab->record(stats::RouteHistogram::upstream_rq_time, ms);
}

}  // namespace remora::router
