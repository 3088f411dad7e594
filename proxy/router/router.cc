// The request's half of the router, in the order in which a request goes through it.
#include "proxy/router/router.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "proxy/http/grpc.h"
#include "proxy/http/upgrade.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/router/connection_name.h"
#include "proxy/router/retry_extras.h"
#include "proxy/router/shared_body.h"
#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/dns_cache.h"
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
  give_up_attempts();
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
  prepare_request(headers);
  set_needs(headers);
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

/// What tells connections for this request from others. The host that it is for, and the name that
/// TLS to the upstream asks for and verifies, where the cluster takes them from requests: as the
/// route has edited them, as Envoy does.
void Router::set_needs(const HeaderMap& headers) {
  const upstream::ClusterConfig& config = member_->config();
  needs_.downstream_protocol = stream_.info().protocol;
  if (config.tells_downstream) {
    needs_.downstream = stream_.info().connection;
    needs_.key = stream_.arena().join(needs_.downstream->remote.to_string(), " ",
                                      needs_.downstream->local.to_string());
  }
  name_connection(config, headers, stream_.arena(), &needs_);
  if (upstream::balancing_of(config).dns_cache != nullptr) {
    forward_key_ =
        upstream::host_key(headers.authority(), upstream::default_port(config), stream_.arena());
  }
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

/// Timeouts, retry plan and the route's edits: what happens once, before the first attempt.
void Router::prepare_request(HeaderMap& headers) {
  const RouteDecision& decision = stream_.route_decision();
  const VirtualHost& vhost = *decision.vhost;
  const RetryPolicy* policy = action_->retry ? &*action_->retry
                              : vhost.retry  ? &*vhost.retry
                                             : nullptr;
  grpc_ = http::has_grpc_content_type(headers);
  const bool hedges = action_->hedges.value_or(vhost.hedges.value_or(false));
  timeouts_ = timeouts_of(*action_, policy, config_.respect_expected_rq_timeout, hedges, headers);
  set_attempt_headers();
  stream_.info().attempt_count = attempt_count_;
  edit_request(decision, stream_.info(), headers, config_.envoy_headers);
  plan_ = RetryPlan(policy, headers);
  const RetryExtras* extras = policy != nullptr ? policy->extras.get() : nullptr;
  if (extras != nullptr && extras->priority_update_frequency != 0) {
    previous_priorities_ =
        std::make_unique<upstream::PreviousPriorities>(extras->priority_update_frequency);
  }
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
  const VirtualHost& vhost = *stream_.route_decision().vhost;
  if (vhost.include_request_attempt_count) {
    headers.set(HeaderId::XEnvoyAttemptCount, decimal(attempt_count_, arena));
  }
  if (vhost.include_is_timeout_retry_header && attempt_count_ > 1) {
    headers.set("x-envoy-is-timeout-retry", last_was_late_ ? "true" : "false");
  }
}

void Router::try_upstream() {
  stream_.info().attempt_count = attempt_count_;
  if (attempt_count_ > 1 && choose_member()) set_needs(stream_.request_headers());
  upstream::HostPtr host = pick_host();
  if (host == nullptr) return answer_no_host();
  stream_.info().upstream_host = &host->address();
  stream_.info().upstream_metadata = host->extras().metadata.get();
  if (action_->auto_host_rewrite && !host->hostname().empty()) {
    rewrite_host(*action_, stream_.arena().copy(host->hostname()), stream_.request_headers());
  }
  if (stream_.info().scheme_follows_upstream) {
    const bool secure = member_->config().reaches_securely(host->transport());
    stream_.request_headers().set(HeaderId::Scheme, secure ? "https" : "http");
  }
  auto* attempt = stream_.arena().make<Attempt>(static_cast<Attempt::Owner&>(*this),
                                                std::move(host), stream_.worker().timers());
  attempt->previous = std::exchange(attempts_, attempt);
  attempt_ = attempt;
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
  if (attempt_count_ > 1) context.previous_priorities = previous_priorities_.get();
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
  if (!forward_key_.empty()) context.override_host_header = forward_key_;
  if (const auto& key = upstream::balancing_of(cluster).original_dst_metadata; !key.empty()) {
    context.override_host_metadata =
        upstream::destination_in(key, {&info.dynamic_metadata, &info.connection->metadata});
  }
  const RetryPolicy* policy = plan_.policy();
  if (policy != nullptr && attempt_count_ > 1) avoid_what_failed(*policy, context);
  upstream::HostPtr host = member_->pick_host(context);
  if (host == nullptr || policy == nullptr) return host;
  if (policy->previous_hosts) tried_.push_back(host.get());
  if (previous_priorities_ != nullptr) previous_priorities_->attempted(host);
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

void Router::on_request_complete() {
  request_end_us_ = now_us();
  if (!tunnel_) start_timeouts();
}

void Router::start_timeouts() {
  if (attempt_ == nullptr && !back_off_timer_.armed()) return;
  if (timeouts_.global_ms != 0) global_timer_.arm(timeouts_.global_ms);
  bound_answer();
}

/// Of an attempt that has a connection and will have the whole request.
void Router::bound_answer() {
  const bool complete = request_ended_ || !stream_.info().tunnel.empty();
  if (!complete || attempt_ == nullptr || !attempt_->opened()) return;
  attempt_->bound_answer(timeouts_.per_try_ms, timeouts_.per_try_idle_ms);
}

void Router::on_attempt_open(Attempt& attempt) {
  if (upstream::OutlierMonitor* monitor = attempt.host()->monitor()) {
    monitor->on_connected(attempt.host(), false);
  }
  attempt_ = &attempt;
  count_for_route(RouteStat::upstream_rq_total);
  http::StreamInfo& info = stream_.info();
  Connection& connection = attempt.connection();
  note_connection(attempt);
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
  if (longest != 0) attempt.bound_stream(longest);
  bound_answer();
  for (uint32_t i = 0; i < response_pauses_; ++i) attempt.sender()->pause_receiving();
  send_request();
  if (std::exchange(body_paused_, false)) stream_.resume_request_body();
}

/// For logs.
void Router::note_connection(Attempt& attempt) {
  http::StreamInfo& info = stream_.info();
  info.upstream_host = &attempt.host()->address();
  info.upstream_metadata = attempt.host()->extras().metadata.get();
  info.upstream_connection_id = attempt.connection().id();
  info.upstream_local = attempt.connection().local_address();
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

// ------------------------------------------------------------------------------------------------------
// the clock

uint64_t Router::now_us() const { return stream_.worker().loop().time().now_us; }

uint64_t Router::unix_seconds() const {
  constexpr uint64_t kNsPerSecond = 1'000'000'000;
  return static_cast<uint64_t>(stream_.worker().loop().time().wall_ns) / kNsPerSecond;
}

uint64_t Router::ms_since_request() const {
  return request_end_us_ == 0 ? 0 : (now_us() - request_end_us_) / kUsPerMs;
}

}  // namespace remora::router
