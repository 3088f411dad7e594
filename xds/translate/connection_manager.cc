#include "xds/translate/connection_manager.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "proxy/stats/names.h"
#include "xds/translate/access_log.h"
#include "xds/translate/forwarding.h"
#include "xds/translate/header_mutation.h"
#include "xds/translate/http1_options.h"
#include "xds/translate/http2_options.h"
#include "xds/translate/http_filters.h"
#include "xds/translate/local_reply.h"
#include "xds/translate/route.h"
#include "xds/translate/upgrade.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
using Manager = hcm::HttpConnectionManager;
using connection_manager::HttpConfig;

constexpr uint32_t kMaxHeadersKb = 8192;

absl::Status read_codec(const Manager& from, HttpConfig* out, const Path& path) {
  switch (from.codec_type()) {
    case Manager::HTTP1:
      out->codec = HttpConfig::Codec::Http1;
      return absl::OkStatus();
    case Manager::HTTP2:
      out->codec = HttpConfig::Codec::Http2;
      return absl::OkStatus();
    case Manager::HTTP3:
      return path.field("codec_type").error("HTTP3 is not supported");
    default:
      out->codec = HttpConfig::Codec::Auto;
      return absl::OkStatus();
  }
}

absl::Status read_routes(const Manager& from, Context& context, HttpConfig* out, const Path& path) {
  switch (from.route_specifier_case()) {
    case Manager::kRouteConfig:
      REMORA_TRY_ASSIGN(out->routes, route_table(from.route_config(), ValidateClusters::Yes,
                                                 context, path.field("route_config")));
      return absl::OkStatus();
    case Manager::kRds: {
      const Path here = path.field("rds");
      if (from.rds().route_config_name().empty()) {
        return here.field("route_config_name").error("is required");
      }
      out->rds_name = from.rds().route_config_name();
      REMORA_TRY_ASSIGN(out->rds_source,
                        config_source(from.rds().config_source(), here.field("config_source")));
      return context.check_source(out->rds_source, here.field("config_source"));
    }
    case Manager::kScopedRoutes:
      return path.field("scoped_routes").error("is not supported; use rds or route_config");
    case Manager::ROUTE_SPECIFIER_NOT_SET:
      return path.error("has no route specifier that is supported");
  }
  return absl::OkStatus();
}

absl::Status read_common_options(const Manager& from, Context& context, HttpConfig* out,
                                 const Path& path) {
  const core::HttpProtocolOptions& options = from.common_http_protocol_options();
  if (options.has_idle_timeout()) {
    REMORA_TRY_ASSIGN(out->idle_timeout_ms,
                      milliseconds(options.idle_timeout(), path.field("idle_timeout")));
  }
  if (options.has_max_connection_duration()) {
    REMORA_TRY_ASSIGN(
        out->max_connection_duration_ms,
        milliseconds(options.max_connection_duration(), path.field("max_connection_duration")));
  }
  if (options.has_max_stream_duration()) {
    REMORA_TRY_ASSIGN(out->max_stream_duration_ms, milliseconds(options.max_stream_duration(),
                                                                path.field("max_stream_duration")));
  }
  if (options.has_max_headers_count()) {
    out->http1.limits.max_fields = options.max_headers_count().value();
    if (out->http1.limits.max_fields == 0) {
      return path.field("max_headers_count").error("must be at least 1");
    }
  }
  if (options.has_max_requests_per_connection()) {
    out->max_requests_per_connection = options.max_requests_per_connection().value();
  }
  if (options.has_max_response_headers_kb()) {
    return path.field("max_response_headers_kb").error("is for clusters");
  }
  REMORA_TRY_ASSIGN(
      out->max_connection_jitter_ms,
      jitter(options.max_connection_duration_jitter(), out->max_connection_duration_ms,
             path.field("max_connection_duration_jitter")));
  switch (options.headers_with_underscores_action()) {
    case core::HttpProtocolOptions::REJECT_REQUEST:
      out->http1.underscores = http::Underscores::Reject;
      break;
    case core::HttpProtocolOptions::DROP_HEADER:
      out->http1.underscores = http::Underscores::Drop;
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

absl::Status read_http1(const Manager& from, Context& context, HttpConfig* out, const Path& path) {
  const core::Http1ProtocolOptions& options = from.http_protocol_options();
  REMORA_TRY(set_http1_options(options, context, &out->http1, path.field("http_protocol_options")));
  out->stream_error_on_invalid_http_message =
      options.has_override_stream_error_on_invalid_http_message()
          ? options.override_stream_error_on_invalid_http_message().value()
          : from.stream_error_on_invalid_http_message().value();
  if (from.has_max_request_headers_kb()) {
    const uint32_t kb = from.max_request_headers_kb().value();
    if (kb < 1 || kb > kMaxHeadersKb) {
      return path.field("max_request_headers_kb").error("must be from 1 to 8192");
    }
    out->http1.limits.max_bytes = kb * 1024;
  }
  return absl::OkStatus();
}

// After everything that both versions of HTTP share has been read.
absl::Status set_http2(const Manager& from, HttpConfig* out, const Path& path) {
  std::optional<bool> stream_error;
  if (from.has_stream_error_on_invalid_http_message()) {
    stream_error = from.stream_error_on_invalid_http_message().value();
  }
  REMORA_TRY_ASSIGN(out->http2, http2_options(from.http2_protocol_options(),
                                              path.field("http2_protocol_options"), stream_error));
  out->http2.underscores = out->http1.underscores;
  out->http2.max_headers = out->http1.limits.max_fields;
  out->http2.max_header_list_bytes = out->http1.limits.max_bytes;
  out->http2.stream_flush_timeout_ms = out->stream_flush_timeout_ms;
  return absl::OkStatus();
}

absl::Status read_upgrades(const Manager& from, Context& context, HttpConfig* out,
                           const Path& path) {
  for (int i = 0; i < from.upgrade_configs_size(); ++i) {
    const auto& upgrade = from.upgrade_configs(i);
    const Path here = path.at("upgrade_configs", i);
    const Path at = here.field("upgrade_type");
    const bool enabled = !upgrade.has_enabled() || upgrade.enabled().value();
    REMORA_TRY(add_upgrade(upgrade.upgrade_type(), enabled, context, &out->upgrades, at));
  }
  return absl::OkStatus();
}

absl::Status read_timeouts(const Manager& from, HttpConfig* out, const Path& path) {
  struct Field {
    bool present;
    const google::protobuf::Duration& duration;
    std::string_view name;
    uint64_t* out;
  };
  const Field fields[] = {
      {from.has_stream_idle_timeout(), from.stream_idle_timeout(), "stream_idle_timeout",
       &out->stream_idle_timeout_ms},
      {from.has_request_timeout(), from.request_timeout(), "request_timeout",
       &out->request_timeout_ms},
      {from.has_request_headers_timeout(), from.request_headers_timeout(),
       "request_headers_timeout", &out->request_headers_timeout_ms},
      {from.has_drain_timeout(), from.drain_timeout(), "drain_timeout", &out->drain_timeout_ms},
      {from.has_delayed_close_timeout(), from.delayed_close_timeout(), "delayed_close_timeout",
       &out->delayed_close_timeout_ms},
  };
  for (const Field& field : fields) {
    if (!field.present) continue;
    REMORA_TRY_ASSIGN(*field.out, milliseconds(field.duration, path.field(field.name)));
  }
  // stream_flush_timeout is about windows that do not open, which HTTP/1 does not have.
  out->stream_flush_timeout_ms = out->stream_idle_timeout_ms;
  if (from.has_stream_flush_timeout()) {
    REMORA_TRY_ASSIGN(
        out->stream_flush_timeout_ms,
        milliseconds(from.stream_flush_timeout(), path.field("stream_flush_timeout")));
  }
  REMORA_TRY_ASSIGN(out->drain_jitter_ms, jitter(from.drain_timeout_jitter(), out->drain_timeout_ms,
                                                 path.field("drain_timeout_jitter")));
  out->safe_max_connection_duration = from.http1_safe_max_connection_duration();
  return absl::OkStatus();
}

absl::Status read_access_log_options(const Manager& from, HttpConfig* out, const Path& path) {
  const Path options = path.field("access_log_options");
  const auto& log = from.access_log_options();
  if (from.has_access_log_options() &&
      (from.has_access_log_flush_interval() || from.flush_access_log_on_new_request())) {
    return options.error(
        "excludes access_log_flush_interval and flush_access_log_on_new_request beside it");
  }
  out->log_new_requests =
      from.flush_access_log_on_new_request() || log.flush_access_log_on_new_request();
  out->log_new_tunnels = log.flush_log_on_tunnel_successfully_established();
  const bool old = from.has_access_log_flush_interval();
  if (!old && !log.has_access_log_flush_interval()) return absl::OkStatus();
  const google::protobuf::Duration& interval =
      old ? from.access_log_flush_interval() : log.access_log_flush_interval();
  const Path at = (old ? path : options).field("access_log_flush_interval");
  if (interval.seconds() == 0 && interval.nanos() < 1'000'000) {
    return at.error("must be at least 0.001s");
  }
  REMORA_TRY_ASSIGN(out->log_interval_ms, milliseconds(interval, at));
  return absl::OkStatus();
}

absl::Status check_not_honoured(const Manager& from, Context& context, const Path& path) {
  struct Field {
    bool present;
    std::string_view name;
    std::string_view why;
    bool decisive = false;
  };
  const Field fields[] = {
      {from.has_path_normalization_options(), "path_normalization_options",
       "is not supported; use normalize_path and merge_slashes", true},
      {from.has_typed_header_validation_config(), "typed_header_validation_config",
       "is not supported: headers are always validated", true},
      {from.has_proxy_status_config(), "proxy_status_config", "is not supported"},
      {from.has_http3_protocol_options(), "http3_protocol_options", "HTTP/3 is not supported"},
      {from.record_route_resolution_stats(), "record_route_resolution_stats", "is not supported"},
      {from.represent_ipv4_remote_address_as_ipv4_mapped_ipv6(),
       "represent_ipv4_remote_address_as_ipv4_mapped_ipv6", "is not supported"},
      {from.append_local_overload(), "append_local_overload", "is not supported"},
      {from.has_add_proxy_protocol_connection_state() &&
           !from.add_proxy_protocol_connection_state().value(),
       "add_proxy_protocol_connection_state", "can only be true"},
  };
  for (const Field& field : fields) {
    if (!field.present) continue;
    REMORA_TRY(context.not_honoured(path.field(field.name), field.why, field.decisive));
  }
  return absl::OkStatus();
}

absl::Status read_paths_and_hosts(const Manager& from, HttpConfig* out, const Path& path) {
  using Escaped = HttpConfig::EscapedSlashes;
  out->normalize_path = from.normalize_path().value();
  out->merge_slashes = from.merge_slashes();
  switch (from.path_with_escaped_slashes_action()) {
    case Manager::REJECT_REQUEST:
      out->escaped_slashes = Escaped::Reject;
      break;
    case Manager::UNESCAPE_AND_REDIRECT:
      out->escaped_slashes = Escaped::UnescapeAndRedirect;
      break;
    case Manager::UNESCAPE_AND_FORWARD:
      out->escaped_slashes = Escaped::UnescapeAndForward;
      break;
    default:
      out->escaped_slashes = Escaped::Keep;
  }
  out->strip_any_host_port = from.strip_any_host_port();
  out->strip_matching_host_port = from.strip_matching_host_port();
  out->strip_trailing_host_dot = from.strip_trailing_host_dot();
  if (out->strip_any_host_port && out->strip_matching_host_port) {
    return path.error("strip_any_host_port and strip_matching_host_port exclude each other");
  }
  return absl::OkStatus();
}

absl::Status read_server_header(const Manager& from, HttpConfig* out, const Path& path) {
  using Header = HttpConfig::ServerHeader;
  REMORA_TRY(check_header_value(from.server_name(), path.field("server_name")));
  if (!from.server_name().empty()) out->server_name = from.server_name();
  out->server_header = Header::Overwrite;
  if (from.server_header_transformation() == Manager::APPEND_IF_ABSENT) {
    out->server_header = Header::AppendIfAbsent;
  } else if (from.server_header_transformation() == Manager::PASS_THROUGH) {
    out->server_header = Header::PassThrough;
  }
  out->proxy_100_continue = from.proxy_100_continue();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const HttpConfig>> http_connection_manager(const Manager& from,
                                                                          Context& context,
                                                                          const Path& path) {
  if (from.stat_prefix().empty()) return path.field("stat_prefix").error("is required");
  auto out = std::make_shared<HttpConfig>();
  out->stat_prefix = from.stat_prefix();
  REMORA_TRY(read_codec(from, out.get(), path));
  REMORA_TRY(
      read_common_options(from, context, out.get(), path.field("common_http_protocol_options")));
  REMORA_TRY(read_http1(from, context, out.get(), path));
  REMORA_TRY(read_upgrades(from, context, out.get(), path));
  REMORA_TRY(read_timeouts(from, out.get(), path));
  REMORA_TRY(set_http2(from, out.get(), path));
  REMORA_TRY(set_forwarding(from, context, out.get(), path));
  REMORA_TRY(set_request_id(from, out.get(), path));
  REMORA_TRY(read_paths_and_hosts(from, out.get(), path));
  REMORA_TRY(read_server_header(from, out.get(), path));
  REMORA_TRY(read_access_log_options(from, out.get(), path));
  if (from.has_local_reply_config()) {
    REMORA_TRY_ASSIGN(out->local_replies, local_replies(from.local_reply_config(), context,
                                                        path.field("local_reply_config")));
  }
  REMORA_TRY_ASSIGN(out->early_mutations,
                    early_header_mutations(from.early_header_mutation_extensions(), context, path));
  REMORA_TRY(check_not_honoured(from, context, path));
  REMORA_TRY_ASSIGN(out->access_logs, access_logs(from.access_log(), "access_log", context, path));
  REMORA_TRY_ASSIGN(
      out->filters,
      http_filters(from.http_filters(), stats::http_prefix(from.stat_prefix()), context, path));
  REMORA_TRY(read_routes(from, context, out.get(), path));
  return out;
}

}  // namespace remora::xds::translate
