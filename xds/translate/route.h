// Route configurations: from the message, inline or by RDS, to the table that workers route with.
// Document: envoy.config.route.v3.RouteConfiguration. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "api/route.pb.h"
#include "proxy/router/route_table.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// A resource by itself: looks for unknown fields too. Errors begin with a path inside the
/// resource.
absl::StatusOr<std::shared_ptr<const router::RouteTable>> routes(
    const envoy::config::route::v3::RouteConfiguration& proto, Context& context);

/// Whether clusters that routes name must exist, where the configuration does not say.
enum class ValidateClusters { No, Yes };

/// One that stands inside another resource, at `path`, whose unknown fields have been looked for.
absl::StatusOr<std::shared_ptr<const router::RouteTable>> route_table(
    const envoy::config::route::v3::RouteConfiguration& proto, ValidateClusters validate,
    Context& context, const Path& path);

}  // namespace remora::xds::translate
