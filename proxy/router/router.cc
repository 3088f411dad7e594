// The request's half of the router, in the order in which a request goes through it.
#include "proxy/router/router.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "proxy/http/grpc.h"
#include "proxy/http/upgrade.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/router/connection_name.h"
#include "proxy/router/shared_body.h"
#include "proxy/telemetry/log_format.h"
#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/metadata_criteria.h"
#include "proxy/upstream/original_dst.h"
#include "proxy/upstream/worker_context.h"

namespace remora::router {

using http::FilterStatus;
using http::HeaderId;
using http::HeaderMap;
using stats::ClusterStat;
using stats::RouterStat;
using stats::RouteStat;

namespace {

constexpr uint64_t kUsPerMs = 1000;

std::string_view decimal(uint64_t number, Arena& arena) {
  constexpr size_t kMaxDigits = 20;
  char* out = static_cast<char*>(arena.allocate(kMaxDigits, 1));
  char* end = std::to_chars(out, out + kMaxDigits, number).ptr;
  return {out, static_cast<size_t>(end - out)};
}

}  // namespace

Router::Router(http::FilterStream& stream, const RouterConfig& config)
    : stream_(stream),
      config_(config),
      stats_(config.stats->at(stream.worker().index())),
      unsent_(stream.worker().blocks()),
      replay_(stream.worker().blocks()),
      global_timer_(stream.worker().timers(), Timer::bind<&Router::on_global_timeout, Router>(),
                    this),
      per_try_timer_(stream.worker().timers(), Timer::bind<&Router::on_per_try_timeout, Router>(),
                     this),
      stream_timer_(stream.worker().timers(),
                    Timer::bind<&Router::on_stream_duration_reached, Router>(), this),
      back_off_timer_(stream.worker().timers(), Timer::bind<&Router::on_back_off_over, Router>(),
                      this) {}

Router::~Router() {
  for (Attempt* attempt = attempts_; attempt != nullptr;) {
    Attempt* previous = attempt->previous;
    attempt->~Attempt();
    attempt = previous;
  }
}

void Router::on_destroy() {
  over_ = true;
  global_timer_.disarm();
  per_try_timer_.disarm();
  stream_timer_.disarm();
  back_off_timer_.disarm();
  if (attempt_ != nullptr) attempt_->abandon();
  release_retry();
  mirrors_.detach();
}

FilterStatus Router::on_request_headers(HeaderMap& headers, bool end_stream) {
  stats_.inc(RouterStat::rq_total);
  const RouteDecision& decision = stream_.route_decision();
  if (decision.route == nullptr) {
    stats_.inc(RouterStat::no_route);
    return stream_.reply(http::failures::kRouteNotFound);
  }
  action_ = std::get_if<ClusterAction>(&decision.route->action);
  if (action_ == nullptr) return answer_directly(*decision.route, headers);
  upstream::Cluster* cluster = stream_.worker().clusters().find(decision.cluster);
  if (cluster == nullptr) return refuse_unknown_cluster(*action_);
  cluster_ = upstream::ClusterPin(*cluster);
  stream_.info().upstream_cluster = decision.cluster;

  find_route_counters(headers);
  choose_member();
  set_needs(headers);
  prepare_request(headers);
  set_hash(headers);
  set_metadata();
  request_ended_ = headers_only_ = end_stream;
  extras_ = decision.route->extras.get();
  if (extras_ != nullptr && !extras_->mirrors.empty()) prepare_mirrors();
  try_upstream();
  if (over_) return FilterStatus::Continue();
  if (!mirrors_.empty()) mirrors_.start(end_stream);
  if (end_stream) {
    on_request_complete();
  } else if (!stream_.info().tunnel.empty()) {
    start_timeouts();  // what follows the headers is no part of the request
  }
  return FilterStatus::Continue();
}

void Router::prepare_mirrors() {
  constexpr uint32_t kMostBytes = 1024 * 1024;  // of a connection that has no limit
  if (!stream_.info().tunnel.empty()) return;
  const uint32_t limit = stream_.buffer_limit();
  mirrors_.prepare(
      *extras_, stream_,
      {.timeout_ms = timeouts_.global_ms, .buffer_bytes = limit != 0 ? limit : kMostBytes});
}

/// What tells connections for this request from others. The name that TLS to the upstream asks for
/// and verifies, when the cluster takes it from requests: as the client sent it, before the route's
/// edits.
void Router::set_needs(const HeaderMap& headers) {
  const upstream::ClusterConfig& config = member_->config();
  needs_.downstream_protocol = stream_.info().protocol;
  if (config.tells_downstream) {
    needs_.downstream = stream_.info().connection;
    needs_.key = stream_.arena().join(needs_.downstream->remote.to_string(), " ",
                                      needs_.downstream->local.to_string());
  }
  name_connection(config, headers, stream_.arena(), &needs_);
}

/// Of the request as the route has edited it, as Envoy does.
void Router::set_hash(const HeaderMap& headers) {
  if (action_->hash_policies.empty() || !member_->config().chooses_by_hash()) return;
  const http::StreamInfo& info = stream_.info();
  RequestHash hash =
      hash_request(action_->hash_policies, headers, {info.remote, info.connection->local, &info});
  hash_ = hash.value;
  for (const std::string& cookie : hash.set_cookies) {
    set_cookies_.push_back(stream_.arena().copy(cookie));
  }
}

/// What the route asks of hosts; what the connection's and the request's filters ask goes before
/// it.
void Router::set_metadata() {
  const WeightedCluster* weighted = stream_.route_decision().weighted;
  metadata_ = weighted != nullptr && weighted->metadata_match != nullptr
                  ? weighted->metadata_match.get()
                  : action_->metadata_match.get();
  const http::StreamInfo& info = stream_.info();
  for (const Metadata* from : {&info.connection->metadata, &info.dynamic_metadata}) {
    const MetadataStruct* more = from->find(upstream::kBalancingMetadata);
    if (more == nullptr) continue;
    own_metadata_ = std::make_unique<const upstream::MetadataCriteria>(
        metadata_ != nullptr ? metadata_->merged(*more) : upstream::MetadataCriteria(*more));
    metadata_ = own_metadata_.get();
  }
}

FilterStatus Router::refuse_unknown_cluster(const ClusterAction& action) {
  stats_.inc(RouterStat::no_cluster);
  http::Failure failure = http::failures::kClusterNotFound;
  failure.status = action.cluster_not_found_status;
  return stream_.reply(failure);
}

FilterStatus Router::answer_directly(const Route& route, HeaderMap& headers) {
  constexpr uint16_t kCreated = 201;
  stats_.inc(RouterStat::rq_direct_response);  // redirects included, as Envoy counts
  if (const auto* redirect = std::get_if<RedirectAction>(&route.action)) {
    if (redirect->has_prefix_rewrite) {
      rewrite_prefix(route.match, redirect->prefix_rewrite, headers, config_.envoy_headers);
    }
    const http::ReplyHeader location = {HeaderId::Location,
                                        redirect_location(*redirect, stream_.info(), headers)};
    return stream_.reply({redirect->status, http::kNoFlag, kDirectResponse, {}}, {},
                         {&location, 1});
  }
  const auto& direct = std::get<DirectAction>(route.action);
  http::Failure answer = {direct.status, http::kNoFlag, kDirectResponse, direct.body};
  std::array<http::ReplyHeader, 2> own;
  size_t count = 0;
  if (route.extras != nullptr && route.extras->direct) {
    answer.body = direct_body(*route.extras->direct, direct);
    if (!answer.body.empty()) {
      own[count++] = {HeaderId::ContentType, route.extras->direct->content_type};
    }
  }
  if (direct.status == kCreated || direct.status / 100 == 3) {
    own[count++] = {HeaderId::Location, redirect_location({}, stream_.info(), headers)};
  }
  return stream_.reply(answer, {}, {own.data(), count});
}

/// What the format makes of the action's own body and of the request.
std::string_view Router::direct_body(const DirectFormat& format, const DirectAction& direct) {
  http::StreamInfo& info = stream_.info();
  info.local_reply_body = direct.body;
  std::string text;
  format.format->append(info, text);
  info.local_reply_body = {};
  return stream_.arena().copy(text);
}

/// Timeouts, retry plan and the route's edits: what happens once, before the first attempt.
void Router::prepare_request(HeaderMap& headers) {
  const RouteDecision& decision = stream_.route_decision();
  const VirtualHost& vhost = *decision.vhost;
  const RetryPolicy* policy = action_->retry ? &*action_->retry
                              : vhost.retry  ? &*vhost.retry
                                             : nullptr;
  grpc_ = http::has_grpc_content_type(headers);
  timeouts_ = timeouts_of(*action_, policy, config_.respect_expected_rq_timeout, headers);
  set_attempt_headers();
  stream_.info().attempt_count = attempt_count_;
  edit_request(decision, stream_.info(), headers, config_.envoy_headers);
  plan_ = RetryPlan(policy, headers);
}

/// What tells the upstream which attempt this is and how long it has.
void Router::set_attempt_headers() {
  HeaderMap& headers = stream_.request_headers();
  Arena& arena = stream_.arena();
  if (const uint64_t ms = expected_timeout_ms(timeouts_, ms_since_request()); ms != 0) {
    if (config_.envoy_headers == EnvoyHeaders::Insert) {
      headers.set(HeaderId::XEnvoyExpectedRqTimeoutMs, decimal(ms, arena));
    }
    if (timeouts_.tells_grpc) http::set_grpc_timeout(ms, headers);
  }
  if (stream_.route_decision().vhost->include_request_attempt_count) {
    headers.set(HeaderId::XEnvoyAttemptCount, decimal(attempt_count_, arena));
  }
}

void Router::try_upstream() {
  stream_.info().attempt_count = attempt_count_;
  if (attempt_count_ > 1 && choose_member()) set_needs(stream_.request_headers());
  upstream::HostPtr host = pick_host();
  if (host == nullptr) return answer_no_host();
  stream_.info().upstream_host = &host->address();
  stream_.info().upstream_metadata = host->endpoint().metadata.get();
  if (action_->auto_host_rewrite && !host->hostname().empty()) {
    rewrite_host(*action_, stream_.arena().copy(host->hostname()), stream_.request_headers());
  }
  if (stream_.info().scheme_follows_upstream) {
    const bool secure = member_->config().reaches_securely(host->transport());
    stream_.request_headers().set(HeaderId::Scheme, secure ? "https" : "http");
  }
  auto* attempt =
      stream_.arena().make<Attempt>(static_cast<Attempt::Owner&>(*this), std::move(host));
  attempt->previous = std::exchange(attempts_, attempt);
  attempt_ = attempt;
  if (request_ended_ && timeouts_.per_try_ms != 0) per_try_timer_.arm(timeouts_.per_try_ms);
  const auto priority =
      action_->high_priority ? upstream::Priority::High : upstream::Priority::Default;
  const auto refused = ends_here() ? attempt->start_raw(*member_, needs_)
                                   : attempt->start(*member_, priority, needs_);
  if (refused) on_attempt_failed(*attempt, *refused, {});
}

/// Whether what the request carries are bytes for the cluster, as they are.
bool Router::ends_here() const {
  if (!action_->connect) return false;
  if (stream_.info().tunnel == http::kConnect) return true;
  return action_->connect->allow_post && stream_.request_headers().method() == "POST";
}

/// Of an aggregate cluster the part that serves the next attempt. Answers whether it is another.
bool Router::choose_member() {
  upstream::PickContext context;
  upstream::Cluster& chosen = cluster_->member_for(context);
  member_choice_ = context.choice;
  if (member_.get() == &chosen) return false;
  member_ = upstream::ClusterPin(chosen);
  return true;
}

upstream::HostPtr Router::pick_host() {
  const http::StreamInfo& info = stream_.info();
  const upstream::ClusterConfig& cluster = member_->config();
  upstream::PickContext context;
  context.random = stream_.worker().random();
  context.hash = hash_;
  context.metadata = metadata_;
  context.choice = member_choice_;
  // A retry is not for the host that failed.
  if (attempt_count_ == 1) context.override_host = info.override_host;
  context.override_host_strict = info.override_host_strict;
  if (info.connection->local_restored) context.original_destination = &info.connection->local;
  if (cluster.original_dst_use_http_header) {
    const http::HeaderEntry* header =
        stream_.request_headers().find(cluster.original_dst_http_header);
    if (header != nullptr) context.override_host_header = header->value;
  }
  if (const auto& key = upstream::balancing_of(cluster).original_dst_metadata; !key.empty()) {
    context.override_host_metadata =
        upstream::destination_in(key, {&info.dynamic_metadata, &info.connection->metadata});
  }
  const RetryPolicy* policy = plan_.policy();
  if (policy != nullptr && policy->previous_hosts && !tried_.empty()) {
    context.avoid = tried_.data();
    context.avoid_count = tried_.size();
    context.max_attempts = policy->host_selection_max_attempts;
  }
  upstream::HostPtr host = member_->pick_host(context);
  if (host != nullptr && policy != nullptr && policy->previous_hosts) tried_.push_back(host.get());
  return host;
}

FilterStatus Router::on_request_body(Buffer& data, bool end_stream) {
  request_ended_ = end_stream;
  if (!mirrors_.empty()) mirrors_.send(data, end_stream);
  keep_for_replay(data);
  if (attempt_ != nullptr && attempt_->sender() != nullptr) {
    stream_.info().upstream_last_tx_us = now_us();
    attempt_->sender()->send_data(data, end_stream);
    if (end_stream && response_ended_) attempt_->complete();
  } else if (attempt_ != nullptr && !attempt_->opened()) {
    unsent_.append(data, data.size());
    if (unsent_.size() > stream_.buffer_limit() && !body_paused_) {
      body_paused_ = true;
      stream_.pause_request_body();
    }
  } else {
    data.clear();  // waiting to retry (replay_ has it), or the response is already complete
  }
  if (end_stream) on_request_complete();
  return FilterStatus::Continue();
}

FilterStatus Router::on_request_trailers(HeaderMap& trailers) {
  request_ended_ = true;
  trailers_ = &trailers;
  if (!mirrors_.empty()) mirrors_.send_trailers(trailers);
  if (attempt_ != nullptr && attempt_->sender() != nullptr) {
    stream_.info().upstream_last_tx_us = now_us();
    attempt_->sender()->send_trailers(trailers);
  }
  on_request_complete();
  return FilterStatus::Continue();
}

bool Router::may_redirect() const {
  return extras_ != nullptr && extras_->redirects && !body_lost_;
}

/// For whom no policy sends it again less is kept: of a long body much will have gone before it
/// fails.
size_t Router::replay_limit() const {
  constexpr size_t kMaxResendBytes = size_t{64} * 1024;
  const size_t limit =
      extras_ != nullptr && extras_->body_limit ? *extras_->body_limit : stream_.buffer_limit();
  return plan_.armed() || may_redirect() ? limit : std::min(limit, kMaxResendBytes);
}

/// A body that does not fit cannot be sent twice.
void Router::keep_for_replay(Buffer& data) {
  if ((!plan_.armed() && !resendable_ && !may_redirect()) || response_started_) return;
  const bool fits = replay_.size() + data.size() <= replay_limit();
  const bool waiting_to_retry = attempt_ == nullptr;
  if (fits || waiting_to_retry) share(data, replay_);
  if (!fits && waiting_to_retry && !std::exchange(body_paused_, true)) stream_.pause_request_body();
  if (fits || waiting_to_retry) return;
  if (plan_.armed() || may_redirect()) {
    cluster_->stats().inc(ClusterStat::retry_or_shadow_abandoned);
  }
  plan_.give_up();
  resendable_ = false;
  body_lost_ = true;
  replay_.clear();
}

void Router::on_request_complete() {
  request_end_us_ = now_us();
  if (!tunnel_) start_timeouts();
}

void Router::start_timeouts() {
  if (attempt_ == nullptr && !back_off_timer_.armed()) return;
  if (timeouts_.global_ms != 0) global_timer_.arm(timeouts_.global_ms);
  if (attempt_ != nullptr && timeouts_.per_try_ms != 0 && !per_try_timer_.armed()) {
    per_try_timer_.arm(timeouts_.per_try_ms);
  }
}

void Router::on_attempt_open(Attempt& attempt) {
  if (upstream::OutlierMonitor* monitor = attempt.host()->monitor()) {
    monitor->on_connected(attempt.host(), false);
  }
  attempt_ = &attempt;
  count_for_route(RouteStat::upstream_rq_total);
  http::StreamInfo& info = stream_.info();
  Connection& connection = attempt.connection();
  info.upstream_host = &attempt.host()->address();
  info.upstream_metadata = attempt.host()->endpoint().metadata.get();
  info.upstream_connection_id = connection.id();
  info.upstream_local = connection.local_address();
  info.upstream_first_tx_us = info.upstream_last_tx_us = now_us();
  // Whoever took the headers may have changed the protocol already.
  if (!info.tunnel.empty()) plan_.give_up();
  resendable_ = resendable_ && info.tunnel.empty() && attempt.may_go_unprocessed();
  if (!resendable_ && !plan_.armed() && !may_redirect()) replay_.clear();
  if (attempt.raw() != nullptr && action_->connect->proxy_protocol) {
    attempt.raw()->send_first(proxy_protocol_header(*action_->connect->proxy_protocol,
                                                    info.connection, connection.local_address(),
                                                    connection.peer_address()));
  }
  const uint64_t longest =
      timeouts_.upstream_stream_ms.value_or(cluster_->config().max_stream_duration_ms);
  if (longest != 0) stream_timer_.arm(longest);
  for (uint32_t i = 0; i < response_pauses_; ++i) attempt.sender()->pause_receiving();
  send_request();
  if (std::exchange(body_paused_, false)) stream_.resume_request_body();
}

void Router::on_attempt_high_water() {
  cluster_->stats().inc(ClusterStat::upstream_flow_control_backed_up_total);
  stream_.pause_request_body();
}

void Router::on_attempt_low_water() {
  cluster_->stats().inc(ClusterStat::upstream_flow_control_drained_total);
  stream_.resume_request_body();
}

/// Everything that is there of the request goes to an attempt that has just opened.
void Router::send_request() {
  http::StreamSender& sender = *attempt_->sender();
  const bool ends = request_ended_ && trailers_ == nullptr;
  sender.send_headers(stream_.request_headers(), headers_only_);
  if (headers_only_) return;
  if (ends || !unsent_.empty()) sender.send_data(unsent_, ends);
  if (trailers_ != nullptr) sender.send_trailers(*trailers_);
}

// --------------------------------------------------------------------------------------------------
// trying again

Router::Again Router::decide_retry(bool wanted) {
  if (retry_taken_ && retried_ && !wanted) {
    cluster_->stats().inc(ClusterStat::upstream_rq_retry_success);
    count_for_route(RouteStat::upstream_rq_retry_success);
  }
  release_retry();
  if (!wanted) return Again::No;
  upstream::Cluster::Stats& counts = cluster_->stats();
  if (plan_.remaining() == 0) {
    counts.inc(ClusterStat::upstream_rq_retry_limit_exceeded);
    count_for_route(RouteStat::upstream_rq_retry_limit_exceeded);
    stream_.info().flags.set(http::ResponseFlag::URX);
    return Again::No;
  }
  const auto priority =
      action_->high_priority ? upstream::Priority::High : upstream::Priority::Default;
  if (!cluster_->try_retry(priority)) {
    counts.inc(ClusterStat::upstream_rq_retry_overflow);
    count_for_route(RouteStat::upstream_rq_retry_overflow);
    stream_.info().flags.set(http::ResponseFlag::UO);
    return Again::No;
  }
  plan_.spend();
  retry_taken_ = true;
  retried_ = true;
  counts.inc(ClusterStat::upstream_rq_retry);
  count_for_route(RouteStat::upstream_rq_retry);
  counts.inc(ClusterStat::upstream_rq_retry_backoff_exponential);
  attempt_ = nullptr;
  per_try_timer_.disarm();
  stream_timer_.disarm();
  back_off_timer_.arm(plan_.next_back_off_ms(stream_.worker().random()));
  return Again::Yes;
}

/// Nothing of the request was processed, which the attempt knows for certain: it goes out once more
/// without any policy, on a connection that nobody has used. Streams that a loaded host refuses are
/// sent again within the bounds of retries only.
Router::Again Router::send_unprocessed_again(http::ResetReason reason) {
  if (!std::exchange(resendable_, false)) return Again::No;
  if (reason == http::ResetReason::RemoteRefused) {
    const auto priority =
        action_->high_priority ? upstream::Priority::High : upstream::Priority::Default;
    if (retry_taken_ || !cluster_->try_retry(priority)) return Again::No;
    retry_taken_ = true;
  }
  resent_ = true;
  cluster_->remora_stats().inc(upstream::ClusterRemoraStat::upstream_rq_resent);
  attempt_ = nullptr;
  unsent_.clear();
  share(replay_, unsent_);
  needs_.fresh = true;
  try_upstream();
  needs_.fresh = false;
  return Again::Yes;
}

void Router::release_retry() {
  if (!std::exchange(retry_taken_, false)) return;
  cluster_->release_retry(action_->high_priority ? upstream::Priority::High
                                                 : upstream::Priority::Default);
}

void Router::on_back_off_over() {
  ++attempt_count_;
  unsent_.clear();
  share(replay_, unsent_);
  set_attempt_headers();
  try_upstream();
}

// ------------------------------------------------------------------------------------------------------
// the clock

uint64_t Router::now_us() const { return stream_.worker().loop().time().now_us; }

uint64_t Router::ms_since_request() const {
  return request_end_us_ == 0 ? 0 : (now_us() - request_end_us_) / kUsPerMs;
}

}  // namespace remora::router
