// HTTP/2 settings, flood limits and keep-alive of either side, with Envoy's defaults. Documents:
// envoy.config.core.v3.Http2ProtocolOptions, KeepaliveSettings. Pure functions; main thread.
#pragma once

#include <absl/status/statusor.h>

#include <optional>

#include "api/core.pb.h"
#include "proxy/http2/session_options.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// `stream_error`: what the connection manager says about invalid messages, where it says anything;
/// the options' own override goes first.
absl::StatusOr<http2::SessionOptions> http2_options(
    const envoy::config::core::v3::Http2ProtocolOptions& from, const Path& path,
    std::optional<bool> stream_error = std::nullopt);

}  // namespace remora::xds::translate
