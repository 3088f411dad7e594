#include "filters/http/grpc_stats/grpc_stats.h"

#include <absl/strings/str_cat.h>

#include "proxy/http/grpc.h"
#include "proxy/router/route_table.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/worker_context.h"

namespace remora::grpc_stats {
namespace {

using http::FilterStatus;
using upstream::GrpcCallStat;

constexpr std::string_view kFilterState = "envoy.filters.http.grpc_stats";

}  // namespace

FilterStatus GrpcStats::on_request_headers(http::HeaderMap& headers, bool) {
  grpc_request_ = http::has_grpc_content_type(headers);
  if (grpc_request_) counts_ = find_counts(headers.path());
  return FilterStatus::Continue();
}

upstream::GrpcCalls::Counts* GrpcStats::find_counts(std::string_view path) {
  using upstream::Dots;
  const bool replaces = config_.all_methods && config_.replace_dots;
  const std::string_view name =
      upstream::grpc_method_name(path, replaces ? Dots::Replace : Dots::Keep, stream_.arena());
  if (name.empty()) return nullptr;
  upstream::Cluster* cluster = stream_.worker().clusters().find(stream_.route_decision().cluster);
  if (cluster == nullptr) return nullptr;
  upstream::GrpcCalls& calls = cluster->grpc_calls(upstream::GrpcKind::Grpc);
  if (config_.all_methods || config_.methods.contains(name)) return &calls.named(name);
  return &calls.unnamed();
}

FilterStatus GrpcStats::on_request_body(Buffer& data, bool) {
  if (!grpc_request_) return FilterStatus::Continue();
  const uint64_t begun = request_.follow(data);
  if (counts_ != nullptr) counts_->add(GrpcCallStat::request_message_count, begun);
  return FilterStatus::Continue();
}

FilterStatus GrpcStats::on_response_headers(http::HeaderMap& headers, bool end_stream) {
  grpc_response_ = http::is_grpc_response(headers, end_stream);
  count_end(headers);
  if (end_stream) record_upstream_time();
  return FilterStatus::Continue();
}

FilterStatus GrpcStats::on_response_body(Buffer& data, bool) {
  if (!grpc_response_) return FilterStatus::Continue();
  const uint64_t begun = response_.follow(data);
  if (counts_ != nullptr) counts_->add(GrpcCallStat::response_message_count, begun);
  return FilterStatus::Continue();
}

FilterStatus GrpcStats::on_response_trailers(http::HeaderMap& trailers) {
  count_end(trailers);
  record_upstream_time();
  return FilterStatus::Continue();
}

void GrpcStats::count_end(const http::HeaderMap& headers) {
  if (counts_ == nullptr || !headers.has(http::HeaderId::GrpcStatus)) return;
  upstream::count_status(headers.get(http::HeaderId::GrpcStatus), *counts_);
}

void GrpcStats::record_upstream_time() {
  constexpr uint64_t kUsPerMs = 1000;
  const http::StreamInfo& info = stream_.info();
  if (counts_ == nullptr || !config_.upstream_times || info.upstream_last_tx_us == 0 ||
      info.upstream_last_rx_us < info.upstream_last_tx_us) {
    return;
  }
  counts_->record(upstream::GrpcCallHistogram::upstream_rq_time,
                  (info.upstream_last_rx_us - info.upstream_last_tx_us) / kUsPerMs);
}

void GrpcStats::on_destroy() {
  const uint64_t requests = request_.begun(), responses = response_.begun();
  if (!config_.emit_filter_state || requests + responses == 0) return;
  stream_.info().filter_state.set(kFilterState, absl::StrCat(requests, ",", responses));
}

}  // namespace remora::grpc_stats
