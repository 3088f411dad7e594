#include "xds/translate/health_check.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <string>

#include "api/health_check.pb.h"
#include "api/health_check_file_sink.pb.h"
#include "proxy/telemetry/log_sink.h"
#include "proxy/upstream/health_check_config.h"
#include "xds/translate/header_edits.h"
#include "xds/translate/host_metadata.h"
#include "xds/translate/match.h"
#include "xds/translate/proxy_protocol.h"
#include "xds/translate/runtime.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
using core::HealthCheck;
using upstream::HealthCheckConfig;
using Ranges = google::protobuf::RepeatedPtrField<envoy::type::v3::Int64Range>;
using Payloads = google::protobuf::RepeatedPtrField<HealthCheck::Payload>;

absl::StatusOr<std::string> payload(const HealthCheck::Payload& from, const Path& path) {
  if (from.payload_case() == HealthCheck::Payload::kBinary) return from.binary();
  if (from.text().empty()) return path.field("text").error("is required");
  const bool hex = from.text().size() % 2 == 0 &&
                   std::ranges::all_of(from.text(), [](char c) { return absl::ascii_isxdigit(c); });
  if (!hex) return path.field("text").error("is not hexadecimal");
  return absl::HexStringToBytes(from.text());
}

absl::Status payloads(const Payloads& from, std::vector<std::string>* out, const Path& path) {
  for (int i = 0; i < from.size(); ++i) {
    std::string bytes;
    REMORA_TRY_ASSIGN(bytes, payload(from.Get(i), path.at("receive", i)));
    out->push_back(std::move(bytes));
  }
  return absl::OkStatus();
}

absl::Status statuses(const Ranges& from, std::vector<upstream::StatusRange>* out,
                      std::string_view name, const Path& path) {
  for (int i = 0; i < from.size(); ++i) {
    const auto& range = from.Get(i);
    const Path at = path.at(name, i);
    if (range.start() < 100 || range.end() > 600) return at.error("must be within [100, 600)");
    if (range.start() >= range.end()) return at.error("is empty");
    out->push_back({range.start(), range.end()});
  }
  return absl::OkStatus();
}

upstream::CheckHeader::Action action_of(router::HeaderEdit::Action action) {
  using Action = upstream::CheckHeader::Action;
  switch (action) {
    case router::HeaderEdit::Action::AddIfAbsent:
      return Action::AddIfAbsent;
    case router::HeaderEdit::Action::OverwriteOrAdd:
      return Action::Set;
    case router::HeaderEdit::Action::OverwriteIfExists:
      return Action::SetIfPresent;
    default:
      return Action::Add;
  }
}

absl::Status set_headers(const HeadersToAdd& from, std::string_view name, Context& context,
                         HealthCheckConfig* out, const Path& path) {
  for (int i = 0; i < from.size(); ++i) {
    const Path at = path.at(name, i);
    router::HeaderEdit edit;
    REMORA_TRY_ASSIGN(edit, header_edit(from[i], at));
    if (edit.format != nullptr) {
      REMORA_TRY(context.not_honoured(at.field("header.value"),
                                      "substitutions are not supported in health checks", false));
      continue;
    }
    if (edit.value.empty() && !edit.keep_empty) continue;
    out->headers.push_back({std::string(edit.name), edit.value, action_of(edit.action)});
  }
  return absl::OkStatus();
}

absl::Status set_identity(const HealthCheck::HttpHealthCheck& from, Context& context,
                          HealthCheckConfig* out, const Path& path) {
  constexpr double kAlways = 100;
  if (!from.has_service_name_matcher()) return absl::OkStatus();
  StringMatch match;
  REMORA_TRY_ASSIGN(match, string_match(from.service_name_matcher(), context,
                                        path.field("service_name_matcher")));
  const Runtime* runtime = context.runtime;
  const auto percent =
      runtime == nullptr ? std::nullopt : runtime->number("health_check.verify_cluster");
  if (percent.value_or(kAlways) >= kAlways) out->service_name = std::move(match);
  return absl::OkStatus();
}

absl::Status set_http(const HealthCheck::HttpHealthCheck& from, Context& context,
                      HealthCheckConfig* out, const Path& path) {
  if (from.path().empty()) return path.field("path").error("is required");
  REMORA_TRY(check_header_value(from.path(), path.field("path")));
  REMORA_TRY(check_header_value(from.host(), path.field("host")));
  out->path = from.path();
  out->host = from.host();
  if (from.codec_client_type() == envoy::type::v3::HTTP3) {
    return path.field("codec_client_type").error("HTTP/3 is not supported");
  }
  out->http2 = from.codec_client_type() == envoy::type::v3::HTTP2;
  if (from.has_send()) {
    REMORA_TRY(context.not_honoured(path.field("send"), "requests of checks have no body", false));
  }
  if (from.method() != core::METHOD_UNSPECIFIED) {
    if (!core::RequestMethod_IsValid(from.method())) {
      return path.field("method").error("is not supported");
    }
    out->method = core::RequestMethod_Name(from.method());
  }
  if (from.has_response_buffer_size()) {
    out->response_buffer_bytes = from.response_buffer_size().value();
  }
  REMORA_TRY(payloads(from.receive(), &out->receive, path));
  REMORA_TRY(statuses(from.expected_statuses(), &out->expected, "expected_statuses", path));
  REMORA_TRY(statuses(from.retriable_statuses(), &out->retriable, "retriable_statuses", path));
  for (int i = 0; i < from.request_headers_to_remove_size(); ++i) {
    const std::string& name = from.request_headers_to_remove(i);
    REMORA_TRY(check_header_name(name, path.at("request_headers_to_remove", i)));
    out->headers_to_remove.push_back(absl::AsciiStrToLower(name));
  }
  REMORA_TRY(set_identity(from, context, out, path));
  return set_headers(from.request_headers_to_add(), "request_headers_to_add", context, out, path);
}

absl::Status set_tcp(const HealthCheck::TcpHealthCheck& from, HealthCheckConfig* out,
                     const Path& path) {
  out->kind = HealthCheckConfig::Kind::Tcp;
  if (from.has_send()) {
    REMORA_TRY_ASSIGN(out->send, payload(from.send(), path.field("send")));
  }
  if (from.has_proxy_protocol_config()) {
    REMORA_TRY_ASSIGN(
        out->proxy_protocol,
        proxy_protocol_settings(from.proxy_protocol_config(), path.field("proxy_protocol_config")));
  }
  return payloads(from.receive(), &out->receive, path);
}

absl::Status set_grpc(const HealthCheck::GrpcHealthCheck& from, Context& context,
                      HealthCheckConfig* out, const Path& path) {
  out->kind = HealthCheckConfig::Kind::Grpc;
  out->http2 = true;
  out->service = from.service_name();
  out->host = from.authority();
  REMORA_TRY(check_header_value(out->host, path.field("authority")));
  return set_headers(from.initial_metadata(), "initial_metadata", context, out, path);
}

absl::Status set_kind(const HealthCheck& from, Context& context, HealthCheckConfig* out,
                      const Path& path) {
  switch (from.health_checker_case()) {
    case HealthCheck::kHttpHealthCheck:
      return set_http(from.http_health_check(), context, out, path.field("http_health_check"));
    case HealthCheck::kTcpHealthCheck:
      return set_tcp(from.tcp_health_check(), out, path.field("tcp_health_check"));
    case HealthCheck::kGrpcHealthCheck:
      return set_grpc(from.grpc_health_check(), context, out, path.field("grpc_health_check"));
    case HealthCheck::kCustomHealthCheck:
      return path.field("custom_health_check").error("only HTTP, TCP and gRPC are supported");
    default:
      return path.field("health_checker").error("is required: HTTP, TCP or gRPC");
  }
}

absl::Status set_times(const HealthCheck& from, HealthCheckConfig* out, const Path& path) {
  const auto time = [&](const google::protobuf::Duration& value, const char* name,
                        uint64_t* to) -> absl::Status {
    REMORA_TRY_ASSIGN(*to, positive_milliseconds(value, path.field(name)));
    return absl::OkStatus();
  };
  if (!from.has_timeout()) return path.field("timeout").error("is required");
  if (!from.has_interval()) return path.field("interval").error("is required");
  REMORA_TRY(time(from.timeout(), "timeout", &out->timeout_ms));
  REMORA_TRY(time(from.interval(), "interval", &out->interval_ms));
  if (from.has_initial_jitter()) {
    REMORA_TRY_ASSIGN(out->initial_jitter_ms,
                      milliseconds(from.initial_jitter(), path.field("initial_jitter")));
  }
  if (from.has_interval_jitter()) {
    REMORA_TRY_ASSIGN(out->interval_jitter_ms,
                      milliseconds(from.interval_jitter(), path.field("interval_jitter")));
  }
  out->interval_jitter_percent = from.interval_jitter_percent();
  if (from.has_no_traffic_interval()) {
    REMORA_TRY(time(from.no_traffic_interval(), "no_traffic_interval", &out->no_traffic_ms));
  }
  out->no_traffic_healthy_ms = out->no_traffic_ms;
  if (from.has_no_traffic_healthy_interval()) {
    REMORA_TRY(time(from.no_traffic_healthy_interval(), "no_traffic_healthy_interval",
                    &out->no_traffic_healthy_ms));
  }
  out->unhealthy_ms = out->healthy_edge_ms = out->interval_ms;
  if (from.has_unhealthy_interval()) {
    REMORA_TRY(time(from.unhealthy_interval(), "unhealthy_interval", &out->unhealthy_ms));
  }
  out->unhealthy_edge_ms = out->unhealthy_ms;
  if (from.has_unhealthy_edge_interval()) {
    REMORA_TRY(
        time(from.unhealthy_edge_interval(), "unhealthy_edge_interval", &out->unhealthy_edge_ms));
  }
  if (!from.has_healthy_edge_interval()) return absl::OkStatus();
  return time(from.healthy_edge_interval(), "healthy_edge_interval", &out->healthy_edge_ms);
}

/// How the host is reached, where that differs from how requests reach it.
absl::Status set_transport(const HealthCheck& from, const upstream::ClusterConfig& cluster,
                           HealthCheckConfig* out, const Path& path) {
  constexpr size_t kMaxName = 255;
  const auto& protocols = from.tls_options().alpn_protocols();
  const Path options = path.field("tls_options");
  for (int i = 0; i < protocols.size(); ++i) {
    const Path at = options.at("alpn_protocols", i);
    if (protocols[i].empty() || protocols[i].size() > kMaxName) {
      return at.error("must have from 1 to 255 bytes");
    }
    if (protocols[i].find(',') != std::string::npos) return at.error("has a comma");
  }
  out->alpn = absl::StrJoin(protocols, ",");
  if (!from.has_transport_socket_match_criteria()) return absl::OkStatus();
  out->transport = cluster.transport_for(transport_labels(from.transport_socket_match_criteria()));
  return absl::OkStatus();
}

absl::Status add_event_log(const std::string& file, const Context& context, HealthCheckConfig* out,
                           const Path& path) {
  if (context.access_logs == nullptr) return path.error("logs are not supported here");
  if (file.empty()) return path.error("is required");
  auto sink = context.access_logs->file(file);
  if (!sink.ok()) return path.error(std::string(sink.status().message()));
  out->event_logs.push_back(file);
  return absl::OkStatus();
}

absl::Status set_event_logs(const HealthCheck& from, Context& context, HealthCheckConfig* out,
                            const Path& path) {
  using Sink = envoy::extensions::health_check::event_sinks::file::v3::HealthCheckEventFileSink;
  for (int i = 0; i < from.event_logger_size(); ++i) {
    const Path logger = path.at("event_logger", i);
    const Path at = logger.field("typed_config");
    TypedBytes config;
    REMORA_TRY_ASSIGN(config, unwrap(from.event_logger(i).typed_config(), at));
    if (config.type != Sink::descriptor()->full_name()) {
      REMORA_TRY(context.not_honoured(at, absl::StrCat("unknown type ", config.type), false));
      continue;
    }
    Sink sink;
    if (!sink.ParseFromString(config.bytes)) return at.error("is not a valid message");
    REMORA_TRY(add_event_log(sink.event_log_path(), context, out, at.field("event_log_path")));
  }
  if (from.event_log_path().empty()) return absl::OkStatus();
  return add_event_log(from.event_log_path(), context, out, path.field("event_log_path"));
}

void set_bounds(const Runtime& runtime, HealthCheckConfig* out) {
  const auto read = [&runtime](const char* key, uint64_t otherwise) {
    const auto value = runtime.number(key);
    return value && *value >= 1 ? static_cast<uint64_t>(*value) : otherwise;
  };
  out->min_interval_ms = read("health_check.min_interval", out->min_interval_ms);
  out->max_interval_ms = read("health_check.max_interval", out->max_interval_ms);
}

absl::StatusOr<HealthCheckConfig> health_check(const HealthCheck& from,
                                               const upstream::ClusterConfig& cluster,
                                               Context& context, const Path& path) {
  HealthCheckConfig out;
  REMORA_TRY(set_times(from, &out, path));
  if (context.runtime != nullptr) set_bounds(*context.runtime, &out);
  if (!from.has_unhealthy_threshold()) {
    return path.field("unhealthy_threshold").error("is required");
  }
  if (!from.has_healthy_threshold()) return path.field("healthy_threshold").error("is required");
  out.unhealthy_threshold = from.unhealthy_threshold().value();
  out.healthy_threshold = from.healthy_threshold().value();
  if (from.has_reuse_connection()) out.reuse_connection = from.reuse_connection().value();
  out.log_all_failures = from.always_log_health_check_failures();
  out.log_all_successes = from.always_log_health_check_success();
  REMORA_TRY(set_kind(from, context, &out, path));
  REMORA_TRY(set_transport(from, cluster, &out, path));
  REMORA_TRY(set_event_logs(from, context, &out, path));
  if (from.has_alt_port()) {
    REMORA_TRY(context.not_honoured(path.field("alt_port"),
                                    "endpoints say in health_check_config where they are asked",
                                    false));
  }
  return out;
}

}  // namespace

absl::Status set_health_checks(const envoy::config::cluster::v3::Cluster& cluster, Context& context,
                               upstream::ClusterConfig* out, const Path& path) {
  out->ignores_health_on_removal = cluster.ignore_health_on_host_removal();
  out->ignores_new_hosts = cluster.common_lb_config().ignore_new_hosts_until_first_hc();
  if (cluster.health_checks_size() == 0) return absl::OkStatus();
  if (cluster.health_checks_size() > 1) {
    return path.field("health_checks").error("more than one is not supported");
  }
  const Path at = path.at("health_checks", 0);
  if (out->discovery == upstream::Discovery::OriginalDst) {
    return context.not_honoured(at, "is not supported for type ORIGINAL_DST", false);
  }
  HealthCheckConfig config;
  REMORA_TRY_ASSIGN(config, health_check(cluster.health_checks(0), *out, context, at));
  if (config.kind == HealthCheckConfig::Kind::Grpc && !out->may_speak_http2()) {
    return at.field("grpc_health_check").error("needs a cluster that speaks HTTP/2");
  }
  out->health_check = std::make_shared<const HealthCheckConfig>(std::move(config));
  return absl::OkStatus();
}

absl::Status set_check_address(const envoy::config::endpoint::v3::Endpoint::HealthCheckConfig& from,
                               upstream::EndpointConfig* out, const Path& path) {
  if (from.port_value() > 65535) return path.field("port_value").error("is above 65535");
  upstream::EndpointExtras& extras = out->extras.edit();
  extras.check_port = static_cast<uint16_t>(from.port_value());
  extras.check_hostname = from.hostname();
  REMORA_TRY(check_header_value(from.hostname(), path.field("hostname")));
  extras.check_disabled = from.disable_active_health_check();
  if (from.has_address()) {
    REMORA_TRY_ASSIGN(extras.check_address, address(from.address(), path.field("address")));
  }
  const Address& to = extras.check_address ? extras.check_address : out->address;
  if (extras.check_port != 0 && to.family() == Address::Family::Unix) {
    return path.field("port_value").error("is for an IP address");
  }
  return absl::OkStatus();
}

}  // namespace remora::xds::translate
