// The gRPC status of an answer and its names. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/http/stream_info.h"

namespace remora::telemetry {

/// Whether the request is gRPC by its content-type.
bool is_grpc(const http::StreamInfo& info);
/// From the trailers, else the headers, else what the HTTP status stands for; nullopt when no
/// answer was sent. Any number; -1 for what is none.
std::optional<int64_t> grpc_status_of(const http::StreamInfo& info);
/// "DeadlineExceeded" and "DEADLINE_EXCEEDED"; empty when the number is none of the seventeen.
std::string_view grpc_camel_name(int64_t status);
std::string_view grpc_snake_name(int64_t status);

}  // namespace remora::telemetry
