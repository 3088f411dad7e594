#include "filters/http/grpc_web/grpc_web.h"

#include <array>

#include "proxy/http/grpc.h"
#include "proxy/router/route_table.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/worker_context.h"

namespace remora::grpc_web {
namespace {

using http::FilterStatus;
using http::HeaderId;
using http::HeaderMap;

constexpr std::string_view kBinary = "application/grpc-web";
constexpr std::string_view kBinaryProto = "application/grpc-web+proto";
constexpr std::string_view kText = "application/grpc-web-text";
constexpr std::string_view kTextProto = "application/grpc-web-text+proto";

bool is_text(std::string_view type) { return type == kText || type == kTextProto; }
bool is_binary(std::string_view type) { return type == kBinary || type == kBinaryProto; }

/// Whether an answer's body is gRPC's messages, whatever its headers call them.
bool has_messages(const HeaderMap& headers) {
  const std::string_view type = headers.get(HeaderId::ContentType);
  return http::has_grpc_content_type(headers) || is_binary(type.substr(0, type.find(';')));
}

}  // namespace

GrpcWeb::GrpcWeb(http::FilterStream& stream, const GrpcWebConfig&)
    : stream_(stream), last_(stream.worker().blocks()) {}

FilterStatus GrpcWeb::on_request_headers(HeaderMap& headers, bool) {
  const std::string_view type = headers.get(HeaderId::ContentType);
  text_request_ = is_text(type);
  active_ = text_request_ || is_binary(type);
  if (!active_) return FilterStatus::Continue();
  text_response_ = is_text(headers.get(HeaderId::Accept));
  find_counts(headers.path());
  headers.set(HeaderId::ContentType, http::kGrpcContentType);
  headers.remove(HeaderId::ContentLength);  // it changes, and gRPC has none
  headers.set(HeaderId::Te, "trailers");
  if (headers.find("grpc-accept-encoding") == nullptr) {
    headers.add("grpc-accept-encoding", "identity");
  }
  return FilterStatus::Continue();
}

void GrpcWeb::find_counts(std::string_view path) {
  upstream::Cluster* cluster = stream_.worker().clusters().find(stream_.route_decision().cluster);
  const std::string_view name =
      upstream::grpc_method_name(path, upstream::Dots::Keep, stream_.arena());
  if (cluster == nullptr || name.empty()) return;
  counts_ = &cluster->grpc_calls(upstream::GrpcKind::GrpcWeb).named(name);
}

FilterStatus GrpcWeb::on_request_body(Buffer& data, bool end_stream) {
  if (!text_request_) return FilterStatus::Continue();
  Buffer decoded(data.pool());
  while (!data.empty()) {
    const std::string_view run = data.front();
    if (!decoder_.decode(run, decoded)) return refuse("grpc_base_64_decode_failed");
    data.consume(run.size());
  }
  data = std::move(decoded);
  if (end_stream && !decoder_.complete()) return refuse("grpc_base_64_decode_failed_bad_size");
  return FilterStatus::Continue();
}

FilterStatus GrpcWeb::on_request_trailers(HeaderMap&) {
  if (text_request_ && !decoder_.complete()) return refuse("grpc_base_64_decode_failed_bad_size");
  return FilterStatus::Continue();
}

FilterStatus GrpcWeb::refuse(std::string_view details) {
  constexpr uint16_t kBadRequest = 400;
  return stream_.reply(
      {kBadRequest, http::kNoFlag, details, "Bad gRPC-web request, invalid base64 data."});
}

FilterStatus GrpcWeb::on_response_headers(HeaderMap& headers, bool end_stream) {
  if (!active_) return FilterStatus::Continue();
  count_end(headers);
  foreign_ = !end_stream && !has_messages(headers);
  headers.set(HeaderId::ContentType, text_response_ ? kTextProto : kBinaryProto);
  headers.remove(HeaderId::ContentLength);
  return foreign_ ? FilterStatus::Pause() : FilterStatus::Continue();
}

FilterStatus GrpcWeb::on_response_body(Buffer& data, bool end_stream) {
  if (!active_) return FilterStatus::Continue();
  if (foreign_) {
    keep_message(data);
    if (!end_stream) return FilterStatus::Pause();
    put_message_into_headers();
  } else if (text_response_) {
    Buffer text(data.pool());
    encode(data, text);
    if (end_stream) encoder_.finish(text);
    data = std::move(text);
  }
  return FilterStatus::Continue();
}

/// Each message becomes a text of its own, so that a reader can take it before the next comes.
void GrpcWeb::encode(Buffer& data, Buffer& out) {
  while (!data.empty()) {
    const std::string_view run = data.front();
    const size_t taken = frames_.advance(run);
    encoder_.encode(run.substr(0, taken), out);
    if (frames_.between()) encoder_.finish(out);
    data.consume(taken);
  }
}

void GrpcWeb::keep_message(Buffer& data) {
  constexpr size_t kMaxMessage = 16384;
  while (!data.empty()) {
    const std::string_view run = data.front();
    message_ += run.substr(0, kMaxMessage - message_.size());
    data.consume(run.size());
  }
}

void GrpcWeb::put_message_into_headers() {
  HeaderMap& headers = *stream_.response_headers();
  const http::GrpcStatus status = http::grpc_status_of_http(headers.status());
  headers.set(HeaderId::GrpcMessage, http::percent_encoded_grpc_message(message_, stream_.arena()));
  headers.set(HeaderId::GrpcStatus,
              stream_.arena().copy(std::to_string(static_cast<unsigned>(status))));
  headers.set(HeaderId::ContentLength, "0");
}

FilterStatus GrpcWeb::on_response_trailers(HeaderMap& trailers) {
  if (!active_) return FilterStatus::Continue();
  count_end(trailers);
  if (foreign_) {
    put_message_into_headers();
    return FilterStatus::EndWith(last_);
  }
  constexpr char kTrailers = '\x80';
  std::string frame(5, '\0');
  for (const http::HeaderEntry& entry : trailers.entries()) {
    if (entry.removed) continue;
    frame.append(entry.name).append(":").append(entry.value).append("\r\n");
  }
  const size_t length = frame.size() - 5;
  frame[0] = kTrailers;
  for (size_t i = 1; i < 5; ++i) frame[i] = static_cast<char>(length >> 8 * (4 - i) & 0xff);
  trailers.clear();
  if (text_response_) {
    encoder_.finish(last_);
    encoder_.encode(frame, last_);
    encoder_.finish(last_);
  } else {
    last_.append(frame);
  }
  return FilterStatus::EndWith(last_);
}

void GrpcWeb::count_end(const HeaderMap& headers) {
  if (counts_ == nullptr || !headers.has(HeaderId::GrpcStatus)) return;
  upstream::count_status(headers.get(HeaderId::GrpcStatus), *counts_);
}

}  // namespace remora::grpc_web
