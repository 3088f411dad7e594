// PROXY protocol towards upstreams. Document:
// envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport. Main thread.
#pragma once

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <memory>
#include <string_view>

#include "api/core.pb.h"
#include "api/proxy_protocol.pb.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/net/transport.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

inline constexpr std::string_view kProxyProtocolTransport =
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";

absl::StatusOr<ProxyProtocolSettings> proxy_protocol_settings(
    const envoy::config::core::v3::ProxyProtocolConfig& config, const Path& path);

/// `bytes`: the message; `inner` compiles the transport socket inside it.
using CompileTransport = absl::FunctionRef<absl::StatusOr<std::shared_ptr<const TransportFactory>>(
    const envoy::config::core::v3::TransportSocket&, const Path&)>;
absl::StatusOr<std::shared_ptr<const TransportFactory>> proxy_protocol_transport(
    std::string_view bytes, CompileTransport inner, const Path& path);

}  // namespace remora::xds::translate
