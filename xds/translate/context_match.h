// The conditions of a route, or of a policy, on what filters have left, on cookies and on the
// client's certificate. Pure functions; main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "api/filter_state.pb.h"
#include "api/route.pb.h"
#include "proxy/router/context_match.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::StatusOr<router::FilterStateMatch> filter_state_match(
    const envoy::type::matcher::v3::FilterStateMatcher& proto, const Context& context,
    const Path& path);

/// Null: the route has no such conditions.
absl::StatusOr<std::shared_ptr<const router::ContextMatch>> context_match(
    const envoy::config::route::v3::RouteMatch& proto, const Context& context, const Path& path);

}  // namespace remora::xds::translate
