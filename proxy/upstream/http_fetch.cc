#include "proxy/upstream/http_fetch.h"

#include <utility>

namespace remora::upstream {

using http::HeaderId;

HttpFetch::HttpFetch(WorkerContext& context, FetchRequest request, Done done)
    : context_(context),
      request_(std::move(request)),
      done_(std::move(done)),
      arena_(context.blocks()),
      timeout_(context.timers(), Timer::bind<&HttpFetch::on_timeout, HttpFetch>(), this),
      telling_(context.timers(), Timer::bind<&HttpFetch::tell, HttpFetch>(), this) {
  timeout_.arm(request_.timeout_ms);
  start();
}

HttpFetch::~HttpFetch() {
  if (sender_ != nullptr) sender_->reset(http::ResetReason::LocalReset);
}

void HttpFetch::start() {
  Cluster* cluster = context_.clusters().find(request_.cluster);
  if (cluster == nullptr) return finish("no such cluster: " + request_.cluster);
  PickContext pick;
  pick.random = context_.random();
  cluster_ = ClusterPin(cluster->member_for(pick));
  const HostPtr host = cluster_->pick_host(pick);
  if (host == nullptr) return finish("no healthy upstream");
  Acquired acquired = cluster_->acquire_http(host, Priority::Default, *this);
  if (acquired.ready != nullptr) return send(*acquired.ready);
  pending_ = std::move(acquired.pending);
  if (pending_ == nullptr) finish("no connection");
}

void HttpFetch::send(HttpConnection& connection) {
  http::HeaderMap headers(arena_);
  headers.add(HeaderId::Method, "GET");
  headers.add(HeaderId::Path, request_.path);
  headers.add(HeaderId::Authority, request_.authority);
  headers.add(HeaderId::Scheme, connection.connection().transport().secure() ? "https" : "http");
  headers.add(HeaderId::UserAgent, "remora");
  headers.add(HeaderId::Accept, "*/*");
  sender_ = &connection.new_stream(*this);
  sender_->send_headers(headers, true);
}

/// `failure` empty: the answer is whole.
void HttpFetch::finish(std::string_view failure) {
  if (std::exchange(finished_, true)) return;
  timeout_.disarm();
  pending_.reset();
  if (!failure.empty()) {
    result_.body.clear();
    result_.failure = failure;
    if (sender_ != nullptr) std::exchange(sender_, nullptr)->reset(http::ResetReason::LocalReset);
  }
  sender_ = nullptr;
  telling_.arm(0);
}

void HttpFetch::tell() {
  const Done done = std::move(done_);
  FetchResult result = std::move(result_);
  done(std::move(result));  // may destroy this
}

void HttpFetch::on_timeout() { finish("timeout"); }

void HttpFetch::on_pool_ready(HttpConnection& connection) {
  pending_.reset();
  send(connection);
}

void HttpFetch::on_pool_failure(PoolFailure, std::string_view detail, const HostPtr&) {
  finish(detail.empty() ? "connection failure" : detail);
}

void HttpFetch::on_headers(http::HeaderMap& headers, bool end_stream) {
  result_.status = headers.status();
  cluster_->stats().count_response(stats::ClusterScope::All, result_.status);
  if (end_stream) finish({});
}

void HttpFetch::on_data(Buffer& data, bool end_stream) {
  if (result_.body.size() + data.size() > request_.max_body_bytes) {
    data.clear();
    return finish("the answer is too long");
  }
  result_.body += data.to_string();
  data.clear();
  if (end_stream) finish({});
}

void HttpFetch::on_trailers(http::HeaderMap&) { finish({}); }

void HttpFetch::on_reset(http::ResetReason reason, std::string_view) {
  sender_ = nullptr;
  finish(http::reset_reason_text(reason));
}

}  // namespace remora::upstream
