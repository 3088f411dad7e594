// What hosts say of their load in the head or trailers of an answer (ORCA), and the weight that
// follows from it. Pure functions; any thread. Document: xds.data.orca.v3.OrcaLoadReport.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/header_map.h"

namespace remora::upstream {

struct LoadReport {
  double cpu_utilization = 0;
  double mem_utilization = 0;
  double application_utilization = 0;
  double requests_per_second = 0;
  double errors_per_second = 0;
  double highest_wanted = 0;  // of the metrics that were asked for, the one nearest to its end
};

/// Names of metrics as configurations give them: "cpu_utilization", "named_metrics.queue",
/// "utilization.*".
using MetricNames = std::vector<std::string>;

/// The report in `headers`; none when there is none, or none that makes sense.
std::optional<LoadReport> read_load_report(const http::HeaderMap& headers,
                                           const MetricNames& wanted);

/// How much a host with such a report should get; none when the report does not tell.
std::optional<uint32_t> weight_by_report(const LoadReport& report, double error_penalty);

}  // namespace remora::upstream
