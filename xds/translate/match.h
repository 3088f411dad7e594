// Matchers of strings, headers, query parameters and routes, from their messages to the values that
// requests are held against. Pure functions; main thread.
#pragma once

#include <absl/status/statusor.h>

#include "api/matcher.pb.h"
#include "api/route.pb.h"
#include "proxy/router/route_table.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::StatusOr<router::StringMatch> string_match(
    const envoy::type::matcher::v3::StringMatcher& proto, const Context& context, const Path& path);

absl::StatusOr<router::HeaderMatch> header_match(
    const envoy::config::route::v3::HeaderMatcher& proto, const Context& context, const Path& path);

absl::StatusOr<router::QueryMatch> query_match(
    const envoy::config::route::v3::QueryParameterMatcher& proto, const Context& context,
    const Path& path);

absl::StatusOr<router::RouteMatch> route_match(const envoy::config::route::v3::RouteMatch& proto,
                                               const Context& context, const Path& path);

}  // namespace remora::xds::translate
