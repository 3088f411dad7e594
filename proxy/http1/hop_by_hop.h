// Removal of the fields that belong to one connection only (RFC 9110 section 7.6.1). The stream's
// worker only.
#pragma once

#include "proxy/http/header_map.h"

namespace remora::http1 {

/// Removes Connection and the fields it names, Keep-Alive, Proxy-Connection, Transfer-Encoding,
/// Upgrade and HTTP2-Settings. A name in Connection never removes what routing, framing, identity
/// or policy rest on (Host, Content-Length, Authorization, Cookie, X-Forwarded-*, X-Envoy-*, ...),
/// nor "te".
void remove_hop_by_hop(http::HeaderMap& headers);

/// The same for a message that changes the protocol: Upgrade stays, and Connection names it alone.
void keep_only_upgrade(http::HeaderMap& headers);

}  // namespace remora::http1
