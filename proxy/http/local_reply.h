// The shape of an answer that the proxy gives by itself: plain text, or for gRPC requests a status
// in trailers-only form. Pure; in the stream's arena.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/http/filter.h"
#include "proxy/http/header_map.h"

namespace remora::http {

struct LocalReply {
  HeaderMap* headers;
  std::string_view body;  // empty: the headers end the stream
};

/// `request` may be null (it was not understood). `body` lives as long as the arena or longer.
LocalReply make_local_reply(uint16_t status, std::string_view body,
                            std::span<const ReplyHeader> headers, const HeaderMap* request,
                            Arena& arena);

/// The grpc-status that stands for an HTTP status.
std::string_view grpc_status_of(uint16_t http_status);

}  // namespace remora::http
