// Reads the header by which a proxy in front says whose connection this is: PROXY protocol,
// versions 1 (a line of text) and 2 (binary). Pure functions. Document:
// haproxy.org/download/2.9/doc/proxy-protocol.txt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/net/address.h"

namespace remora::filters {

enum class ProxyVersion : uint8_t { V1, V2 };

struct ProxyHeaderRules {
  bool v1_allowed = true;
  bool v2_allowed = true;
  bool required = true;  // !allow_requests_without_proxy_protocol
};

struct ProxyHeader {
  enum class Result : uint8_t {
    NeedMore,
    Found,
    NotFound,  // the connection begins with something else
    Malformed,
    Disallowed,  // of a version that is not let in
  };

  Result result = Result::NeedMore;
  ProxyVersion version = ProxyVersion::V1;  // unless NeedMore or NotFound
  size_t wanted = 1;                        // NeedMore: nothing can be said of fewer bytes

  // Found:
  size_t length = 0;           // bytes of the header
  bool own_addresses = false;  // it is the proxy's own connection (LOCAL, UNKNOWN): addresses stay
  Address source, destination;
  std::string_view extensions;  // type, length and value of each; well formed. Into the bytes read
};

/// `bytes`: the connection's, from the first one on.
ProxyHeader read_proxy_header(std::string_view bytes, const ProxyHeaderRules& rules);

/// The longest header there can be.
inline constexpr size_t kMaxProxyHeaderBytes = 16 + 0xffff;

struct ProxyExtension {
  uint8_t type;
  std::string_view value;
};
/// One off the front; nothing when there is no whole one.
std::optional<ProxyExtension> take_proxy_extension(std::string_view& extensions);

}  // namespace remora::filters
