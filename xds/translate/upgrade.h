// Which upgrades and tunnels are let through. Documents: HttpConnectionManager.UpgradeConfig,
// envoy.config.route.v3.RouteAction.UpgradeConfig. Main thread.
#pragma once

#include <absl/status/status.h>

#include <string>
#include <vector>

#include "api/route.pb.h"
#include "proxy/router/route_table.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// Adds one; `path` is that of its type, which may be there once.
absl::Status add_upgrade(const std::string& type, bool enabled, Context& context,
                         std::vector<router::UpgradeSetting>* out, const Path& path);

/// Those of a route.
absl::Status read_upgrades(const envoy::config::route::v3::RouteAction& from, Context& context,
                           router::ClusterAction* out, const Path& path);

}  // namespace remora::xds::translate
