// Counts gRPC calls and their messages, by the method's name where that is wanted. Made per stream
// in its arena; its worker's thread. Document:
// envoy.extensions.filters.http.grpc_stats.v3.FilterConfig.
#pragma once

#include <string>

#include "proxy/base/string_map.h"
#include "proxy/http/filter.h"
#include "proxy/http/grpc_frames.h"
#include "proxy/upstream/grpc_calls.h"

namespace remora::grpc_stats {

struct GrpcStatsConfig {
  bool emit_filter_state = false;
  bool all_methods = false;
  bool replace_dots = false;  // of service names, where all methods are told apart
  bool upstream_times = false;
  StringSet methods;  // "package.Service.Method" of those that are told apart
};

class GrpcStats final : public http::Filter {
 public:
  GrpcStats(http::FilterStream& stream, const GrpcStatsConfig& config)
      : stream_(stream), config_(config) {}

  http::FilterStatus on_request_headers(http::HeaderMap& headers, bool end_stream) override;
  http::FilterStatus on_request_body(Buffer& data, bool end_stream) override;
  http::FilterStatus on_response_headers(http::HeaderMap& headers, bool end_stream) override;
  http::FilterStatus on_response_body(Buffer& data, bool end_stream) override;
  http::FilterStatus on_response_trailers(http::HeaderMap& trailers) override;
  void on_destroy() override;

 private:
  upstream::GrpcCalls::Counts* find_counts(std::string_view path);
  void count_end(const http::HeaderMap& headers);
  void record_upstream_time();

  http::FilterStream& stream_;
  const GrpcStatsConfig& config_;
  upstream::GrpcCalls::Counts* counts_ = nullptr;  // null: this is no gRPC call to a known cluster
  http::GrpcFrames request_;
  http::GrpcFrames response_;
  bool grpc_request_ = false;
  bool grpc_response_ = false;
};

}  // namespace remora::grpc_stats
