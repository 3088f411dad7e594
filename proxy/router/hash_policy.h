// What of a request is hashed, for clusters whose balancer keeps like requests on one host.
// Document: envoy.config.route.v3.RouteAction.HashPolicy. Immutable; pure functions. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http/header_map.h"
#include "proxy/net/address.h"

namespace re2 {
class RE2;
}
namespace remora::http {
struct StreamInfo;
}

namespace remora::router {

struct HashPolicy {
  enum class Kind : uint8_t { Header, Cookie, SourceIp, Query, FilterState };
  Kind kind = Kind::Header;
  // Of the header (lower case), cookie, query parameter or filter state.
  std::string name;
  std::shared_ptr<const re2::RE2> rewrite;  // header: what matches is replaced first; null: nothing
  std::string substitution;
  // Cookie: a client without one is given one that lives so long (seconds; 0: as long as the
  // client wants). None: a request without it has no hash by this policy.
  std::optional<uint64_t> cookie_ttl_s;
  std::string cookie_path;
  std::vector<std::pair<std::string, std::string>> cookie_attributes;
  bool terminal = false;  // a hash found so far is final
};

/// Who asks, as the cluster will be told; local: which of our addresses was asked.
struct Asker {
  const Address& remote;
  const Address& local;
  const http::StreamInfo* info = nullptr;  // null: no filter state
};

struct RequestHash {
  std::optional<uint64_t> value;
  std::vector<std::string> set_cookies;  // values of Set-Cookie that the response must carry
};

RequestHash hash_request(std::span<const HashPolicy> policies, const http::HeaderMap& request,
                         const Asker& asker);

/// By the address alone, without the port; nothing for a Unix socket.
std::optional<uint64_t> hash_of_ip(const Address& address);

}  // namespace remora::router
