// When attempts are repeated, and whether late ones go on beside the next. Pure functions.
#pragma once

#include <absl/status/status.h>

#include "api/route.pb.h"
#include "proxy/router/route_table.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// What a virtual host or a route's action says of retries and late attempts.
absl::Status set_retries(const envoy::config::route::v3::VirtualHost& from, Context& context,
                         router::VirtualHost* out, const Path& path);
absl::Status set_retries(const envoy::config::route::v3::RouteAction& from, Context& context,
                         router::ClusterAction* out, const Path& path);

}  // namespace remora::xds::translate
