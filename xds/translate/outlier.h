// Outlier detection of a cluster. Document: envoy.config.cluster.v3.OutlierDetection. Pure
// functions; main thread.
#pragma once

#include <absl/status/statusor.h>

#include "api/cluster.pb.h"
#include "proxy/upstream/outlier_config.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::StatusOr<upstream::OutlierConfig> outlier_detection(
    const envoy::config::cluster::v3::OutlierDetection& from, const Path& path);

}  // namespace remora::xds::translate
