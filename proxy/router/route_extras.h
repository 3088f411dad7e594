// What few routes have, kept out of the way of the others: mirrors, internal redirects, a format of
// direct answers, a limit of its own for bodies that are kept. Immutable, part of the route table.
// Documents: envoy.config.route.v3.RouteAction.RequestMirrorPolicy and InternalRedirectPolicy.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/http/header_map.h"
#include "proxy/http/stream_info.h"

namespace remora::telemetry {
class LogFormat;
}

namespace remora::router {

/// A cluster that is sent a copy of requests, and whose answers nobody sees.
struct MirrorPolicy {
  std::string cluster;                        // empty when by header
  std::string cluster_header;                 // lower case
  uint32_t fraction_per_million = 1'000'000;  // of requests
  bool appends_suffix = true;                 // "-shadow", to the host
  std::string host;                           // in place of the request's; empty: it stays
  std::string forwarded_for;                  // this machine; empty: unknown
  /// Null: no edits.
  std::function<void(const http::StreamInfo& info, http::HeaderMap& copy)> edit;
};

/// A reason for not following a redirect.
struct RedirectPredicate {
  enum class Kind : uint8_t { NewRoutes, ListedRoutes, SafeScheme };
  Kind kind = Kind::NewRoutes;
  std::vector<std::string> routes;  // of ListedRoutes
};

/// Which redirects of upstreams are followed instead of passed on.
struct InternalRedirectPolicy {
  uint32_t max_redirects = 1;           // of one request
  std::vector<uint16_t> codes = {302};  // of answers
  std::vector<RedirectPredicate> predicates;
  bool any_scheme = false;           // else that of the request
  std::vector<std::string> to_copy;  // headers of the answer, lower case
};

/// How the body of a direct answer is written.
struct DirectFormat {
  std::shared_ptr<const telemetry::LogFormat> format;
  std::string content_type;
};

struct RouteExtras {
  std::vector<MirrorPolicy> mirrors;
  std::optional<InternalRedirectPolicy> redirects;
  std::optional<DirectFormat> direct;
  std::optional<uint64_t> body_limit;  // bytes that are kept to be sent again
};

}  // namespace remora::router
