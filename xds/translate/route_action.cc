#include "xds/translate/route_action.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <array>
#include <limits>

#include "api/previous_hosts.pb.h"
#include "xds/translate/filter_configs.h"
#include "xds/translate/header_edits.h"
#include "xds/translate/host_metadata.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/upgrade.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace route = envoy::config::route::v3;
using HashPolicy = route::RouteAction::HashPolicy;
using PreviousHosts = envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;

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

absl::Status read_host_predicates(const route::RetryPolicy& proto, router::RetryPolicy* out,
                                  const Path& path) {
  for (int i = 0; i < proto.retry_host_predicate_size(); ++i) {
    const Path here = path.at("retry_host_predicate", i);
    const Path config = here.field("typed_config");
    if (!proto.retry_host_predicate(i).has_typed_config()) return config.error("is required");
    REMORA_TRY(
        unpack_as<PreviousHosts>(proto.retry_host_predicate(i).typed_config(), config).status());
    out->previous_hosts = true;
  }
  return absl::OkStatus();
}

/// `proto` may add to what the whole route asks of hosts.
absl::Status read_weighted(const route::WeightedCluster& proto, Context& context,
                           router::ClusterAction* out, const Path& path) {
  if (proto.clusters_size() == 0) return path.field("clusters").error("must not be empty");
  for (int i = 0; i < proto.clusters_size(); ++i) {
    const auto& cluster = proto.clusters(i);
    const Path here = path.at("clusters", i);
    if (cluster.name().empty()) return here.field("name").error("is required");
    router::WeightedCluster weighted;
    weighted.name = cluster.name();
    weighted.weight = cluster.weight().value();
    REMORA_TRY(set_header_edits(cluster, here, &weighted.request_edits, &weighted.response_edits));
    REMORA_TRY_ASSIGN(weighted.filter_configs,
                      filter_configs(cluster.typed_per_filter_config(), context, here));
    weighted.metadata_match = metadata_criteria(cluster.metadata_match(), out->metadata_match);
    out->total_weight += weighted.weight;
    out->weighted.push_back(std::move(weighted));
  }
  if (out->total_weight == 0) return path.error("the sum of weights must be greater than 0");
  if (out->total_weight > std::numeric_limits<uint32_t>::max()) {
    return path.error("the sum of weights is above the maximum of a uint32");
  }
  if (proto.has_total_weight() && proto.total_weight().value() != out->total_weight) {
    return path.field("total_weight").error("is not the sum of weights");
  }
  return absl::OkStatus();
}

absl::Status read_destination(const route::RouteAction& proto, Context& context,
                              router::ClusterAction* out, const Path& path) {
  switch (proto.cluster_specifier_case()) {
    case route::RouteAction::kCluster:
      if (proto.cluster().empty()) return path.field("cluster").error("is required");
      out->cluster = proto.cluster();
      return absl::OkStatus();
    case route::RouteAction::kClusterHeader:
      REMORA_TRY(check_header_name(proto.cluster_header(), path.field("cluster_header")));
      out->cluster_header = request_header_name(proto.cluster_header());
      return absl::OkStatus();
    case route::RouteAction::kWeightedClusters:
      return read_weighted(proto.weighted_clusters(), context, out,
                           path.field("weighted_clusters"));
    case route::RouteAction::CLUSTER_SPECIFIER_NOT_SET:
      return path.error("has no cluster specifier that is supported");
  }
  return absl::OkStatus();
}

absl::Status read_substitution(const envoy::type::matcher::v3::RegexMatchAndSubstitute& from,
                               const Context& context, std::shared_ptr<const re2::RE2>* pattern,
                               std::string* substitution, const Path& path) {
  const Path at = path.field("substitution");
  REMORA_TRY_ASSIGN(*pattern, regex(from.pattern(), context, path.field("pattern")));
  *substitution = from.substitution();
  REMORA_TRY(check_header_value(*substitution, at));
  std::string error;
  return (*pattern)->CheckRewriteString(*substitution, &error) ? absl::OkStatus() : at.error(error);
}

absl::Status read_rewrites(const route::RouteAction& proto, const Context& context,
                           router::ClusterAction* out, const Path& path) {
  if (!proto.prefix_rewrite().empty() && proto.has_regex_rewrite()) {
    return path.error("prefix_rewrite and regex_rewrite exclude each other");
  }
  REMORA_TRY(check_header_value(proto.prefix_rewrite(), path.field("prefix_rewrite")));
  out->prefix_rewrite = proto.prefix_rewrite();
  out->has_prefix_rewrite = !proto.prefix_rewrite().empty();
  if (proto.has_regex_rewrite()) {
    REMORA_TRY(read_substitution(proto.regex_rewrite(), context, &out->regex_rewrite,
                                 &out->regex_substitution, path.field("regex_rewrite")));
  }
  const Path literal = path.field("host_rewrite_literal");
  REMORA_TRY(check_header_value(proto.host_rewrite_literal(), literal));
  out->host_rewrite_literal = proto.host_rewrite_literal();
  if (!proto.host_rewrite_header().empty()) {
    REMORA_TRY(check_header_name(proto.host_rewrite_header(), path.field("host_rewrite_header")));
    out->host_rewrite_header = request_header_name(proto.host_rewrite_header());
  }
  out->auto_host_rewrite = proto.auto_host_rewrite().value();
  out->append_x_forwarded_host = proto.append_x_forwarded_host();
  return absl::OkStatus();
}

absl::Status read_hash_cookie(const HashPolicy::Cookie& from, router::HashPolicy* out,
                              const Path& path) {
  out->kind = router::HashPolicy::Kind::Cookie;
  out->name = from.name();
  if (from.name().empty()) return path.field("name").error("is required");
  REMORA_TRY(check_header_value(from.name(), path.field("name")));
  if (from.has_ttl()) {
    auto ttl = milliseconds(from.ttl(), path.field("ttl"));
    if (!ttl.ok()) return ttl.status();
    out->cookie_ttl_s = *ttl / 1000;
  }
  REMORA_TRY(check_header_value(from.path(), path.field("path")));
  out->cookie_path = from.path();
  for (int i = 0; i < from.attributes_size(); ++i) {
    const auto& attribute = from.attributes(i);
    const Path here = path.at("attributes", i);
    REMORA_TRY(check_header_name(attribute.name(), here.field("name")));
    REMORA_TRY(check_header_value(attribute.value(), here.field("value")));
    out->cookie_attributes.emplace_back(attribute.name(), attribute.value());
  }
  return absl::OkStatus();
}

absl::Status read_hash_header(const HashPolicy::Header& from, const Context& context,
                              router::HashPolicy* out, const Path& path) {
  out->kind = router::HashPolicy::Kind::Header;
  REMORA_TRY(check_header_name(from.header_name(), path.field("header_name")));
  out->name = request_header_name(from.header_name());
  if (!from.has_regex_rewrite()) return absl::OkStatus();
  return read_substitution(from.regex_rewrite(), context, &out->rewrite, &out->substitution,
                           path.field("regex_rewrite"));
}

absl::Status read_hash_policies(const route::RouteAction& proto, const Context& context,
                                router::ClusterAction* out, const Path& path) {
  for (int i = 0; i < proto.hash_policy_size(); ++i) {
    const HashPolicy& from = proto.hash_policy(i);
    const Path here = path.at("hash_policy", i);
    router::HashPolicy policy;
    policy.terminal = from.terminal();
    switch (from.policy_specifier_case()) {
      case HashPolicy::kHeader:
        REMORA_TRY(read_hash_header(from.header(), context, &policy, here.field("header")));
        break;
      case HashPolicy::kCookie:
        REMORA_TRY(read_hash_cookie(from.cookie(), &policy, here.field("cookie")));
        break;
      case HashPolicy::kConnectionProperties:
        if (!from.connection_properties().source_ip()) continue;
        policy.kind = router::HashPolicy::Kind::SourceIp;
        break;
      case HashPolicy::kQueryParameter:
        policy.kind = router::HashPolicy::Kind::Query;
        policy.name = from.query_parameter().name();
        if (policy.name.empty()) return here.field("query_parameter.name").error("is required");
        break;
      case HashPolicy::POLICY_SPECIFIER_NOT_SET:
        return here.error("has no policy specifier that is supported");
    }
    out->hash_policies.push_back(std::move(policy));
  }
  return absl::OkStatus();
}

absl::Status read_duration(bool present, const google::protobuf::Duration& from,
                           std::optional<uint64_t>* out, const Path& path) {
  if (!present) return absl::OkStatus();
  REMORA_TRY_ASSIGN(*out, milliseconds(from, path));
  return absl::OkStatus();
}

absl::Status read_grpc_timeout(const route::RouteAction& proto, router::GrpcTimeout* out,
                               const Path& path) {
  REMORA_TRY(read_duration(proto.has_max_grpc_timeout(), proto.max_grpc_timeout(), &out->max_ms,
                           path.field("max_grpc_timeout")));
  if (proto.has_grpc_timeout_offset()) {
    REMORA_TRY_ASSIGN(out->offset_ms,
                      milliseconds(proto.grpc_timeout_offset(), path.field("grpc_timeout_offset")));
  }
  return absl::OkStatus();
}

absl::Status read_stream_duration(const route::RouteAction::MaxStreamDuration& proto,
                                  router::ClusterAction* out, const Path& path) {
  out->bounds_streams = true;
  REMORA_TRY(read_duration(proto.has_max_stream_duration(), proto.max_stream_duration(),
                           &out->max_stream_duration_ms, path.field("max_stream_duration")));
  REMORA_TRY(read_duration(proto.has_grpc_timeout_header_max(), proto.grpc_timeout_header_max(),
                           &out->grpc_timeout_header.max_ms,
                           path.field("grpc_timeout_header_max")));
  if (proto.has_grpc_timeout_header_offset()) {
    REMORA_TRY_ASSIGN(
        out->grpc_timeout_header.offset_ms,
        milliseconds(proto.grpc_timeout_header_offset(), path.field("grpc_timeout_header_offset")));
  }
  return absl::OkStatus();
}

absl::Status read_timeouts(const route::RouteAction& proto, router::ClusterAction* out,
                           const Path& path) {
  if (proto.has_timeout()) {
    REMORA_TRY_ASSIGN(out->timeout_ms, milliseconds(proto.timeout(), path.field("timeout")));
  }
  REMORA_TRY(read_duration(proto.has_idle_timeout(), proto.idle_timeout(), &out->idle_timeout_ms,
                           path.field("idle_timeout")));
  REMORA_TRY(read_grpc_timeout(proto, &out->max_grpc_timeout, path));
  if (!proto.has_max_stream_duration()) return absl::OkStatus();
  return read_stream_duration(proto.max_stream_duration(), out, path.field("max_stream_duration"));
}

uint16_t not_found_status(route::RouteAction::ClusterNotFoundResponseCode code) {
  if (code == route::RouteAction::NOT_FOUND) return 404;
  return code == route::RouteAction::INTERNAL_SERVER_ERROR ? 500 : 503;
}

uint16_t redirect_status(route::RedirectAction::RedirectResponseCode code) {
  switch (code) {
    case route::RedirectAction::FOUND:
      return 302;
    case route::RedirectAction::SEE_OTHER:
      return 303;
    case route::RedirectAction::TEMPORARY_REDIRECT:
      return 307;
    case route::RedirectAction::PERMANENT_REDIRECT:
      return 308;
    default:
      return 301;
  }
}

}  // namespace

absl::StatusOr<router::ClusterAction> cluster_action(const route::RouteAction& proto,
                                                     Context& context, const Path& path) {
  router::ClusterAction out;
  out.metadata_match = metadata_criteria(proto.metadata_match(), nullptr);
  REMORA_TRY(read_destination(proto, context, &out, path));
  REMORA_TRY(read_rewrites(proto, context, &out, path));
  REMORA_TRY(read_timeouts(proto, &out, path));
  REMORA_TRY(read_hash_policies(proto, context, &out, path));
  REMORA_TRY(read_upgrades(proto, context, &out, path));
  out.cluster_not_found_status = not_found_status(proto.cluster_not_found_response_code());
  out.high_priority = proto.priority() == envoy::config::core::v3::HIGH;
  if (proto.has_retry_policy()) {
    REMORA_TRY_ASSIGN(out.retry,
                      retry_policy(proto.retry_policy(), context, path.field("retry_policy")));
  }
  return out;
}

absl::StatusOr<router::RedirectAction> redirect_action(const route::RedirectAction& proto,
                                                       const Path& path) {
  router::RedirectAction out;
  REMORA_TRY(check_header_value(proto.host_redirect(), path.field("host_redirect")));
  REMORA_TRY(check_header_value(proto.path_redirect(), path.field("path_redirect")));
  REMORA_TRY(check_header_value(proto.prefix_rewrite(), path.field("prefix_rewrite")));
  REMORA_TRY(check_header_value(proto.scheme_redirect(), path.field("scheme_redirect")));
  if (proto.port_redirect() > 65535) return path.field("port_redirect").error("is above 65535");
  out.host = proto.host_redirect();
  out.port = proto.port_redirect();
  out.https = proto.https_redirect();
  out.scheme = proto.scheme_redirect();
  out.has_path = proto.path_rewrite_specifier_case() == route::RedirectAction::kPathRedirect;
  out.path = proto.path_redirect();
  out.has_prefix_rewrite =
      proto.path_rewrite_specifier_case() == route::RedirectAction::kPrefixRewrite;
  out.prefix_rewrite = proto.prefix_rewrite();
  out.strip_query = proto.strip_query();
  out.status = redirect_status(proto.response_code());
  return out;
}

absl::StatusOr<router::DirectAction> direct_action(const route::DirectResponseAction& proto,
                                                   size_t max_body_bytes, const Path& path) {
  if (proto.status() < 200 || proto.status() >= 600) {
    return path.field("status").error("must be from 200 to 599");
  }
  router::DirectAction out;
  out.status = static_cast<uint16_t>(proto.status());
  if (proto.has_body()) {
    REMORA_TRY_ASSIGN(out.body, data_source(proto.body(), path.field("body"), max_body_bytes));
  }
  return out;
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
  REMORA_TRY(read_host_predicates(proto, &out, path));
  const int64_t attempts = proto.host_selection_retry_max_attempts();
  if (attempts < 0 || attempts > std::numeric_limits<uint32_t>::max()) {
    return path.field("host_selection_retry_max_attempts").error("is out of range");
  }
  if (attempts > 0) out.host_selection_max_attempts = static_cast<uint32_t>(attempts);
  return out;
}

}  // namespace remora::xds::translate
