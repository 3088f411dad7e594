// Whether a redirect that an upstream answers with is followed, and the request that it makes of
// the first one. A pure decision but for the count that it leaves in the request's filter state;
// the stream's worker thread. Document: envoy.config.route.v3.InternalRedirectPolicy.
#pragma once

#include <cstdint>

#include "proxy/http/header_map.h"
#include "proxy/http/stream_info.h"
#include "proxy/router/route_extras.h"
#include "proxy/router/route_table.h"

namespace remora::router {

enum class RedirectVerdict : uint8_t {
  Follow,
  BadLocation,
  UnsafeScheme,
  TooMany,
  NoRoute,
  Predicate
};

/// On Follow `request` is the next one: its scheme, host, path, x-envoy-original-url, method where
/// that changes, and what the policy copies. Otherwise it is as before. `location` is not empty.
RedirectVerdict follow_redirect(const InternalRedirectPolicy& policy, const RouteDecision& decision,
                                const http::HeaderMap& response, uint64_t random,
                                http::StreamInfo& info, http::HeaderMap& request);

}  // namespace remora::router
