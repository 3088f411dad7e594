// Outlier detection of a cluster. Document: envoy.config.cluster.v3.OutlierDetection. Pure
// functions; main thread.
#pragma once

#include <absl/status/statusor.h>

#include "api/cluster.pb.h"
#include "proxy/upstream/outlier_config.h"
#include "xds/translate/path.h"
#include "xds/translate/runtime.h"

namespace remora::xds::translate {

/// `runtime` may be null.
absl::StatusOr<upstream::OutlierConfig> outlier_detection(
    const envoy::config::cluster::v3::OutlierDetection& from, const Runtime* runtime,
    const Path& path);

}  // namespace remora::xds::translate
