// Which requests an access log records: part of the translation of access logs.
#pragma once

#include <absl/status/statusor.h>

#include "api/accesslog.pb.h"
#include "proxy/telemetry/log_filter.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::StatusOr<telemetry::LogFilter> log_filter(
    const envoy::config::accesslog::v3::AccessLogFilter& proto, Context& context, const Path& path);

}  // namespace remora::xds::translate
