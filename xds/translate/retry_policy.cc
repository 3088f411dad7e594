#include "xds/translate/retry_policy.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <utility>

#include "api/omit_canary_hosts.pb.h"
#include "api/omit_host_metadata.pb.h"
#include "api/previous_hosts.pb.h"
#include "api/previous_priorities.pb.h"
#include "proxy/router/retry_extras.h"
#include "xds/translate/host_metadata.h"
#include "xds/translate/match.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace route = envoy::config::route::v3;
using PreviousHosts = envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
using OmitCanaryHosts =
    envoy::extensions::retry::host::omit_canary_hosts::v3::OmitCanaryHostsPredicate;
using OmitHostMetadata =
    envoy::extensions::retry::host::omit_host_metadata::v3::OmitHostMetadataConfig;
using PreviousPriorities =
    envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;

struct RetryCondition {
  std::string_view name;
  router::RetryPolicy::On bit;
};

constexpr auto kRetryConditions = std::to_array<RetryCondition>({
    {"5xx", router::RetryPolicy::k5xx},
    {"gateway-error", router::RetryPolicy::kGatewayError},
    {"reset", router::RetryPolicy::kReset},
    {"reset-before-request", router::RetryPolicy::kResetBeforeRequest},
    {"connect-failure", router::RetryPolicy::kConnectFailure},
    {"retriable-4xx", router::RetryPolicy::kRetriable4xx},
    {"refused-stream", router::RetryPolicy::kRefusedStream},
    {"retriable-status-codes", router::RetryPolicy::kRetriableStatusCodes},
    {"retriable-headers", router::RetryPolicy::kRetriableHeaders},
    {"envoy-ratelimited", router::RetryPolicy::kEnvoyRatelimited},
    {"http3-post-connect-failure", router::RetryPolicy::On{}},  // no upstream speaks it
    {"cancelled", router::RetryPolicy::kGrpcCancelled},
    {"deadline-exceeded", router::RetryPolicy::kGrpcDeadlineExceeded},
    {"internal", router::RetryPolicy::kGrpcInternal},
    {"resource-exhausted", router::RetryPolicy::kGrpcResourceExhausted},
    {"unavailable", router::RetryPolicy::kGrpcUnavailable},
});

constexpr uint64_t kDefaultBackOffFactor = 10;  // longest wait, in base intervals

absl::Status read_retry_on(const std::string& text, Context& context, uint32_t* out,
                           const Path& path) {
  for (absl::string_view word : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    word = absl::StripAsciiWhitespace(word);
    const std::string_view name(word.data(), word.size());
    const auto* known =
        std::ranges::find_if(kRetryConditions, [&](const auto& c) { return c.name == name; });
    if (known != kRetryConditions.end()) {
      *out |= known->bit;
      continue;
    }
    REMORA_TRY(context.not_honoured(path, absl::StrCat("unknown condition '", word, "'"), false));
  }
  return absl::OkStatus();
}

absl::Status read_back_off(const route::RetryPolicy::RetryBackOff& proto, router::RetryPolicy* out,
                           const Path& path) {
  if (!proto.has_base_interval()) return path.field("base_interval").error("is required");
  REMORA_TRY_ASSIGN(out->back_off_base_ms,
                    positive_milliseconds(proto.base_interval(), path.field("base_interval")));
  out->back_off_max_ms = out->back_off_base_ms * kDefaultBackOffFactor;
  if (proto.has_max_interval()) {
    REMORA_TRY_ASSIGN(out->back_off_max_ms,
                      positive_milliseconds(proto.max_interval(), path.field("max_interval")));
  }
  if (out->back_off_max_ms < out->back_off_base_ms) {
    return path.field("max_interval").error("must not be less than base_interval");
  }
  return absl::OkStatus();
}

absl::Status read_header_matches(
    const google::protobuf::RepeatedPtrField<route::HeaderMatcher>& from, const Context& context,
    std::string_view name, std::vector<router::HeaderMatch>* out, const Path& path) {
  for (int i = 0; i < from.size(); ++i) {
    auto match = header_match(from[i], context, path.at(name, i));
    if (!match.ok()) return match.status();
    out->push_back(*std::move(match));
  }
  return absl::OkStatus();
}

absl::Status read_reset_headers(const route::RetryPolicy::RateLimitedRetryBackOff& from,
                                router::RetryExtras* out, const Path& path) {
  if (from.reset_headers_size() == 0) return path.field("reset_headers").error("must not be empty");
  for (int i = 0; i < from.reset_headers_size(); ++i) {
    const auto& header = from.reset_headers(i);
    const Path here = path.at("reset_headers", i);
    REMORA_TRY(check_header_name(header.name(), here.field("name")));
    out->reset_headers.push_back({absl::AsciiStrToLower(header.name()),
                                  header.format() == route::RetryPolicy::UNIX_TIMESTAMP});
  }
  if (!from.has_max_interval()) return absl::OkStatus();
  REMORA_TRY_ASSIGN(out->reset_max_ms,
                    positive_milliseconds(from.max_interval(), path.field("max_interval")));
  return absl::OkStatus();
}

absl::Status read_host_predicate(const google::protobuf::Any& from, router::RetryPolicy* out,
                                 router::RetryExtras* extras, const Path& path) {
  TypedBytes config;
  REMORA_TRY_ASSIGN(config, unwrap(from, path));
  if (config.type == OmitCanaryHosts::descriptor()->full_name()) {
    extras->avoids_canaries = true;
    return unpack_as<OmitCanaryHosts>(from, path).status();
  }
  if (config.type == OmitHostMetadata::descriptor()->full_name()) {
    OmitHostMetadata omitted;
    REMORA_TRY_ASSIGN(omitted, unpack_as<OmitHostMetadata>(from, path));
    const auto labels = host_labels(omitted.metadata_match());
    if (labels != nullptr && !labels->fields.empty())
      extras->avoid_labels.push_back(labels->fields);
    return absl::OkStatus();
  }
  out->previous_hosts = true;
  return unpack_as<PreviousHosts>(from, path).status();
}

absl::Status read_host_predicates(const route::RetryPolicy& proto, router::RetryPolicy* out,
                                  router::RetryExtras* extras, const Path& path) {
  for (int i = 0; i < proto.retry_host_predicate_size(); ++i) {
    const Path here = path.at("retry_host_predicate", i);
    const Path config = here.field("typed_config");
    const auto& predicate = proto.retry_host_predicate(i);
    if (!predicate.has_typed_config()) return config.error("is required");
    REMORA_TRY(read_host_predicate(predicate.typed_config(), out, extras, config));
  }
  return absl::OkStatus();
}

absl::Status read_priority(const route::RetryPolicy::RetryPriority& from, router::RetryExtras* out,
                           const Path& path) {
  const Path here = path.field("typed_config");
  if (!from.has_typed_config()) return here.error("is required");
  PreviousPriorities config;
  REMORA_TRY_ASSIGN(config, unpack_as<PreviousPriorities>(from.typed_config(), here));
  if (config.update_frequency() <= 0) {
    return here.field("update_frequency").error("must be greater than 0");
  }
  out->priority_update_frequency = static_cast<uint32_t>(config.update_frequency());
  return absl::OkStatus();
}

absl::Status read_extras(const route::RetryPolicy& from, Context& context, router::RetryPolicy* out,
                         const Path& path) {
  router::RetryExtras extras;
  if (from.has_per_try_idle_timeout()) {
    REMORA_TRY_ASSIGN(extras.per_try_idle_ms, milliseconds(from.per_try_idle_timeout(),
                                                           path.field("per_try_idle_timeout")));
  }
  REMORA_TRY(read_header_matches(from.retriable_headers(), context, "retriable_headers",
                                 &extras.retriable_headers, path));
  REMORA_TRY(read_header_matches(from.retriable_request_headers(), context,
                                 "retriable_request_headers", &extras.retriable_request_headers,
                                 path));
  if (from.has_rate_limited_retry_back_off()) {
    REMORA_TRY(read_reset_headers(from.rate_limited_retry_back_off(), &extras,
                                  path.field("rate_limited_retry_back_off")));
  }
  if (from.has_retry_priority()) {
    REMORA_TRY(read_priority(from.retry_priority(), &extras, path.field("retry_priority")));
  }
  REMORA_TRY(read_host_predicates(from, out, &extras, path));
  if (extras.empty()) return absl::OkStatus();
  out->extras = std::make_shared<const router::RetryExtras>(std::move(extras));
  return absl::OkStatus();
}

/// Envoy reads the first two fields and does nothing with them.
absl::Status read_hedging(const route::HedgePolicy& from, std::optional<bool>* out,
                          const Path& path) {
  if (from.has_initial_requests() && from.initial_requests().value() != 1) {
    return path.field("initial_requests").error("is not supported, but for 1");
  }
  if (from.additional_request_chance().numerator() != 0) {
    return path.field("additional_request_chance").error("is not supported, but for 0");
  }
  *out = from.hedge_on_per_try_timeout();
  return absl::OkStatus();
}

absl::StatusOr<router::RetryPolicy> retry_policy(const route::RetryPolicy& proto, Context& context,
                                                 const Path& path) {
  router::RetryPolicy out;
  REMORA_TRY(read_retry_on(proto.retry_on(), context, &out.on, path.field("retry_on")));
  if (proto.has_num_retries()) out.num_retries = proto.num_retries().value();
  if (proto.has_per_try_timeout()) {
    REMORA_TRY_ASSIGN(out.per_try_timeout_ms,
                      milliseconds(proto.per_try_timeout(), path.field("per_try_timeout")));
  }
  if (proto.has_retry_back_off()) {
    REMORA_TRY(read_back_off(proto.retry_back_off(), &out, path.field("retry_back_off")));
  }
  for (int i = 0; i < proto.retriable_status_codes_size(); ++i) {
    const uint32_t code = proto.retriable_status_codes(i);
    if (code < 100 || code > 999) {
      return path.at("retriable_status_codes", i).error("is not a status code");
    }
    out.retriable_status_codes.push_back(static_cast<uint16_t>(code));
  }
  REMORA_TRY(read_extras(proto, context, &out, path));
  const int64_t attempts = proto.host_selection_retry_max_attempts();
  if (attempts < 0 || attempts > std::numeric_limits<uint32_t>::max()) {
    return path.field("host_selection_retry_max_attempts").error("is out of range");
  }
  if (attempts > 0) out.host_selection_max_attempts = static_cast<uint32_t>(attempts);
  return out;
}

template <class Proto, class Out>
absl::Status read_retries(const Proto& from, Context& context, Out* out, const Path& path) {
  if (from.has_retry_policy()) {
    REMORA_TRY_ASSIGN(out->retry,
                      retry_policy(from.retry_policy(), context, path.field("retry_policy")));
  }
  if (!from.has_hedge_policy()) return absl::OkStatus();
  return read_hedging(from.hedge_policy(), &out->hedges, path.field("hedge_policy"));
}

}  // namespace

absl::Status set_retries(const route::VirtualHost& from, Context& context, router::VirtualHost* out,
                         const Path& path) {
  return read_retries(from, context, out, path);
}

absl::Status set_retries(const route::RouteAction& from, Context& context,
                         router::ClusterAction* out, const Path& path) {
  return read_retries(from, context, out, path);
}

}  // namespace remora::xds::translate
