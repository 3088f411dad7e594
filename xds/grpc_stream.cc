// A gRPC stream's conversation.
#include "xds/grpc_stream.h"

#include <absl/strings/numbers.h>

#include <utility>

namespace remora::xds {
namespace {

using http::HeaderId;
using http::ResetReason;

enum Code {
  kUnknown = 2,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string reset_message(ResetReason reason, std::string_view detail, bool answered) {
  std::string message(answered ? "stream reset: "
                               : "upstream connect error or disconnect/reset before headers. "
                                 "reset reason: ");
  message += reason == ResetReason::ConnectionClosed ? "connection termination"
             : reason == ResetReason::ProtocolError  ? "protocol error"
                                                     : "remote reset";
  if (!detail.empty()) message.append(", ").append(detail);
  return message;
}

}  // namespace

int grpc_code_of_http_status(uint16_t status) {
  switch (status) {
    case 400:
      return kInternal;
    case 401:
      return kUnauthenticated;
    case 403:
      return kPermissionDenied;
    case 404:
      return kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return kUnavailable;
    default:
      return kUnknown;
  }
}

std::string decode_grpc_message(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low < 0) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

GrpcStream::GrpcStream(WorkerContext& context, GrpcTarget target, GrpcStreamUser& user)
    : context_(context),
      target_(std::move(target)),
      user_(user),
      arena_(context.blocks()),
      received_(context.blocks()),
      decoder_(target_.max_message_bytes),
      connection_(context, *this) {}

void GrpcStream::open() {
  http2::SessionOptions options;
  options.keepalive_interval_ms = target_.keepalive_interval_ms;
  connection_.open(target_.cluster, options);
}

void GrpcStream::close() {
  closed_ = true;
  sender_ = nullptr;
  connection_.close();
}

void GrpcStream::fail(int code, std::string_view message) {
  if (closed_) return;
  close();
  user_.on_stream_closed({code, std::string(message)});
}

// ---------------------------------------------------------------------------------------- sending

void GrpcStream::on_connection_ready() {
  sender_ = &connection_.codec().new_stream(*this);
  send_headers();
  user_.on_stream_ready();
}

void GrpcStream::send_headers() {
  http::HeaderMap headers(arena_);
  headers.add(HeaderId::Method, "POST");
  headers.add(HeaderId::Scheme, connection_.secure() ? "https" : "http");
  headers.add(HeaderId::Path, target_.path);
  headers.add(HeaderId::Authority, target_.authority.empty() ? target_.cluster : target_.authority);
  headers.add(HeaderId::Te, "trailers");
  headers.add(HeaderId::ContentType, "application/grpc");
  headers.add(HeaderId::UserAgent, "remora");
  for (const auto& [name, value] : target_.initial_metadata)
    headers.add(std::string_view(name), value);
  sender_->send_headers(headers, false);
}

void GrpcStream::send(const google::protobuf::MessageLite& message) {
  if (sender_ == nullptr) return;
  Buffer bytes(context_.blocks());
  append_grpc_message(message, bytes);
  sender_->send_data(bytes, false);
}

// -------------------------------------------------------------------------------------- receiving

void GrpcStream::on_connection_failed(std::string_view detail) { fail(kUnavailable, detail); }

void GrpcStream::on_headers(http::HeaderMap& headers, bool end_stream) {
  answered_ = true;
  const uint16_t status = headers.status();
  if (status != 200 && !headers.has(HeaderId::GrpcStatus)) {
    return fail(grpc_code_of_http_status(status), "HTTP status " + std::to_string(status));
  }
  if (end_stream) finish(headers);
}

void GrpcStream::on_data(Buffer& data, bool end_stream) {
  received_.append(std::move(data));
  if (read_messages() && end_stream) fail(kUnknown, "stream ended without a status");
}

/// False when the stream is over.
bool GrpcStream::read_messages() {
  for (;;) {
    switch (decoder_.next(received_)) {
      case GrpcDecoder::Next::NeedMore:
        return true;
      case GrpcDecoder::Next::Message:
        if (!user_.on_stream_message(decoder_, received_) && !closed_) {
          fail(kInternal, "message cannot be parsed");
        }
        if (closed_) return false;
        break;
      case GrpcDecoder::Next::Compressed:
        fail(kUnimplemented, "compressed message although no compression was announced");
        return false;
      case GrpcDecoder::Next::TooLarge:
        fail(kResourceExhausted, "message of " + std::to_string(decoder_.message_bytes()) +
                                     " bytes is larger than " +
                                     std::to_string(target_.max_message_bytes));
        return false;
    }
  }
}

void GrpcStream::finish(const http::HeaderMap& trailers) {
  int code = kUnknown;
  if (!absl::SimpleAtoi(absl::string_view(trailers.get(HeaderId::GrpcStatus).data(),
                                          trailers.get(HeaderId::GrpcStatus).size()),
                        &code)) {
    return fail(kUnknown, "stream ended without a status");
  }
  fail(code, decode_grpc_message(trailers.get(HeaderId::GrpcMessage)));
}

void GrpcStream::on_reset(ResetReason reason, std::string_view detail) {
  fail(kUnavailable, reset_message(reason, detail, answered_));
}

}  // namespace remora::xds
