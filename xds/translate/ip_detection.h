// original_ip_detection_extensions. Pure functions; main thread.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/repeated_ptr_field.h>

#include <vector>

#include "api/core.pb.h"
#include "proxy/connection_manager/ip_detection.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::StatusOr<std::vector<connection_manager::IpDetection>> ip_detections(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::TypedExtensionConfig>& protos,
    const Path& path);

}  // namespace remora::xds::translate
