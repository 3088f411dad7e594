#include "proxy/connection_manager/request_head.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>

#include <charconv>

#include "proxy/http/path.h"
#include "proxy/http/upgrade.h"
#include "proxy/http1/hop_by_hop.h"

namespace remora::connection_manager {
namespace {

using http::HeaderId;
using http::HeaderMap;
using EscapedSlashes = HttpConfig::EscapedSlashes;

absl::string_view absl_view(std::string_view s) { return {s.data(), s.size()}; }

bool same(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase(absl_view(a), absl_view(b));
}

/// Calls f(token) for each element of a comma-separated list.
template <class F>
void for_each_token(std::string_view list, F f) {
  while (!list.empty()) {
    size_t comma = list.find(',');
    absl::string_view token = absl::StripAsciiWhitespace(absl_view(list.substr(0, comma)));
    if (!token.empty()) f(std::string_view(token.data(), token.size()));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

bool has_token(std::string_view list, std::string_view wanted) {
  bool found = false;
  for_each_token(list, [&](std::string_view token) { found |= same(token, wanted); });
  return found;
}

/// No fragment, no user information, and a colon only behind a scheme or a slash.
bool is_valid_referer(std::string_view value) {
  if (value.find('#') != std::string_view::npos) return false;
  const size_t scheme_end = value.find("://");
  const size_t slash = value.find('/');
  if (scheme_end != std::string_view::npos && scheme_end + 1 == slash) {
    const std::string_view rest = value.substr(scheme_end + 3);
    return rest.substr(0, rest.find_first_of("/?")).find('@') == std::string_view::npos;
  }
  return value.find(':') >= slash;
}

void strip_port(HeaderMap& request, uint16_t only_port) {
  std::string_view host = request.authority();
  size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == host.size()) return;
  size_t bracket = host.rfind(']');
  if (bracket != std::string_view::npos && colon < bracket) return;
  uint32_t port = 0;
  const char* end = host.data() + host.size();
  auto parsed = std::from_chars(host.data() + colon + 1, end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end) return;
  if (only_port != 0 && port != only_port) return;
  request.set(HeaderId::Authority, host.substr(0, colon));
}

void strip_trailing_dot(HeaderMap& request) {
  std::string_view host = request.authority();
  if (host.ends_with('.')) {
    request.set(HeaderId::Authority, host.substr(0, host.size() - 1));
    return;
  }
  size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || host[colon - 1] != '.') return;
  request.set(HeaderId::Authority,
              request.arena().join(host.substr(0, colon - 1), host.substr(colon)));
}

void normalize_host(const HttpConfig& config, uint16_t local_port, HeaderMap& request) {
  if (config.strip_trailing_host_dot) strip_trailing_dot(request);
  if (request.method() == "CONNECT") return;
  if (config.strip_any_host_port) {
    strip_port(request, 0);
  } else if (config.strip_matching_host_port) {
    strip_port(request, local_port);
  }
}

HeadProblem normalize_path(const HttpConfig& config, HeaderMap& request) {
  Arena& arena = request.arena();
  std::string_view path = request.path();
  HeadProblem outcome = HeadProblem::None;
  if (http::has_fragment(path)) return HeadProblem::PathNormalization;
  if (config.escaped_slashes != EscapedSlashes::Keep && http::has_escaped_slashes(path)) {
    if (config.escaped_slashes == EscapedSlashes::Reject) return HeadProblem::PathNormalization;
    path = http::unescape_slashes(path, arena).path;
    if (config.escaped_slashes == EscapedSlashes::UnescapeAndRedirect) {
      outcome = HeadProblem::RedirectToNormalizedPath;
    }
  }
  if (config.normalize_path) {
    http::NormalizedPath normalized = http::normalize_path(path, arena);
    if (!normalized.ok) return HeadProblem::PathNormalization;
    path = normalized.path;
  }
  if (config.merge_slashes) path = http::merge_slashes(path, arena).path;
  if (path.data() != request.path().data() || path.size() != request.path().size()) {
    request.set(HeaderId::Path, path);
  }
  return outcome;
}

}  // namespace

const http::Failure& failure_of(HeadProblem problem) {
  static const http::Failure redirect = {307, http::kNoFlag,
                                         http::failures::kPathNormalization.details, ""};
  switch (problem) {
    case HeadProblem::MissingHost:
      return http::failures::kMissingHost;
    case HeadProblem::MissingPath:
      return http::failures::kMissingPath;
    case HeadProblem::RelativePath:
      return http::failures::kAbsolutePath;
    case HeadProblem::RedirectToNormalizedPath:
      return redirect;
    case HeadProblem::Expectation:
      return http::failures::kExpectationFailed;
    case HeadProblem::PathNormalization:
    case HeadProblem::None:
      break;
  }
  return http::failures::kPathNormalization;
}

HeadProblem check_head(const HttpConfig& config, uint16_t local_port, HeaderMap& request) {
  if (!request.has(HeaderId::Authority)) return HeadProblem::MissingHost;
  if (request.method() != "CONNECT" || request.has(HeaderId::Protocol)) {
    std::string_view path = request.path();
    if (path.empty()) return HeadProblem::MissingPath;
    if (path.front() != '/') return HeadProblem::RelativePath;
    HeadProblem problem = normalize_path(config, request);
    if (problem != HeadProblem::None) return problem;
  }
  normalize_host(config, local_port, request);
  if (request.has(HeaderId::Expect) && !expects_continue(request)) return HeadProblem::Expectation;
  return HeadProblem::None;
}

bool expects_continue(const HeaderMap& request) {
  return request.count(HeaderId::Expect) == 1 &&
         same(request.get(HeaderId::Expect), "100-continue");
}

void remove_request_hop_by_hop(HeaderMap& request) {
  if (request.has(HeaderId::Referer) && !is_valid_referer(request.get(HeaderId::Referer))) {
    request.remove(HeaderId::Referer);
  }
  if (request.has(HeaderId::Te)) {
    if (has_token(request.get(HeaderId::Te), "trailers")) {
      request.set(HeaderId::Te, "trailers");
    } else {
      request.remove(HeaderId::Te);
    }
  }
  if (http::wanted_upgrade(request).empty()) {
    http1::remove_hop_by_hop(request);
  } else {
    http1::keep_only_upgrade(request);
  }
}

void remove_response_hop_by_hop(HeaderMap& response) {
  if (response.status() != 101) {
    http1::remove_hop_by_hop(response);
  } else {
    http1::keep_only_upgrade(response);
  }
}

}  // namespace remora::connection_manager
