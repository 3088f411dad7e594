// Which host a client's session is on, as the client carries it: in a cookie or in a header. Pure
// functions; any thread. Documents: envoy.extensions.http.stateful_session.cookie.v3 and header.v3.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http/header_map.h"

namespace remora::stateful_session {

struct SessionConfig {
  enum class Carrier : uint8_t { Nobody, Cookie, Header };
  Carrier carrier = Carrier::Nobody;  // nobody: sessions are not kept
  std::string name;                   // of the cookie, or of the header (lower case)
  std::string path;                   // of the cookie
  uint64_t ttl_s = 0;                 // of the cookie; 0: as long as the client wants
  bool strict = false;                // a session whose host is gone gets no other
};

/// Whether sessions are kept for requests to `path`.
bool applies(const SessionConfig& config, std::string_view path);

/// The address that the request names; empty: none, or it is too old.
std::string session_host(const SessionConfig& config, const http::HeaderMap& request,
                         uint64_t now_s);

/// What the response carries when the session is on `host` from now on.
std::string session_value(const SessionConfig& config, std::string_view host, uint64_t now_s);

}  // namespace remora::stateful_session
