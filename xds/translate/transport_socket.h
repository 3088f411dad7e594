// Transport sockets: what stands between a connection and its bytes. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "api/core.pb.h"
#include "proxy/net/transport.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// Plain bytes. An empty message stands for them too; every other type is refused by name.
absl::StatusOr<std::shared_ptr<const TransportFactory>> transport_socket(
    const envoy::config::core::v3::TransportSocket& proto, const Path& path);

}  // namespace remora::xds::translate
