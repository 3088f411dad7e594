// Lets browsers call gRPC services: turns gRPC-Web requests into gRPC, and the answers back. Made
// per stream in its arena; its worker's thread. Document:
// envoy.extensions.filters.http.grpc_web.v3.GrpcWeb.
#pragma once

#include <string>

#include "filters/http/grpc_web/base64_stream.h"
#include "proxy/http/filter.h"
#include "proxy/http/grpc_frames.h"
#include "proxy/upstream/grpc_calls.h"

namespace remora::grpc_web {

struct GrpcWebConfig {};

class GrpcWeb final : public http::Filter {
 public:
  GrpcWeb(http::FilterStream& stream, const GrpcWebConfig& config);

  http::FilterStatus on_request_headers(http::HeaderMap& headers, bool end_stream) override;
  http::FilterStatus on_request_body(Buffer& data, bool end_stream) override;
  http::FilterStatus on_request_trailers(http::HeaderMap& trailers) override;
  http::FilterStatus on_response_headers(http::HeaderMap& headers, bool end_stream) override;
  http::FilterStatus on_response_body(Buffer& data, bool end_stream) override;
  http::FilterStatus on_response_trailers(http::HeaderMap& trailers) override;

 private:
  http::FilterStatus refuse(std::string_view details);
  void find_counts(std::string_view path);
  void count_end(const http::HeaderMap& headers);
  void encode(Buffer& data, Buffer& out);
  void keep_message(Buffer& data);
  void put_message_into_headers();

  http::FilterStream& stream_;
  bool active_ = false;  // the request is gRPC-Web
  bool text_request_ = false;
  bool text_response_ = false;
  bool foreign_ = false;  // the answer is not gRPC: its body becomes grpc-message
  Base64Decoder decoder_;
  Base64Encoder encoder_;
  http::GrpcFrames frames_;  // of a text response: each message is a text of its own
  std::string message_;
  Buffer last_;  // in place of the trailers
  upstream::GrpcCalls::Counts* counts_ = nullptr;
};

}  // namespace remora::grpc_web
