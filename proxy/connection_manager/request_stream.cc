#include "proxy/connection_manager/request_stream.h"

#include <ctime>
#include <span>

#include "proxy/connection_manager/connection_manager.h"
#include "proxy/connection_manager/forwarded.h"
#include "proxy/connection_manager/request_head.h"
#include "proxy/connection_manager/request_id.h"
#include "proxy/connection_manager/upgrade.h"
#include "proxy/http/status_text.h"
#include "proxy/http/upgrade.h"
#include "proxy/http1/hop_by_hop.h"
#include "proxy/router/request_edit.h"
#include "proxy/router/route_tables.h"
#include "proxy/router/timeouts.h"
#include "proxy/telemetry/access_log.h"
#include "proxy/upstream/worker_context.h"

namespace remora::connection_manager {

using http::HeaderId;
using http::HeaderMap;
using stats::HttpStat;

namespace {

bool opens_tunnel(const HeaderMap* request, uint16_t status) {
  if (status == 101) return true;
  return request != nullptr && request->method() == "CONNECT" && status >= 200 && status < 300;
}

}  // namespace

RequestStream::RequestStream(WorkerContext& worker)
    : Stream(worker.loop(), worker),
      worker_(worker),
      log_timer_(worker.timers(), Timer::bind<&RequestStream::log_periodically, RequestStream>(),
                 this) {}

void RequestStream::begin(ConnectionManager& owner, http::StreamSender& sender) {
  owner_ = &owner;
  decision_ = {};
  routed_ = malformed_ = false;
  table_ = nullptr;
  const HttpConfig& config = owner.config();
  open(sender, owner.buffer_limit(), limits());
  info().protocol = sender.protocol();
  info().connection = &owner.facts();
  info().remote = owner.facts().remote;
  info().scheme_follows_upstream = config.scheme_matches_upstream;
  if (config.log_interval_ms != 0) log_timer_.arm(config.log_interval_ms);
}

http::StreamTimers::Limits RequestStream::limits() const {
  const HttpConfig& config = owner_->config();
  return {.request_headers = config.request_headers_timeout_ms,
          .request = config.request_timeout_ms,
          .idle = config.stream_idle_timeout_ms,
          .max_duration = config.max_stream_duration_ms};
}

void RequestStream::refuse(uint16_t status, std::string_view detail) {
  malformed_ = true;
  reply({status, http::ResponseFlag::DPE, arena().copy(detail), http::status_text(status)}, {}, {});
}

// -------------------------------------------------------------------------------------------------
// the request

void RequestStream::on_request_head(HeaderMap& headers, bool end_stream) {
  const HttpConfig& config = owner_->config();
  info().protocol = sender()->protocol();
  if (expects_continue(headers)) answer_expectation(headers);
  if (refuse_bad_head(headers)) return;

  if (!config.early_mutations.empty()) apply(config.early_mutations, info(), scratch_, headers);
  remove_request_hop_by_hop(headers);
  pinned_ = owner_->route_table(&table_);
  const ConnectionFacts& facts = owner_->facts();
  const Origin origin = apply_forwarded(
      config, {facts.remote, owner_->secure(), facts.tls, facts.local.port(), facts.local_restored},
      table_ != nullptr ? std::span<const std::string>(table_->input().internal_only_headers)
                        : std::span<const std::string>(),
      headers);
  if (origin.reject_status != 0) {
    return reply({origin.reject_status, http::kNoFlag, "rejecting_because_detection_failed", ""},
                 {}, {});
  }
  apply_request_id(config, origin, worker_.random(), worker_.random(), headers);
  if (config.tracing) pack_trace_reason(config, worker_.random(), headers);
  info().remote = origin.remote;
  info().request_id = headers.get(HeaderId::XRequestId);

  route_decision();
  const Admission admission = admit_upgrade(headers);
  if (admission == Admission::Refused) return;
  enter_filters(end_stream || admission == Admission::Complete);
}

void RequestStream::enter_filters(bool end_stream) {
  const HttpConfig& config = owner_->config();
  begin_filters(config.filters.size());
  for (const HttpFilterConfig& filter : config.filters) {
    add_filter(*filter.factory, filter.route_type);
  }
  if (config.log_new_requests) log(http::LogEntry::Start);
  run_filters(end_stream);
}

/// What came of it so far is logged by itself, under the route that takes it now. Who sent it and
/// by what name it is known stays, and what filters have left for the rest of the request.
void RequestStream::on_restart(bool end_stream) {
  const uint64_t now_us = loop().time().now_us;
  routed_ = false;
  route_decision();
  info().end_us = now_us;
  log(http::LogEntry::End);
  http::StreamInfo before = std::exchange(info(), http::StreamInfo());
  owner_->count(HttpStat::downstream_rq_total);
  owner_->count(before.protocol == http::Protocol::Http2 ? HttpStat::downstream_rq_http2_total
                                                         : HttpStat::downstream_rq_http1_total);
  info().bytes_received = before.bytes_received;
  info().protocol = before.protocol;
  info().connection = before.connection;
  info().request_headers = before.request_headers;
  info().remote = before.remote;
  info().request_id = before.request_id;
  info().scheme_follows_upstream = before.scheme_follows_upstream;
  info().filter_state = std::move(before.filter_state);
  info().start_wall_ns = loop().time().wall_ns;
  info().start_us = info().request_end_us = now_us;
  timers().start(limits());
  timers().on_request_complete();
  routed_ = false;
  if (refuse_bad_head(request_headers())) return;
  route_decision();
  enter_filters(end_stream);
}

/// What the request wants to become is decided before any filter sees it.
RequestStream::Admission RequestStream::admit_upgrade(HeaderMap& headers) {
  const std::string_view wanted = http::wanted_tunnel(headers);
  if (wanted.empty()) return Admission::Unchanged;
  UpgradeVerdict verdict = judge_upgrade(owner_->config(), decision_.route, wanted);
  const bool may_be_plain = wanted != http::kConnect && info().protocol != http::Protocol::Http2;
  if (verdict == UpgradeVerdict::Unknown && may_be_plain) {
    http1::remove_hop_by_hop(headers);
    sender()->decline_upgrade();
    request_is_complete();
    return Admission::Complete;
  }
  if (verdict == UpgradeVerdict::Accept) {
    owner_->count(HttpStat::downstream_cx_upgrades_total);
    owner_->count(HttpStat::downstream_cx_upgrades_active);
    info().tunnel = wanted == http::kConnect ? http::kConnect : arena().copy(wanted);
    return Admission::Unchanged;
  }
  if (decision_.route == nullptr) return Admission::Unchanged;  // the router says so
  owner_->count(HttpStat::downstream_rq_ws_on_non_ws_route);
  reply(http::failures::kUpgradeFailed, {}, {});
  return Admission::Refused;
}

/// The proxy lets the client go on by itself unless the upstream shall be asked.
void RequestStream::answer_expectation(HeaderMap& headers) {
  if (owner_->config().proxy_100_continue) return;
  HeaderMap go_on(arena());
  go_on.set_status(100);
  count_response(100);
  sender()->send_informational(go_on);
  headers.remove(HeaderId::Expect);
}

bool RequestStream::refuse_bad_head(HeaderMap& headers) {
  const HeadProblem problem = check_head(owner_->config(), owner_->facts().local.port(), headers);
  if (problem == HeadProblem::None) return false;
  std::array<http::ReplyHeader, 1> location = {{{HeaderId::Location, headers.path()}}};
  std::span<const http::ReplyHeader> extra;
  switch (problem) {
    case HeadProblem::RelativePath:
      owner_->count(HttpStat::downstream_rq_non_relative_path);
      break;
    case HeadProblem::PathNormalization:
      owner_->count(HttpStat::downstream_rq_failed_path_normalization);
      malformed_ = true;
      break;
    case HeadProblem::RedirectToNormalizedPath:
      owner_->count(HttpStat::downstream_rq_redirected_with_normalized_path);
      extra = location;
      break;
    default:
      malformed_ = problem != HeadProblem::Expectation;
      break;
  }
  if (owner_->config().stream_error_on_invalid_http_message) malformed_ = false;
  reply(failure_of(problem), {}, extra);
  return true;
}

const router::RouteDecision& RequestStream::route_decision() {
  if (routed_) return decision_;
  routed_ = true;
  decision_ = table_ != nullptr ? table_->decide(request_headers(), worker_.random(), &info())
                                : router::RouteDecision();
  apply_route_limits();
  info().route_name =
      decision_.route != nullptr ? std::string_view(decision_.route->name) : std::string_view();
  info().virtual_host_name =
      decision_.vhost != nullptr ? std::string_view(decision_.vhost->name) : std::string_view();
  return decision_;
}

void RequestStream::apply_route_limits() {
  if (decision_.route == nullptr || finished()) return;
  const auto* action = std::get_if<router::ClusterAction>(&decision_.route->action);
  if (action == nullptr) return;
  if (action->idle_timeout_ms) timers().set_idle(*action->idle_timeout_ms);
  const auto duration = router::stream_duration_ms(*action, owner_->config().max_stream_duration_ms,
                                                   request_headers());
  if (!duration) return timers().set_max_duration(0);
  // It began with the first byte of the request; what is over ends in a moment.
  constexpr uint64_t kUsPerMs = 1000, kSoon = 1;
  const uint64_t used = (loop().time().now_us - info().start_us) / kUsPerMs;
  timers().set_max_duration(*duration > used ? *duration - used : kSoon);
}

const void* RequestStream::route_config_of(std::string_view filter_name, std::string_view type) {
  const router::FilterOverride* found = router::filter_override(route_decision(), filter_name);
  return found != nullptr && found->type == type ? found->config.get() : nullptr;
}

// ------------------------------------------------------------------------------------------------
// the response

/// A route that answers by itself edits that answer with all that is in it, and no other.
void RequestStream::add_to_local_reply(std::span<const http::ReplyHeader> own, HeaderMap& headers) {
  const auto add_own = [&] {
    for (const http::ReplyHeader& header : own) headers.set(header.id, header.value);
  };
  if (!routed_ || decision_.route == nullptr || decision_.route->vhost == nullptr) return add_own();
  if (info().response_code_details == router::kDirectResponse) {
    add_own();
    return router::edit_response(decision_, info(), headers);
  }
  if (std::holds_alternative<router::ClusterAction>(decision_.route->action)) {
    router::edit_response(decision_, info(), headers);
  }
  add_own();
}

void RequestStream::map_local_reply(http::LocalReply& reply, HeaderMap& headers) {
  const HttpConfig& config = owner_->config();
  if (config.local_replies == nullptr) return;
  apply(*config.local_replies, info(), worker_.random(), scratch_, reply, headers);
}

void RequestStream::on_response_head(HeaderMap& headers, bool /*end_stream*/) {
  const HttpConfig& config = owner_->config();
  remove_response_hop_by_hop(headers);
  if (!headers.has(HeaderId::Date)) {
    headers.add(HeaderId::Date, arena().copy(worker_.streams().date()));
  }
  if (config.server_header == HttpConfig::ServerHeader::Overwrite ||
      (config.server_header == HttpConfig::ServerHeader::AppendIfAbsent &&
       !headers.has(HeaderId::Server))) {
    headers.set(HeaderId::Server, config.server_name);
  }
  const HeaderMap* request = info().request_headers;
  const bool forced = request != nullptr && request->has(HeaderId::XEnvoyForceTrace);
  if ((config.always_set_request_id_in_response || forced) && !info().request_id.empty()) {
    headers.set(HeaderId::XRequestId, info().request_id);
  }
  if (!config.via.empty()) headers.append(HeaderId::Via, config.via, ", ");
  if (!request_ended()) owner_->count(HttpStat::downstream_rq_response_before_rq_complete);
  const bool http1 = info().protocol != http::Protocol::Http2;
  if (owner_->closes_after_response() || (http1 && (malformed_ || !request_ended()))) {
    if (http1 && headers.status() != 101) headers.set(HeaderId::Connection, "close");
  }
  count_response(headers.status());
  if (config.log_new_tunnels && opens_tunnel(request, headers.status())) {
    info().response_code = headers.status();
    log(http::LogEntry::TunnelEstablished);
  }
}

bool RequestStream::passes_informational() const { return owner_->config().proxy_100_continue; }

void RequestStream::count_response(uint16_t status) { owner_->count_response(status); }

void RequestStream::on_request_paused() {
  owner_->count(HttpStat::downstream_flow_control_paused_reading_total);
}

void RequestStream::on_request_resumed() {
  owner_->count(HttpStat::downstream_flow_control_resumed_reading_total);
}

void RequestStream::on_stream_deadline(http::StreamDeadline which) {
  switch (which) {
    case http::StreamDeadline::RequestHeaders:
      return owner_->count(HttpStat::downstream_rq_header_timeout);
    case http::StreamDeadline::Request:
      return owner_->count(HttpStat::downstream_rq_timeout);
    case http::StreamDeadline::Idle:
      return owner_->count(HttpStat::downstream_rq_idle_timeout);
    case http::StreamDeadline::MaxDuration:
      return owner_->count(HttpStat::downstream_rq_max_duration_reached);
  }
}

void RequestStream::log(http::LogEntry entry) {
  info().log_entry = entry;
  for (const auto& access_log : owner_->config().access_logs) access_log->log(worker_, info());
  info().log_entry = http::LogEntry::End;
}

void RequestStream::log_periodically() {
  log(http::LogEntry::Periodic);
  log_timer_.arm(owner_->config().log_interval_ms);
}

void RequestStream::on_finished() {
  if (!info().tunnel.empty()) owner_->count_less(HttpStat::downstream_cx_upgrades_active);
  log_timer_.disarm();
  log(http::LogEntry::End);
  owner_->on_stream_finished(*this);
  owner_ = nullptr;
}

void RequestStream::on_idle() {
  pinned_ = {};
  decision_ = {};
  table_ = nullptr;
  worker_.streams().give_back(*this);
}

// ----------------------------------------------------------------------------------------------------
// the pool

StreamPool::StreamPool(WorkerContext& worker) : worker_(worker) {}
StreamPool::~StreamPool() = default;

RequestStream& StreamPool::take() {
  ++in_use_;
  if (all_.empty()) return *new RequestStream(worker_);
  RequestStream* stream = all_.back().release();
  all_.pop_back();
  return *stream;
}

void StreamPool::give_back(RequestStream& stream) {
  --in_use_;
  if (all_.size() < kMaxIdle) {
    all_.emplace_back(&stream);
  } else {
    delete &stream;
  }
}

std::string_view StreamPool::date() {
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  const int64_t second = worker_.loop().time().wall_ns / kNsPerSecond;
  constexpr size_t kLength = 29;
  if (second != date_second_) {
    date_second_ = second;
    const time_t now = second;
    tm utc;
    gmtime_r(&now, &utc);
    strftime(date_.data(), date_.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  }
  return {date_.data(), kLength};
}

}  // namespace remora::connection_manager
