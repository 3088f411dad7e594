// Lines of JSON that tell what health checks and outlier detection found out of a host, as Envoy
// writes them. Documents: envoy.data.core.v3.HealthCheckEvent,
// envoy.data.cluster.v3.OutlierDetectionEvent. Pure functions; main thread.
#pragma once

#include <string>

#include "proxy/base/clock.h"
#include "proxy/upstream/health_checker.h"
#include "proxy/upstream/outlier_detector.h"

namespace remora::server {

std::string check_event_line(const upstream::ClusterConfig& cluster, const upstream::Host& host,
                             upstream::CheckEvent event, WallNs now);

std::string outlier_event_line(const std::string& cluster, const upstream::Host& host,
                               const upstream::OutlierEvent& event, WallNs now);

}  // namespace remora::server
