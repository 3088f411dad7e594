// PROXY protocol towards upstreams: a transport that writes a header with the addresses of the
// downstream connection before the first byte of whatever is inside it. Its factory is immutable
// and shared by workers; a transport belongs to its Connection. Documents:
// envoy.extensions.transport_sockets.proxy_protocol.v3, haproxy.org's proxy-protocol.txt.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/net/address.h"
#include "proxy/net/transport.h"

namespace remora {

/// Filter state of a downstream connection: the extensions (TLVs) of its own PROXY header that may
/// be passed on, as they came.
inline constexpr std::string_view kProxyProtocolExtensions = "envoy.network.proxy_protocol_options";

struct ProxyProtocolSettings {
  enum class Version : uint8_t { V1, V2 };
  struct Extension {
    uint8_t type = 0;
    std::string value;
  };

  Version version = Version::V1;
  std::bitset<256>
      pass_through;              // version 2: types of the downstream's extensions that are sent on
  std::vector<Extension> added;  // version 2: before those, and instead of those of the same type
};

/// The header of a connection from `own` to `peer`, made for `downstream`; null: the proxy's own.
std::string proxy_protocol_header(const ProxyProtocolSettings& settings,
                                  const ConnectionFacts* downstream, const Address& own,
                                  const Address& peer);

std::shared_ptr<const TransportFactory> proxy_protocol_transport_factory(
    ProxyProtocolSettings settings, std::shared_ptr<const TransportFactory> inner);

}  // namespace remora
