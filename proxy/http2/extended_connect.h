// Extended CONNECT (RFC 8441), which everybody above the codec knows as an upgrade: GET with
// Upgrade, answered by 101. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/http/header_map.h"

namespace remora::http2 {

/// What a request wants its stream to become.
enum class TunnelKind : uint8_t { None, Connect, Extended };

/// A request as it came: with :protocol it becomes an upgrade.
TunnelKind read_tunnel_request(http::HeaderMap& request);

/// Of a request that is to be sent, in the form that everybody knows.
TunnelKind tunnel_kind_of(const http::HeaderMap& request);

/// Whether `status`, as it is on the wire, opens the tunnel.
bool opens_tunnel(TunnelKind kind, uint16_t status);

/// The answer that opened an extended CONNECT becomes that to an upgrade to `protocol`.
void read_tunnel_answer(http::HeaderMap& answer, std::string_view protocol);

}  // namespace remora::http2
