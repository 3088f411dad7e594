// What a route does with a request: send it to a cluster or answer it; redirections are in
// route_rewrite.h. Pure functions.
#pragma once

#include <absl/status/statusor.h>

#include "api/route.pb.h"
#include "proxy/router/route_table.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::StatusOr<router::ClusterAction> cluster_action(
    const envoy::config::route::v3::RouteAction& proto, Context& context, const Path& path);

absl::StatusOr<router::DirectAction> direct_action(
    const envoy::config::route::v3::DirectResponseAction& proto, size_t max_body_bytes,
    const Path& path);

}  // namespace remora::xds::translate
