#include "proxy/router/mirror.h"

#include <atomic>
#include <utility>

#include "proxy/http/grpc.h"
#include "proxy/router/connection_name.h"
#include "proxy/router/shared_body.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/outlier_monitor.h"
#include "proxy/upstream/worker_context.h"

namespace remora::router {

using http::HeaderId;
using http::HeaderMap;
using stats::ClusterHistogram;
using stats::ClusterScope;
using stats::ClusterStat;

namespace {

constexpr std::string_view kSuffix = "-shadow";
constexpr uint32_t kMillion = 1'000'000;
constexpr uint16_t kFirstError = 500;
constexpr uint16_t kServiceUnavailable = 503;
constexpr uint16_t kGatewayTimeout = 504;

void add_one(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

/// "a:80" becomes "a-shadow:80"; the colons of an IPv6 address begin no port.
std::string_view with_suffix(std::string_view host, Arena& arena) {
  const size_t colon = host.rfind(':');
  const size_t bracket = host.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || bracket < colon);
  const size_t end = has_port ? colon : host.size();
  return arena.join(host.substr(0, end), kSuffix, host.substr(end));
}

}  // namespace

// -------------------------------------------------------------------------------------------------
// one copy

Mirror::Mirror(WorkerContext& worker, upstream::Cluster& cluster, const MirrorPolicy& policy,
               const http::StreamInfo& info, const Limits& limits)
    : worker_(worker),
      limits_(limits),
      arena_(worker.blocks()),
      headers_(arena_),
      trailers_(arena_),
      cluster_(cluster),
      unsent_(worker.blocks()),
      timeout_(worker.timers(), Timer::bind<&Mirror::on_timeout, Mirror>(), this),
      longest_(worker.timers(), Timer::bind<&Mirror::on_longest, Mirror>(), this) {
  copy_headers(*info.request_headers, headers_);
  if (policy.edit) policy.edit(info, headers_);
  rename(policy);
}

Mirror::~Mirror() {
  if (sender_ != nullptr) sender_->reset(http::ResetReason::LocalReset);
}

/// As Envoy's client for requests of its own does: they are internal, and this machine is one they
/// came through.
void Mirror::rename(const MirrorPolicy& policy) {
  if (!policy.host.empty()) {
    headers_.set(HeaderId::Authority, policy.host);
  } else if (policy.appends_suffix) {
    headers_.set(HeaderId::Authority, with_suffix(headers_.authority(), arena_));
  }
  headers_.set(HeaderId::XEnvoyInternal, "true");
  if (!policy.forwarded_for.empty()) headers_.append(HeaderId::XForwardedFor, policy.forwarded_for);
}

void Mirror::start(bool end_stream) {
  headers_only_ = end_stream;
  if (end_stream) on_request_complete();
  find_connection();
}

void Mirror::find_connection() {
  upstream::PickContext context;
  upstream::Cluster& member = cluster_->member_for(context);
  member_ = upstream::ClusterPin(member);
  context.random = worker_.random();
  host_ = member.pick_host(context);
  if (host_ == nullptr) return fail(kServiceUnavailable);
  upstream::ConnectionNeeds needs;
  needs.downstream_protocol = http::Protocol::Http11;
  name_connection(member.config(), headers_, arena_, &needs);
  upstream::Acquired acquired =
      member.acquire_http(host_, upstream::Priority::Default, *this, needs);
  if (acquired.ready != nullptr) return on_pool_ready(*acquired.ready);
  pending_ = std::move(acquired.pending);
  if (pending_ == nullptr) on_pool_failure(acquired.failure, {}, nullptr);
}

void Mirror::on_pool_ready(upstream::HttpConnection& connection) {
  pending_ = nullptr;
  host_ = connection.host();
  if (upstream::OutlierMonitor* monitor = host_->monitor()) monitor->on_connected(host_, false);
  const uint64_t longest = cluster_->config().max_stream_duration_ms;
  if (longest != 0) longest_.arm(longest);
  sender_ = &connection.new_stream(*this);
  sender_->send_headers(headers_, headers_only_);
  head_sent_ = true;
  all_sent_ = headers_only_;
  flush();
}

/// What waits goes out, if the connection takes it.
void Mirror::flush() {
  if (sender_ == nullptr || !head_sent_ || all_sent_ || blocked_) return;
  const bool ends = request_ended_ && !has_trailers_;
  if (!unsent_.empty() || ends) sender_->send_data(unsent_, ends);
  if (request_ended_ && has_trailers_) sender_->send_trailers(trailers_);
  all_sent_ = request_ended_;
}

void Mirror::send(Buffer& data, bool end_stream) {
  if (over_) return;
  share(data, unsent_);
  if (end_stream) on_request_complete();
  flush();
  if (unsent_.size() <= limits_.buffer_bytes) return;
  cluster_->stats().inc(ClusterStat::retry_or_shadow_abandoned);
  finish();
}

void Mirror::send_trailers(const HeaderMap& trailers) {
  if (over_) return;
  copy_headers(trailers, trailers_);
  has_trailers_ = true;
  on_request_complete();
  flush();
}

void Mirror::on_send_low_water() {
  blocked_ = false;
  flush();
}

void Mirror::on_request_complete() {
  request_ended_ = true;
  request_end_us_ = now_us();
  if (limits_.timeout_ms != 0) timeout_.arm(limits_.timeout_ms);
}

void Mirror::on_headers(HeaderMap& headers, bool end_stream) {
  if (over_) return;
  answered_ = true;
  const uint16_t status = headers.status();
  const auto grpc =
      http::has_grpc_content_type(headers_) ? http::grpc_status_in(headers) : std::nullopt;
  if (upstream::OutlierMonitor* monitor = host_->monitor()) {
    monitor->on_response(host_, grpc ? http::http_status_of_grpc(*grpc) : status);
  }
  add_one(status >= kFirstError ? host_->counters.rq_error : host_->counters.rq_success);
  count(status, &headers);
  if (end_stream) on_response_complete();
}

void Mirror::on_data(Buffer& data, bool end_stream) {
  data.clear();
  if (end_stream && !over_) on_response_complete();
}

void Mirror::on_trailers(HeaderMap& /*trailers*/) {
  if (!over_) on_response_complete();
}

/// Nobody wants the rest of a request that has been answered.
void Mirror::on_response_complete() {
  if (all_sent_) sender_ = nullptr;
  if (request_ended_) {
    constexpr uint64_t kUsPerMs = 1000;
    const uint64_t ms = (now_us() - request_end_us_) / kUsPerMs;
    cluster_->stats().record(ClusterHistogram::upstream_rq_time, ms);
    cluster_->stats().record(ClusterHistogram::internal_upstream_rq_time, ms);
  }
  finish();
}

void Mirror::on_pool_failure(upstream::PoolFailure failure, std::string_view /*detail*/,
                             const upstream::HostPtr& host) {
  pending_ = nullptr;
  if (over_) return;
  if (host != nullptr) host_ = host;
  add_one(host_->counters.rq_error);
  // Limits of the cluster are no fault of the host.
  upstream::OutlierMonitor* monitor = host_->monitor();
  if (monitor != nullptr && failure != upstream::PoolFailure::Overflow) {
    monitor->on_local_failure(host_, kServiceUnavailable);
  }
  fail(kServiceUnavailable);
}

void Mirror::on_reset(http::ResetReason /*reason*/, std::string_view /*detail*/) {
  sender_ = nullptr;
  if (over_) return;
  if (answered_) return finish();
  add_one(host_->counters.rq_error);
  if (upstream::OutlierMonitor* monitor = host_->monitor()) {
    monitor->on_local_failure(host_, kServiceUnavailable);
  }
  fail(kServiceUnavailable);
}

void Mirror::on_timeout() {
  cluster_->stats().inc(ClusterStat::upstream_rq_timeout);
  add_one(host_->counters.rq_timeout);
  if (answered_) return finish();
  add_one(host_->counters.rq_error);
  if (upstream::OutlierMonitor* monitor = host_->monitor()) {
    monitor->on_local_failure(host_, kGatewayTimeout);
  }
  fail(kGatewayTimeout);
}

void Mirror::on_longest() {
  cluster_->stats().inc(ClusterStat::upstream_rq_max_duration_reached);
  finish();
}

/// Nothing came that could be counted: what the client would have been told is.
void Mirror::fail(uint16_t as_status) {
  count(as_status, nullptr);
  finish();
}

void Mirror::count(uint16_t status, const HeaderMap* response) {
  upstream::Cluster::Stats& counts = cluster_->stats();
  counts.count_response(ClusterScope::All, status);
  counts.count_response(ClusterScope::Internal, status);
  if (response != nullptr && response->get(HeaderId::XEnvoyUpstreamCanary) == "true") {
    counts.count_response(ClusterScope::Canary, status);
  }
}

void Mirror::finish() {
  if (std::exchange(over_, true)) return;
  timeout_.disarm();
  longest_.disarm();
  pending_ = nullptr;
  unsent_.clear();
  if (http::StreamSender* sender = std::exchange(sender_, nullptr)) {
    sender->reset(http::ResetReason::LocalReset);
  }
  host_ = nullptr;
  member_ = {};
  cluster_ = {};
  if (detached_) leave();
}

void Mirror::end() { finish(); }

void Mirror::detach() {
  detached_ = true;
  if (!request_ended_) finish();
  if (over_) leave();
}

/// A call of it may be on the stack.
void Mirror::leave() {
  if (!linked()) return;
  unlink();
  worker_.loop().defer_delete(std::unique_ptr<Deferrable>(this));
}

// -------------------------------------------------------------------------------------------------
// all of a stream

void Mirrors::prepare(const RouteExtras& extras, http::FilterStream& stream,
                      const Mirror::Limits& limits) {
  WorkerContext& worker = stream.worker();
  const http::StreamInfo& info = stream.info();
  for (auto policy = extras.mirrors.rbegin(); policy != extras.mirrors.rend(); ++policy) {
    if (worker.random() % kMillion >= policy->fraction_per_million) continue;
    std::string_view name = policy->cluster;
    if (!policy->cluster_header.empty()) {
      const http::HeaderEntry* header = info.request_headers->find(policy->cluster_header);
      if (header == nullptr) continue;
      name = header->value;
    }
    upstream::Cluster* cluster = worker.clusters().find(name);
    if (cluster == nullptr) continue;
    auto mirror = std::make_unique<Mirror>(worker, *cluster, *policy, info, limits);
    mirror->next = first_;
    first_ = mirror.get();
    worker.routes().keep(*mirror.release());
  }
}

void Mirrors::start(bool end_stream) {
  for (Mirror* mirror = first_; mirror != nullptr; mirror = mirror->next) mirror->start(end_stream);
  if (end_stream) detach();
}

void Mirrors::send(Buffer& data, bool end_stream) {
  for (Mirror* mirror = first_; mirror != nullptr; mirror = mirror->next) {
    mirror->send(data, end_stream);
  }
  if (end_stream) detach();
}

void Mirrors::send_trailers(const HeaderMap& trailers) {
  for (Mirror* mirror = first_; mirror != nullptr; mirror = mirror->next) {
    mirror->send_trailers(trailers);
  }
  detach();
}

void Mirrors::detach() {
  for (Mirror* mirror = std::exchange(first_, nullptr); mirror != nullptr;) {
    Mirror* next = mirror->next;
    mirror->detach();
    mirror = next;
  }
}

}  // namespace remora::router
