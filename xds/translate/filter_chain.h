// Filter chains and listener filters: part of the translation of listeners.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string_view>

#include "api/listener.pb.h"
#include "proxy/net/listener_config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::StatusOr<FilterChainConfig> filter_chain(
    const envoy::config::listener::v3::FilterChain& proto, Context& context, const Path& path);

/// With its filter_disabled condition.
absl::StatusOr<std::shared_ptr<const ListenerFilterFactory>> listener_filter(
    const envoy::config::listener::v3::ListenerFilter& proto, Context& context, const Path& path);

}  // namespace remora::xds::translate
