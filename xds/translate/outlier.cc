#include "xds/translate/outlier.h"

#include <algorithm>
#include <string>
#include <type_traits>

#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using Proto = envoy::config::cluster::v3::OutlierDetection;
using google::protobuf::UInt32Value;
using upstream::Ejection;
using upstream::OutlierConfig;

void read(bool said, const UInt32Value& from, uint32_t* out) {
  if (said) *out = from.value();
}

absl::Status read_percent(bool said, const UInt32Value& from, uint32_t* out, const Path& path) {
  read(said, from, out);
  return *out <= 100 ? absl::OkStatus() : path.error("must be from 0 to 100");
}

absl::Status read_time(bool said, const google::protobuf::Duration& from, uint64_t* out,
                       const Path& path) {
  if (!said) return absl::OkStatus();
  REMORA_TRY_ASSIGN(*out, positive_milliseconds(from, path));
  return absl::OkStatus();
}

absl::Status read_times(const Proto& from, OutlierConfig* out, const Path& path) {
  REMORA_TRY(
      read_time(from.has_interval(), from.interval(), &out->interval_ms, path.field("interval")));
  REMORA_TRY(read_time(from.has_base_ejection_time(), from.base_ejection_time(),
                       &out->base_ejection_ms, path.field("base_ejection_time")));
  out->max_ejection_ms = std::max(out->max_ejection_ms, out->base_ejection_ms);
  REMORA_TRY(read_time(from.has_max_ejection_time(), from.max_ejection_time(),
                       &out->max_ejection_ms, path.field("max_ejection_time")));
  if (out->max_ejection_ms < out->base_ejection_ms) {
    return path.field("max_ejection_time").error("is below base_ejection_time");
  }
  if (!from.has_max_ejection_time_jitter()) return absl::OkStatus();
  REMORA_TRY_ASSIGN(out->max_jitter_ms, milliseconds(from.max_ejection_time_jitter(),
                                                     path.field("max_ejection_time_jitter")));
  return absl::OkStatus();
}

absl::Status read_enforcing(const Proto& from, OutlierConfig* out, const Path& path) {
  const auto percent = [&](bool said, const UInt32Value& value, Ejection of, const char* name) {
    return read_percent(said, value, &out->enforcing_percent[static_cast<size_t>(of)],
                        path.field(name));
  };
  REMORA_TRY(percent(from.has_enforcing_consecutive_5xx(), from.enforcing_consecutive_5xx(),
                     Ejection::Consecutive5xx, "enforcing_consecutive_5xx"));
  REMORA_TRY(percent(from.has_enforcing_success_rate(), from.enforcing_success_rate(),
                     Ejection::SuccessRate, "enforcing_success_rate"));
  REMORA_TRY(percent(from.has_enforcing_consecutive_gateway_failure(),
                     from.enforcing_consecutive_gateway_failure(),
                     Ejection::ConsecutiveGatewayFailure, "enforcing_consecutive_gateway_failure"));
  REMORA_TRY(percent(from.has_enforcing_consecutive_local_origin_failure(),
                     from.enforcing_consecutive_local_origin_failure(),
                     Ejection::ConsecutiveLocalOriginFailure,
                     "enforcing_consecutive_local_origin_failure"));
  REMORA_TRY(percent(from.has_enforcing_local_origin_success_rate(),
                     from.enforcing_local_origin_success_rate(), Ejection::LocalOriginSuccessRate,
                     "enforcing_local_origin_success_rate"));
  REMORA_TRY(percent(from.has_enforcing_failure_percentage(), from.enforcing_failure_percentage(),
                     Ejection::FailurePercentage, "enforcing_failure_percentage"));
  return percent(from.has_enforcing_failure_percentage_local_origin(),
                 from.enforcing_failure_percentage_local_origin(),
                 Ejection::LocalOriginFailurePercentage,
                 "enforcing_failure_percentage_local_origin");
}

/// What the runtime says is so in every cluster, whatever its configuration.
void apply(const Runtime& runtime, OutlierConfig* out) {
  const auto read = [&runtime](const std::string& key, auto* to) {
    const auto value = runtime.number("outlier_detection." + key);
    if (value && *value >= 0) *to = static_cast<std::remove_pointer_t<decltype(to)>>(*value);
  };
  read("interval_ms", &out->interval_ms);
  read("base_ejection_time_ms", &out->base_ejection_ms);
  read("max_ejection_time_ms", &out->max_ejection_ms);
  read("max_ejection_time_jitter_ms", &out->max_jitter_ms);
  read("max_ejection_percent", &out->max_ejection_percent);
  read("consecutive_5xx", &out->consecutive_5xx);
  read("consecutive_gateway_failure", &out->consecutive_gateway_failure);
  read("consecutive_local_origin_failure", &out->consecutive_local_origin_failure);
  read("success_rate_minimum_hosts", &out->success_rate_minimum_hosts);
  read("success_rate_request_volume", &out->success_rate_request_volume);
  read("success_rate_stdev_factor", &out->success_rate_stdev_factor);
  read("failure_percentage_threshold", &out->failure_percentage_threshold);
  read("failure_percentage_minimum_hosts", &out->failure_percentage_minimum_hosts);
  read("failure_percentage_request_volume", &out->failure_percentage_request_volume);
  constexpr const char* kEnforcing[upstream::kEjections] = {
      "enforcing_consecutive_5xx",
      "enforcing_consecutive_gateway_failure",
      "enforcing_consecutive_local_origin_failure",
      "enforcing_success_rate",
      "enforcing_local_origin_success_rate",
      "enforcing_failure_percentage",
      "enforcing_failure_percentage_local_origin"};
  for (size_t i = 0; i < upstream::kEjections; ++i) {
    read(kEnforcing[i], &out->enforcing_percent[i]);
  }
  out->max_ejection_percent = std::min<uint32_t>(out->max_ejection_percent, 100);
  out->interval_ms = std::max<uint64_t>(out->interval_ms, 1);
}

}  // namespace

absl::StatusOr<OutlierConfig> outlier_detection(const Proto& from, const Runtime* runtime,
                                                const Path& path) {
  OutlierConfig out;
  REMORA_TRY(read_times(from, &out, path));
  REMORA_TRY(read_enforcing(from, &out, path));
  REMORA_TRY(read_percent(from.has_max_ejection_percent(), from.max_ejection_percent(),
                          &out.max_ejection_percent, path.field("max_ejection_percent")));
  REMORA_TRY(read_percent(from.has_failure_percentage_threshold(),
                          from.failure_percentage_threshold(), &out.failure_percentage_threshold,
                          path.field("failure_percentage_threshold")));
  if (from.has_successful_active_health_check_uneject_host()) {
    out.checks_uneject = from.successful_active_health_check_uneject_host().value();
  }
  out.always_eject_one = from.always_eject_one_host().value();
  out.split_local_origin = from.split_external_local_origin_errors();
  read(from.has_consecutive_5xx(), from.consecutive_5xx(), &out.consecutive_5xx);
  read(from.has_consecutive_gateway_failure(), from.consecutive_gateway_failure(),
       &out.consecutive_gateway_failure);
  read(from.has_consecutive_local_origin_failure(), from.consecutive_local_origin_failure(),
       &out.consecutive_local_origin_failure);
  read(from.has_success_rate_minimum_hosts(), from.success_rate_minimum_hosts(),
       &out.success_rate_minimum_hosts);
  read(from.has_success_rate_request_volume(), from.success_rate_request_volume(),
       &out.success_rate_request_volume);
  read(from.has_success_rate_stdev_factor(), from.success_rate_stdev_factor(),
       &out.success_rate_stdev_factor);
  read(from.has_failure_percentage_minimum_hosts(), from.failure_percentage_minimum_hosts(),
       &out.failure_percentage_minimum_hosts);
  read(from.has_failure_percentage_request_volume(), from.failure_percentage_request_volume(),
       &out.failure_percentage_request_volume);
  if (runtime != nullptr) apply(*runtime, &out);
  return out;
}

}  // namespace remora::xds::translate
