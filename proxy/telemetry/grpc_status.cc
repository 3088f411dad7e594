#include "proxy/telemetry/grpc_status.h"

#include <span>

#include "proxy/http/grpc.h"

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

std::string_view name_in(std::span<const std::string_view> names, int64_t status) {
  const auto at = static_cast<uint64_t>(status);
  return at < names.size() ? names[at] : std::string_view();
}

}  // namespace

bool is_grpc(const http::StreamInfo& info) {
  return info.request_headers != nullptr && http::has_grpc_content_type(*info.request_headers);
}

std::optional<int64_t> grpc_status_of(const http::StreamInfo& info) {
  for (const http::HeaderMap* headers : {info.response_trailers, info.response_headers}) {
    if (headers == nullptr) continue;
    if (auto status = http::grpc_status_in(*headers)) return status;
  }
  if (info.response_code == 0) return std::nullopt;
  return static_cast<int64_t>(http::grpc_status_of_http(info.response_code));
}

std::string_view grpc_camel_name(int64_t status) { return name_in(kCamel, status); }
std::string_view grpc_snake_name(int64_t status) { return name_in(kSnake, status); }

}  // namespace remora::telemetry
