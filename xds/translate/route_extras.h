// What few routes have: mirrors, internal redirects, formats of direct answers, limits of kept
// bodies. Document: envoy.config.route.v3.RouteAction. Pure functions; main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "api/route.pb.h"
#include "proxy/router/route_extras.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// A route and what it is part of.
struct RouteProtos {
  const envoy::config::route::v3::RouteConfiguration& table;
  const envoy::config::route::v3::VirtualHost& host;
  const envoy::config::route::v3::Route& route;
};

/// `path` is the route's. Null: it has nothing of all this.
absl::StatusOr<std::shared_ptr<const router::RouteExtras>> route_extras(const RouteProtos& protos,
                                                                        Context& context,
                                                                        const Path& path);

}  // namespace remora::xds::translate
