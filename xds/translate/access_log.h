// Access logs of listeners, connection managers, TCP proxies and the admin endpoint. Main thread.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/repeated_ptr_field.h>

#include <memory>
#include <string_view>
#include <vector>

#include "api/accesslog.pb.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::telemetry {
class AccessLog;
class LogFormat;
}  // namespace remora::telemetry

namespace remora::xds::translate {

using AccessLogs = std::vector<std::shared_ptr<telemetry::AccessLog>>;

/// `name` is the repeated field's, below `path`.
absl::StatusOr<AccessLogs> access_logs(
    const google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& protos,
    std::string_view name, Context& context, const Path& path);

/// A format of any user; content_type is for the user to read.
absl::StatusOr<std::shared_ptr<const telemetry::LogFormat>> substitution_format(
    const envoy::config::core::v3::SubstitutionFormatString& from, Context& context,
    const Path& path);

}  // namespace remora::xds::translate
