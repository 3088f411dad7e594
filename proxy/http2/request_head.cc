#include "proxy/http2/request_head.h"

#include <absl/strings/match.h>

#include <algorithm>

#include "proxy/http/target.h"

namespace remora::http2 {
namespace {

using http::HeaderId;
using http::HeaderMap;

constexpr std::string_view kInvalidAuthority = "http2.invalid_authority";
constexpr std::string_view kInvalidScheme = "http2.invalid_scheme";
constexpr std::string_view kInvalidPath = "http2.invalid_path";

bool same(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase({a.data(), a.size()}, {b.data(), b.size()});
}

/// Two names for the target would let policy and upstream see different ones.
bool settle_authority(HeaderMap& request) {
  if (request.has(HeaderId::Host)) {
    const std::string_view host = request.get(HeaderId::Host);
    if (request.count(HeaderId::Host) > 1) return false;
    if (!request.has(HeaderId::Authority)) {
      request.add(HeaderId::Authority, host);
    } else if (!same(request.authority(), host)) {
      return false;
    }
    request.remove(HeaderId::Host);
  }
  // User information has no place in HTTP/2 (RFC 9113 section 8.3.1).
  return http::is_valid_authority(request.authority()) &&
         request.authority().find('@') == std::string_view::npos;
}

void join_cookies(HeaderMap& request) {
  if (request.count(HeaderId::Cookie) < 2) return;
  size_t bytes = 0;
  for (const http::HeaderEntry& entry : request.entries()) {
    if (!entry.removed && entry.id == HeaderId::Cookie) bytes += entry.value.size() + 2;
  }
  char* const joined = static_cast<char*>(request.arena().allocate(bytes, 1));
  char* at = joined;
  for (const http::HeaderEntry& entry : request.entries()) {
    if (entry.removed || entry.id != HeaderId::Cookie) continue;
    if (at != joined) {
      *at++ = ';';
      *at++ = ' ';
    }
    at = std::copy(entry.value.begin(), entry.value.end(), at);
  }
  request.set(HeaderId::Cookie, {joined, static_cast<size_t>(at - joined)});
}

}  // namespace

std::string_view complete_request_head(HeaderMap& request) {
  if (!settle_authority(request)) return kInvalidAuthority;
  const bool tunnel = request.method() == "CONNECT" && !request.has(HeaderId::Protocol);
  if (tunnel && !http::has_host_and_port(request.authority())) return kInvalidAuthority;
  const std::string_view scheme = request.get(HeaderId::Scheme);
  if (request.has(HeaderId::Scheme) && !same(scheme, "http") && !same(scheme, "https")) {
    return kInvalidScheme;
  }
  if (!http::is_visible_ascii(request.path()) || http::climbs_out_of_double_slash(request.path())) {
    return kInvalidPath;
  }
  join_cookies(request);
  return {};
}

}  // namespace remora::http2
