// When hosts are judged by what comes of requests to them, and what follows. Part of a cluster's
// immutable configuration; the defaults are Envoy's. Document:
// envoy.config.cluster.v3.OutlierDetection.
#pragma once

#include <cstddef>
#include <cstdint>

namespace remora::upstream {

/// Why a host is one to leave out.
enum class Ejection : uint8_t {
  Consecutive5xx,
  ConsecutiveGatewayFailure,
  ConsecutiveLocalOriginFailure,
  SuccessRate,
  LocalOriginSuccessRate,
  FailurePercentage,
  LocalOriginFailurePercentage,
};
inline constexpr size_t kEjections = 7;

struct OutlierConfig {
  uint64_t interval_ms = 10'000;  // between judgements by rates, and looks at who may come back
  uint64_t base_ejection_ms = 30'000;  // times how often a host was ejected lately
  uint64_t max_ejection_ms = 300'000;
  uint64_t max_jitter_ms = 0;          // by at most so much an ejection is longer
  uint32_t max_ejection_percent = 10;  // of the hosts may be ejected
  bool always_eject_one = false;       // one may be, even at 0 percent
  bool checks_uneject = true;          // who passes an active health check may come back at once

  // Failures in a row.
  uint32_t consecutive_5xx = 5;
  uint32_t consecutive_gateway_failure = 5;
  uint32_t consecutive_local_origin_failure = 5;
  bool split_local_origin = false;  // failures to reach a host are judged apart from its answers

  // Rates of the last interval.
  uint32_t success_rate_minimum_hosts = 5;
  uint32_t success_rate_request_volume = 100;
  uint32_t success_rate_stdev_factor = 1900;  // thousandths
  uint32_t failure_percentage_threshold = 85;
  uint32_t failure_percentage_minimum_hosts = 5;
  uint32_t failure_percentage_request_volume = 50;

  /// By Ejection: in how many of 100 cases a host that was found out is ejected.
  uint32_t enforcing_percent[kEjections] = {100, 0, 100, 100, 100, 0, 0};
};

}  // namespace remora::upstream
