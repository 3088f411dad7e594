#include "proxy/telemetry/grpc_status.h"

#include <charconv>
#include <iterator>

namespace remora::telemetry {

namespace {

constexpr std::string_view kCamel[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};
constexpr std::string_view kSnake[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

constexpr uint32_t kUnknown = 2;

std::optional<uint32_t> status_in(const http::HeaderMap* headers) {
  if (headers == nullptr || !headers->has(http::HeaderId::GrpcStatus)) return std::nullopt;
  std::string_view text = headers->get(http::HeaderId::GrpcStatus);
  uint32_t status = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
  return error == std::errc() && end == text.data() + text.size() ? status : kUnknown;
}

/// The gRPC specification's table.
uint32_t from_http(uint16_t code) {
  switch (code) {
    case 200:
      return 0;
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return kUnknown;
  }
}

}  // namespace

bool is_grpc(const http::StreamInfo& info) {
  if (info.request_headers == nullptr) return false;
  std::string_view type = info.request_headers->get(http::HeaderId::ContentType);
  constexpr std::string_view kGrpc = "application/grpc";
  return type.starts_with(kGrpc) &&
         (type.size() == kGrpc.size() || type[kGrpc.size()] == '+' || type[kGrpc.size()] == ';');
}

std::optional<uint32_t> grpc_status_of(const http::StreamInfo& info) {
  if (auto status = status_in(info.response_trailers)) return status;
  if (auto status = status_in(info.response_headers)) return status;
  if (info.response_code == 0) return std::nullopt;
  return from_http(info.response_code);
}

std::string_view grpc_camel_name(uint32_t status) {
  return status < std::size(kCamel) ? kCamel[status] : "";
}
std::string_view grpc_snake_name(uint32_t status) {
  return status < std::size(kSnake) ? kSnake[status] : "";
}

}  // namespace remora::telemetry
