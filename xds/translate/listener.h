// Listeners. Document: envoy.config.listener.v3.Listener. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "api/listener.pb.h"
#include "proxy/net/listener_config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// A resource by itself; errors begin with a path inside it.
absl::StatusOr<std::shared_ptr<const ListenerConfig>> listener(
    const envoy::config::listener::v3::Listener& proto, Context& context);

}  // namespace remora::xds::translate
