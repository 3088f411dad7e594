// Http1ProtocolOptions of both sides. Pure functions; main thread.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "api/core.pb.h"
#include "proxy/http/header_spelling.h"
#include "proxy/http1/options.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// Of a listener's connections.
absl::Status set_http1_options(const envoy::config::core::v3::Http1ProtocolOptions& from,
                               Context& context, http1::Options* out, const Path& path);

/// header_key_format of either side; lower case when it is not there.
absl::StatusOr<http::NameOptions> name_options(
    const envoy::config::core::v3::Http1ProtocolOptions& from, const Path& path);

}  // namespace remora::xds::translate
