// The HTTP connection manager.
// Document: envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager. Main
// thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "api/http_connection_manager.pb.h"
#include "proxy/connection_manager/config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// `path` is where the message stands in its listener; unknown fields have been looked for there.
absl::StatusOr<std::shared_ptr<const connection_manager::HttpConfig>> http_connection_manager(
    const envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager&
        proto,
    Context& context, const Path& path = Path());

}  // namespace remora::xds::translate
