#include "proxy/router/timeouts.h"

#include <absl/strings/numbers.h>

#include <algorithm>

#include "proxy/http/grpc.h"
#include "proxy/router/retry_extras.h"

namespace remora::router {
namespace {

using http::HeaderId;
using http::HeaderMap;

/// The number that a header is, or nothing: signs, spaces and overflow are no numbers.
std::optional<uint64_t> number(std::string_view text) {
  const bool digits =
      !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  uint64_t value = 0;
  if (!digits || !absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &value)) {
    return std::nullopt;
  }
  return value;
}

/// A duration header that this proxy obeys and does not pass on.
std::optional<uint64_t> take_ms(HeaderMap& request, HeaderId id) {
  if (!request.has(id)) return std::nullopt;
  const std::optional<uint64_t> ms = number(request.get(id));
  request.remove(id);
  return ms;
}

bool takes_hedging(HeaderMap& request, bool otherwise) {
  if (!request.has(HeaderId::XEnvoyHedgeOnPerTryTimeout)) return otherwise;
  const std::string_view word = request.get(HeaderId::XEnvoyHedgeOnPerTryTimeout);
  const bool hedges = word == "true" || (otherwise && word != "false");
  request.remove(HeaderId::XEnvoyHedgeOnPerTryTimeout);
  return hedges;
}

std::optional<uint64_t> grpc_timeout_in(const HeaderMap& request) {
  if (!request.has(HeaderId::GrpcTimeout)) return std::nullopt;
  return http::parse_grpc_timeout(request.get(HeaderId::GrpcTimeout));
}

/// What a route with max_grpc_timeout makes of grpc-timeout; without one there is no bound but the
/// route's.
uint64_t old_grpc_timeout_ms(const ClusterAction& action, const HeaderMap& request) {
  uint64_t ms = grpc_timeout_in(request).value_or(0);
  // The time that the client's own deadline needs to arrive first; never down to "no timeout".
  if (action.max_grpc_timeout.offset_ms < ms) ms -= action.max_grpc_timeout.offset_ms;
  const uint64_t max = *action.max_grpc_timeout.max_ms;
  return max != 0 && (ms == 0 || ms > max) ? max : ms;
}

/// The same for grpc_timeout_header_max.
uint64_t new_grpc_timeout_ms(const GrpcTimeout& bound, uint64_t ms) {
  if (*bound.max_ms != 0) ms = std::min(ms, *bound.max_ms);
  return ms - std::min(ms, bound.offset_ms);
}

}  // namespace

Timeouts timeouts_of(const ClusterAction& action, const RetryPolicy* policy, bool respect_expected,
                     bool hedges, HeaderMap& request) {
  Timeouts timeouts;
  timeouts.hedges = takes_hedging(request, hedges);
  timeouts.answers_no_content = request.has(HeaderId::XEnvoyUpstreamRqTimeoutAltResponse);
  request.remove(HeaderId::XEnvoyUpstreamRqTimeoutAltResponse);
  // A route that bounds the whole stream does not bound the answer besides.
  if (!action.bounds_streams) {
    timeouts.tells_grpc = action.max_grpc_timeout.max_ms && http::has_grpc_content_type(request);
    timeouts.global_ms =
        timeouts.tells_grpc ? old_grpc_timeout_ms(action, request) : action.timeout_ms;
  }
  if (policy != nullptr) {
    timeouts.per_try_ms = policy->per_try_timeout_ms;
    if (policy->extras != nullptr) timeouts.per_try_idle_ms = policy->extras->per_try_idle_ms;
  }

  std::optional<uint64_t> asked;
  if (respect_expected && request.has(HeaderId::XEnvoyExpectedRqTimeoutMs)) {
    asked = number(request.get(HeaderId::XEnvoyExpectedRqTimeoutMs));
  } else {
    asked = take_ms(request, HeaderId::XEnvoyUpstreamRqTimeoutMs);
  }
  if (asked) timeouts.global_ms = *asked;
  if (auto ms = take_ms(request, HeaderId::XEnvoyUpstreamRqPerTryTimeoutMs)) {
    timeouts.per_try_ms = *ms;
  }
  if (timeouts.global_ms != 0 && timeouts.per_try_ms >= timeouts.global_ms) timeouts.per_try_ms = 0;
  timeouts.upstream_stream_ms = take_ms(request, HeaderId::XEnvoyUpstreamStreamDurationMs);
  return timeouts;
}

uint64_t expected_timeout_ms(const Timeouts& timeouts, uint64_t elapsed_ms) {
  // Who is late but not reset has all the time there is.
  const bool by_try = timeouts.per_try_ms != 0 && !timeouts.hedges;
  const uint64_t expected = by_try ? timeouts.per_try_ms : timeouts.global_ms;
  if (expected == 0 || timeouts.global_ms == 0) return expected;
  if (elapsed_ms >= timeouts.global_ms) return 1;
  return std::min(expected, timeouts.global_ms - elapsed_ms);
}

std::optional<uint64_t> stream_duration_ms(const ClusterAction& action, uint64_t listener_ms,
                                           HeaderMap& request) {
  std::optional<uint64_t> ms;
  if (action.grpc_timeout_header.max_ms) ms = grpc_timeout_in(request);
  if (ms) {
    ms = new_grpc_timeout_ms(action.grpc_timeout_header, *ms);
  } else {
    const uint64_t own = action.max_stream_duration_ms.value_or(listener_ms);
    if (own == 0) return std::nullopt;
    ms = own;
  }
  if (action.bounds_streams && http::has_grpc_content_type(request)) {
    http::set_grpc_timeout(*ms, request);
  }
  return ms;
}

}  // namespace remora::router
