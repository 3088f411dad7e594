// How long anything may take: from the route, its retry policy and the request's headers. Pure
// decisions; the stream's worker thread.
#pragma once

#include <cstdint>
#include <optional>

#include "proxy/http/header_map.h"
#include "proxy/router/route_table.h"

namespace remora::router {

struct Timeouts {
  uint64_t global_ms = 0;        // from the end of the request to the end of the response; 0: none
  uint64_t per_try_ms = 0;       // of one attempt, to its response headers; 0: none
  uint64_t per_try_idle_ms = 0;  // between two parts of one attempt's answer; 0: none
  bool hedges = false;           // an attempt that is late goes on beside the next one
  // x-envoy-upstream-stream-duration-ms: of one attempt's stream, in place of the cluster's own
  std::optional<uint64_t> upstream_stream_ms;
  bool answers_no_content = false;  // when one is over: 204 in place of 504
  bool tells_grpc = false;          // grpc-timeout says what is expected of the upstream
};

/// The route's timeouts as changed by x-envoy-upstream-rq-timeout-ms,
/// x-envoy-upstream-rq-per-try-timeout-ms, x-envoy-upstream-rq-timeout-alt-response,
/// x-envoy-hedge-on-per-try-timeout and grpc-timeout, which are taken out of the request where
/// Envoy does. `respect_expected`: a proxy before this one may say in
/// x-envoy-expected-rq-timeout-ms what is left. `hedges`: as configured.
Timeouts timeouts_of(const ClusterAction& action, const RetryPolicy* policy, bool respect_expected,
                     bool hedges, http::HeaderMap& request);

/// What x-envoy-expected-rq-timeout-ms tells the upstream `elapsed_ms` after the start; 0: nothing.
uint64_t expected_timeout_ms(const Timeouts& timeouts, uint64_t elapsed_ms);

/// The bound on the whole stream, and what grpc-timeout then tells the upstream: that of the
/// request's grpc-timeout within the route's limits, or the route's, or the listener's
/// (`listener_ms`; 0: none). Nullopt: no bound; 0: it is over.
std::optional<uint64_t> stream_duration_ms(const ClusterAction& action, uint64_t listener_ms,
                                           http::HeaderMap& request);

}  // namespace remora::router
