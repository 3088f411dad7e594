#include "xds/translate/cluster_protocol.h"

#include <absl/hash/hash.h>
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>

#include "api/http_protocol_options.pb.h"
#include "proxy/stats/names.h"
#include "xds/translate/http1_options.h"
#include "xds/translate/http2_options.h"
#include "xds/translate/transport_socket.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
namespace proto = envoy::config::cluster::v3;
using HttpOptions = envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

constexpr double kDefaultBudgetPercent = 20;
constexpr uint32_t kMaxHeadersKb = 8192;

absl::Status set_response_limits(const core::HttpProtocolOptions& options,
                                 upstream::ClusterConfig* out, const Path& path) {
  if (options.has_max_headers_count()) {
    out->max_response_headers = options.max_headers_count().value();
    if (out->max_response_headers == 0) {
      return path.field("max_headers_count").error("must be at least 1");
    }
  }
  if (!options.has_max_response_headers_kb()) return absl::OkStatus();
  const uint32_t kb = options.max_response_headers_kb().value();
  if (kb < 1 || kb > kMaxHeadersKb) {
    return path.field("max_response_headers_kb").error("must be from 1 to 8192");
  }
  out->max_response_header_bytes = kb * 1024;
  return absl::OkStatus();
}

absl::Status set_common(const core::HttpProtocolOptions& options, upstream::ClusterConfig* out,
                        const Path& path) {
  if (options.has_idle_timeout()) {
    REMORA_TRY_ASSIGN(out->idle_timeout_ms,
                      milliseconds(options.idle_timeout(), path.field("idle_timeout")));
  }
  if (options.has_max_connection_duration()) {
    REMORA_TRY_ASSIGN(
        out->max_connection_duration_ms,
        milliseconds(options.max_connection_duration(), path.field("max_connection_duration")));
  }
  REMORA_TRY_ASSIGN(
      out->max_connection_jitter_ms,
      jitter(options.max_connection_duration_jitter(), out->max_connection_duration_ms,
             path.field("max_connection_duration_jitter")));
  if (options.has_max_stream_duration()) {
    REMORA_TRY_ASSIGN(out->max_stream_duration_ms, milliseconds(options.max_stream_duration(),
                                                                path.field("max_stream_duration")));
  }
  if (options.has_max_requests_per_connection()) {
    out->max_requests_per_connection = options.max_requests_per_connection().value();
  }
  // headers_with_underscores_action: means requests that come in, so nothing to a cluster.
  return set_response_limits(options, out, path);
}

absl::Status set_http1(const core::Http1ProtocolOptions& options, Context& context,
                       upstream::ClusterConfig* out, const Path& path) {
  out->http1_enable_trailers = options.enable_trailers();
  out->http1_full_url = options.send_fully_qualified_url();
  REMORA_TRY_ASSIGN(out->http1_names, name_options(options, path));
  // use_balsa_parser chooses between Envoy's parsers; there is one here.
  return context.only_honoured(
      options,
      {"enable_trailers", "header_key_format", "send_fully_qualified_url", "use_balsa_parser"},
      path);
}

absl::Status set_http2(const core::Http2ProtocolOptions& options, Context& context,
                       upstream::ClusterConfig* out, const Path& path) {
  http2::SessionOptions http2;
  REMORA_TRY_ASSIGN(http2, http2_options(options, path));
  http2.max_headers = out->max_response_headers;
  if (out->max_response_header_bytes > 0) {
    http2.max_header_list_bytes = out->max_response_header_bytes;
  }
  out->http2 = std::make_shared<http2::SessionOptions>(std::move(http2));
  return absl::OkStatus();
}

absl::Status set_server_name(const core::UpstreamHttpProtocolOptions& options,
                             upstream::ClusterConfig* out, const Path& path) {
  out->auto_sni = options.auto_sni();
  out->auto_san_validation = options.auto_san_validation();
  const std::string& header = options.override_auto_sni_header();
  if (header.empty()) return absl::OkStatus();
  REMORA_TRY(check_header_name(header, path.field("override_auto_sni_header")));
  out->auto_sni_header = absl::AsciiStrToLower(header);
  return absl::OkStatus();
}

absl::Status set_typed_options(const HttpOptions& options, Context& context,
                               upstream::ClusterConfig* out, const Path& path) {
  REMORA_TRY(set_common(options.common_http_protocol_options(), out,
                        path.field("common_http_protocol_options")));
  REMORA_TRY(set_server_name(options.upstream_http_protocol_options(), out,
                             path.field("upstream_http_protocol_options")));
  switch (options.upstream_protocol_options_case()) {
    case HttpOptions::kExplicitHttpConfig: {
      const Path here = path.field("explicit_http_config");
      const auto& config = options.explicit_http_config();
      if (config.has_http2_protocol_options()) {
        out->protocol = upstream::HttpProtocol::Http2;
        return set_http2(config.http2_protocol_options(), context, out,
                         here.field("http2_protocol_options"));
      }
      if (!config.has_http_protocol_options())
        return here.error("has no protocol that is supported");
      return set_http1(config.http_protocol_options(), context, out,
                       here.field("http_protocol_options"));
    }
    case HttpOptions::kUseDownstreamProtocolConfig: {
      const Path here = path.field("use_downstream_protocol_config");
      out->use_downstream_protocol = true;
      const auto& config = options.use_downstream_protocol_config();
      if (config.has_http2_protocol_options()) out->protocol = upstream::HttpProtocol::Http2;
      REMORA_TRY(set_http1(config.http_protocol_options(), context, out,
                           here.field("http_protocol_options")));
      return set_http2(config.http2_protocol_options(), context, out,
                       here.field("http2_protocol_options"));
    }
    case HttpOptions::kAutoConfig: {
      const Path here = path.field("auto_config");
      out->protocol = upstream::HttpProtocol::Auto;
      const auto& config = options.auto_config();
      REMORA_TRY(set_http1(config.http_protocol_options(), context, out,
                           here.field("http_protocol_options")));
      return set_http2(config.http2_protocol_options(), context, out,
                       here.field("http2_protocol_options"));
    }
    case HttpOptions::UPSTREAM_PROTOCOL_OPTIONS_NOT_SET:
      return path.error("has no upstream protocol options that are supported");
  }
  return absl::OkStatus();
}

// The cluster's own fields for the same, before they were an extension.
absl::Status set_legacy_options(const proto::Cluster& cluster, Context& context,
                                upstream::ClusterConfig* out, const Path& path) {
  REMORA_TRY(set_common(cluster.common_http_protocol_options(), out,
                        path.field("common_http_protocol_options")));
  REMORA_TRY(set_http1(cluster.http_protocol_options(), context, out,
                       path.field("http_protocol_options")));
  if (!cluster.has_http2_protocol_options()) return absl::OkStatus();
  if (cluster.has_http_protocol_options()) {
    return path.error("http_protocol_options and http2_protocol_options exclude each other");
  }
  out->protocol = upstream::HttpProtocol::Http2;
  return set_http2(cluster.http2_protocol_options(), context, out,
                   path.field("http2_protocol_options"));
}

// Equal for clusters whose connections go through the same. Certificates that rotate do not change
// it; a file that is named inline and has changed does.
uint64_t transport_hash(const proto::Cluster& cluster, const upstream::ClusterConfig& compiled) {
  uint64_t hash = content_hash(cluster.transport_socket());
  hash = absl::HashOf(hash, compiled.transport != nullptr && compiled.transport->secure()
                                ? compiled.transport.get()
                                : nullptr);
  for (int i = 0; i < cluster.transport_socket_matches_size(); ++i) {
    const auto& transport = compiled.transport_matches[static_cast<size_t>(i)].transport;
    hash = absl::HashOf(hash, content_hash(cluster.transport_socket_matches(i)),
                        transport->secure() ? transport.get() : nullptr);
  }
  return hash;
}

// ALPN tells which protocol to speak, so that every transport must have it.
absl::Status check_alpn(const proto::Cluster& cluster, const upstream::ClusterConfig& compiled,
                        const Path& path) {
  constexpr std::string_view kReason = "cannot negotiate ALPN, which auto_config needs";
  if (!compiled.transport->secure()) return path.field("transport_socket").error(kReason);
  for (size_t i = 0; i < compiled.transport_matches.size(); ++i) {
    if (compiled.transport_matches[i].transport->secure()) continue;
    return path.at("transport_socket_matches", i).error(kReason);
  }
  return absl::OkStatus();
}

absl::Status set_transport(const proto::Cluster& cluster, Context& context,
                           upstream::ClusterConfig* out, const Path& path) {
  const std::string stat_prefix =
      stats::cluster_prefix(out->alt_stat_name.empty() ? out->name : out->alt_stat_name);
  const TransportUser user = {TransportUser::Side::Upstream, stat_prefix};
  REMORA_TRY_ASSIGN(out->transport, transport_socket(cluster.transport_socket(), user, context,
                                                     path.field("transport_socket")));
  for (int i = 0; i < cluster.transport_socket_matches_size(); ++i) {
    const auto& from = cluster.transport_socket_matches(i);
    const Path here = path.at("transport_socket_matches", i);
    upstream::TransportMatch match;
    match.name = from.name();
    if (match.name.empty()) return here.field("name").error("is required");
    for (const auto& [key, value] : from.match().fields()) {
      match.criteria.emplace_back(key, canonical_text(value));
    }
    REMORA_TRY_ASSIGN(match.transport, transport_socket(from.transport_socket(), user, context,
                                                        here.field("transport_socket")));
    out->transport_matches.push_back(std::move(match));
  }
  if (out->protocol == upstream::HttpProtocol::Auto) {
    REMORA_TRY(check_alpn(cluster, *out, path));
  }
  out->transport_hash = transport_hash(cluster, *out);
  out->tells_downstream = out->transport->tells_downstream() ||
                          std::ranges::any_of(out->transport_matches, [](const auto& match) {
                            return match.transport->tells_downstream();
                          });
  return absl::OkStatus();
}

absl::StatusOr<upstream::CircuitBreakerThresholds> thresholds(
    const proto::CircuitBreakers::Thresholds& from, const Path& path) {
  upstream::CircuitBreakerThresholds out;
  if (from.has_max_connections()) out.max_connections = from.max_connections().value();
  if (from.has_max_pending_requests()) {
    out.max_pending_requests = from.max_pending_requests().value();
  }
  if (from.has_max_requests()) out.max_requests = from.max_requests().value();
  if (from.has_max_retries()) {
    out.max_retries = from.max_retries().value();
  } else {
    out.retry_budget_percent = kDefaultBudgetPercent;  // bounded with the load, not by Envoy's 3
  }
  if (from.has_max_connection_pools())
    out.max_connection_pools = from.max_connection_pools().value();
  out.track_remaining = from.track_remaining();
  if (from.has_retry_budget()) {
    const auto& budget = from.retry_budget();
    out.retry_budget_percent =
        budget.has_budget_percent() ? budget.budget_percent().value() : kDefaultBudgetPercent;
    if (!(*out.retry_budget_percent >= 0 && *out.retry_budget_percent <= 100)) {
      return path.field("retry_budget.budget_percent").error("must be from 0 to 100");
    }
    if (budget.has_min_retry_concurrency()) {
      out.retry_budget_min_concurrency = budget.min_retry_concurrency().value();
    }
  }
  return out;
}

/// Of what a single host may have, connections alone are limited, as in Envoy.
absl::Status set_per_host_limits(const proto::CircuitBreakers& from, upstream::ClusterConfig* out,
                                 const Path& path) {
  bool seen[2] = {false, false};
  for (int i = 0; i < from.per_host_thresholds_size(); ++i) {
    const auto& limits = from.per_host_thresholds(i);
    const std::string name = absl::StrCat("circuit_breakers.per_host_thresholds[", i, "]");
    if (limits.has_max_pending_requests() || limits.has_max_requests() ||
        limits.has_max_retries() || limits.has_max_connection_pools() ||
        limits.has_retry_budget()) {
      return path.field(name).error("only max_connections is supported");
    }
    const bool high = limits.priority() == core::HIGH;
    if (std::exchange(seen[high], true) || !limits.has_max_connections()) continue;
    (high ? out->high_thresholds : out->default_thresholds).max_connections_per_host =
        limits.max_connections().value();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status set_protocol(const proto::Cluster& cluster, Context& context,
                          upstream::ClusterConfig* out, const Path& path) {
  if (cluster.has_max_requests_per_connection()) {
    out->max_requests_per_connection = cluster.max_requests_per_connection().value();
  }
  std::vector<std::string> names;
  for (const auto& [name, any] : cluster.typed_extension_protocol_options()) names.push_back(name);
  std::ranges::sort(names);
  bool typed = false;
  for (const std::string& name : names) {
    const Path here = path.entry("typed_extension_protocol_options", name);
    TypedBytes config;
    REMORA_TRY_ASSIGN(config, unwrap(cluster.typed_extension_protocol_options().at(name), here));
    HttpOptions options;
    if (config.type != HttpOptions::descriptor()->full_name()) {
      return here.error(absl::StrCat("unknown type ", config.type));
    }
    if (!options.ParseFromString(config.bytes)) return here.error("is not a valid message");
    REMORA_TRY(set_typed_options(options, context, out, here));
    typed = true;
  }
  return typed ? absl::OkStatus() : set_legacy_options(cluster, context, out, path);
}

absl::Status set_connections(const proto::Cluster& cluster, Context& context,
                             upstream::ClusterConfig* out, const Path& path) {
  if (cluster.has_connect_timeout()) {
    REMORA_TRY_ASSIGN(
        out->connect_timeout_ms,
        positive_milliseconds(cluster.connect_timeout(), path.field("connect_timeout")));
  }
  if (cluster.has_per_connection_buffer_limit_bytes()) {
    out->per_connection_buffer_limit = cluster.per_connection_buffer_limit_bytes().value();
  }
  if (cluster.has_upstream_bind_config()) {
    const Path here = path.field("upstream_bind_config");
    const auto& bind = cluster.upstream_bind_config();
    if (bind.has_source_address()) {
      REMORA_TRY_ASSIGN(out->bind_to,
                        socket_address(bind.source_address(), here.field("source_address")));
    }
    REMORA_TRY_ASSIGN(out->socket_options,
                      socket_options(bind.socket_options(), "socket_options", here));
  }
  if (cluster.upstream_connection_options().has_tcp_keepalive()) {
    out->keepalive = tcp_keepalive(cluster.upstream_connection_options().tcp_keepalive());
  }
  out->close_connections_on_host_health_failure =
      cluster.close_connections_on_host_health_failure();
  // ignore_health_on_host_removal: without active health checks removed hosts go at once anyway.
  return set_transport(cluster, context, out, path);
}

absl::Status set_circuit_breakers(const proto::Cluster& cluster, upstream::ClusterConfig* out,
                                  const Path& path) {
  const auto& breakers = cluster.circuit_breakers();
  out->default_thresholds.retry_budget_percent = kDefaultBudgetPercent;
  out->high_thresholds.retry_budget_percent = kDefaultBudgetPercent;
  bool seen[2] = {false, false};
  for (int i = 0; i < breakers.thresholds_size(); ++i) {
    const std::string name = absl::StrCat("circuit_breakers.thresholds[", i, "]");
    const bool high = breakers.thresholds(i).priority() == core::HIGH;
    auto compiled = thresholds(breakers.thresholds(i), path.field(name));
    if (!compiled.ok()) return compiled.status();
    if (std::exchange(seen[high], true)) continue;  // the first of a priority counts
    (high ? out->high_thresholds : out->default_thresholds) = *compiled;
  }
  return set_per_host_limits(breakers, out, path);
}

}  // namespace remora::xds::translate
