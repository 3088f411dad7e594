// How metrics are tagged, selected and bucketed: part of the translation of bootstraps.
#pragma once

#include <absl/status/statusor.h>

#include "api/metrics.pb.h"
#include "proxy/stats/config.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::StatusOr<stats::StatsConfig> stats_config(
    const envoy::config::metrics::v3::StatsConfig& proto, const Path& path);

}  // namespace remora::xds::translate
