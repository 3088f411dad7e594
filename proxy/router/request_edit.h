// What a route does to the headers of the request that it forwards and of the response that comes
// back: header edits, path and host rewriting, and the location of redirects. Values are views into
// the snapshot or copies in the message's arena. The stream's worker thread.
#pragma once

#include <string_view>

#include "proxy/http/header_map.h"
#include "proxy/http/stream_info.h"
#include "proxy/router/route_table.h"

namespace remora::router {

/// Removals first; then what overwrites, then what is added, each if the headers as they are now
/// ask for it.
/// A value that would break the header block is not set.
void apply(const HeaderEdits& edits, const http::StreamInfo& info, http::HeaderMap& headers);

/// The details of an answer that a route gives by itself, redirects included.
inline constexpr std::string_view kDirectResponse = "direct_response";

enum class EnvoyHeaders : uint8_t { Insert, Suppress };

/// Everything a ClusterAction does to a request before it is sent: edits of the weighted cluster,
/// the route, the virtual host and the table, then host and path.
void edit_request(const RouteDecision& decision, const http::StreamInfo& info,
                  http::HeaderMap& request, EnvoyHeaders envoy_headers);

/// The same levels' edits of the response.
void edit_response(const RouteDecision& decision, const http::StreamInfo& info,
                   http::HeaderMap& response);

/// The request's host becomes `host` (host rewrite by literal, header or upstream host name).
void rewrite_host(const ClusterAction& action, std::string_view host, http::HeaderMap& request);

/// prefix_rewrite of a route that matched: `:path` changes, x-envoy-original-path keeps the old
/// one.
void rewrite_prefix(const RouteMatch& match, std::string_view replacement, http::HeaderMap& request,
                    EnvoyHeaders envoy_headers);

/// The `location` of a redirect, in the request's arena. Call rewrite_prefix() before when the
/// redirect has one.
std::string_view redirect_location(const RedirectAction& redirect, const http::StreamInfo& info,
                                   const http::HeaderMap& request);

}  // namespace remora::router
