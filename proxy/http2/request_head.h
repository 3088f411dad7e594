// What HTTP/2 itself does not settle about a request's head, so that everything above (policy,
// routes, logs, HTTP/1 upstreams) reads it one way. A pure function; any thread.
#pragma once

#include <string_view>

#include "proxy/http/header_map.h"

namespace remora::http2 {

/// Completes a head whose fields nghttp2 found well-formed (RFC 9113 sections 8.2.3 and 8.3.1): one
/// cookie field, :authority in place of host. Answers why it is malformed, or nothing.
std::string_view complete_request_head(http::HeaderMap& request);

}  // namespace remora::http2
