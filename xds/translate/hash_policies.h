// What of a request is hashed; see proxy/router/hash_policy.h. Pure functions; main thread.
#pragma once

#include <absl/status/status.h>

#include "api/route.pb.h"
#include "proxy/router/route_table.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// hash_policy of the action at `path`.
absl::Status read_hash_policies(const envoy::config::route::v3::RouteAction& proto,
                                const Context& context, router::ClusterAction* out,
                                const Path& path);

}  // namespace remora::xds::translate
