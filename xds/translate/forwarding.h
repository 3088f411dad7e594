// What the connection manager believes about a request's way to it, and what it tells the next hop:
// x-forwarded-*, the scheme, the client's certificate, x-request-id. Pure functions; main thread.
#pragma once

#include <absl/status/status.h>

#include "api/http_connection_manager.pb.h"
#include "proxy/connection_manager/config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::Status set_forwarding(
    const envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager&
        from,
    Context& context, connection_manager::HttpConfig* out, const Path& path);

/// And which requests say in their id that they are traced.
absl::Status set_request_id(
    const envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager&
        from,
    connection_manager::HttpConfig* out, const Path& path);

}  // namespace remora::xds::translate
