// A scrape in Prometheus' text format, with Envoy's family names. Main thread.
#pragma once

#include <string>
#include <string_view>

#include "proxy/stats/query.h"

namespace remora::stats {

/// "cluster.upstream_rq" is envoy_cluster_upstream_rq.
std::string prometheus_name(std::string_view base_name, bool own_namespace = false);
/// Families in the order of their names.
std::string prometheus_text(Store& store, const Query& query);

}  // namespace remora::stats
