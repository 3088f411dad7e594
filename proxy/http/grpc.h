// What HTTP knows of gRPC: which messages are its, their status, and the time a client gives its
// call. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/http/header_map.h"

namespace remora::http {

inline constexpr std::string_view kGrpcContentType = "application/grpc";

/// Whether the content type is application/grpc or application/grpc+something (not grpc-web, no
/// parameters).
bool has_grpc_content_type(const HeaderMap& headers);
/// Whether these are the headers of a gRPC answer; `end_stream`: there is nothing but headers.
bool is_grpc_response(const HeaderMap& headers, bool end_stream);

/// The statuses that gRPC defines.
enum class GrpcStatus : uint8_t {
  Ok,
  Cancelled,
  Unknown,
  InvalidArgument,
  DeadlineExceeded,
  NotFound,
  AlreadyExists,
  PermissionDenied,
  ResourceExhausted,
  FailedPrecondition,
  Aborted,
  OutOfRange,
  Unimplemented,
  Internal,
  Unavailable,
  DataLoss,
  Unauthenticated,
  kCount
};

/// grpc-status of headers or trailers; nullopt: there is none. What is no number is -1.
std::optional<int64_t> grpc_status_in(const HeaderMap& headers);
/// `status` if it is one that gRPC defines; kCount otherwise.
constexpr GrpcStatus known_grpc_status(int64_t status) {
  const bool known = status >= 0 && status < static_cast<int64_t>(GrpcStatus::kCount);
  return known ? static_cast<GrpcStatus>(status) : GrpcStatus::kCount;
}
/// The status that stands for an answer without one, by its HTTP status.
GrpcStatus grpc_status_of_http(uint16_t http_status);
/// The HTTP status that a gRPC status stands for.
uint16_t http_status_of_grpc(int64_t grpc_status);
/// Whether a call that ended so counts against the host that answered it, as a 5xx would.
bool is_server_error(int64_t grpc_status);

/// `text` as a grpc-message, in `arena`: printable ASCII but '%' and, as Envoy has it, '~' stays.
std::string_view percent_encoded_grpc_message(std::string_view text, Arena& arena);

/// grpc-timeout ("100m") in milliseconds, rounded up; nullopt when it is none.
std::optional<uint64_t> parse_grpc_timeout(std::string_view text);
/// `ms` as grpc-timeout: at most eight digits of the smallest unit that will do.
void set_grpc_timeout(uint64_t ms, HeaderMap& request);

}  // namespace remora::http
