// The shape of an answer that the proxy gives by itself: plain text, or for gRPC requests a status
// in trailers-only form. Pure; in the stream's arena.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/http/filter.h"
#include "proxy/http/header_map.h"

namespace remora::http {

/// The headers, with nothing but a status; whoever answers adds what is his. `request` may be null (it
/// was not understood).
HeaderMap& begin_local_reply(uint16_t status, const HeaderMap* request, Arena& arena);

/// Adds what describes the body. Answers the body to send; empty: the headers end the stream.
std::string_view complete_local_reply(uint16_t status, std::string_view body,
                                      const HeaderMap* request, HeaderMap& response);

/// The grpc-status that stands for an HTTP status.
std::string_view grpc_status_of(uint16_t http_status);

}  // namespace remora::http
