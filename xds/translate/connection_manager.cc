#include "xds/translate/connection_manager.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "api/request_id_uuid.pb.h"
#include "proxy/stats/names.h"
#include "xds/translate/access_log.h"
#include "xds/translate/http_filters.h"
#include "xds/translate/route.h"
#include "xds/translate/typed_config.h"
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
  // Letting through what was to be refused would not do.
  if (options.headers_with_underscores_action() != core::HttpProtocolOptions::ALLOW) {
    return context.not_honoured(path.field("headers_with_underscores_action"), "is not supported",
                                true);
  }
  return absl::OkStatus();
}

absl::Status read_http1(const Manager& from, HttpConfig* out, const Path& path) {
  const core::Http1ProtocolOptions& options = from.http_protocol_options();
  out->http1.accept_http_10 = options.accept_http_10();
  out->http1.default_host_for_http_10 = options.default_host_for_http_10();
  out->http1.enable_trailers = options.enable_trailers();
  out->http1.allow_custom_methods = options.allow_custom_methods();
  if (options.has_allow_absolute_url()) {
    out->http1.allow_absolute_url = options.allow_absolute_url().value();
  }
  REMORA_TRY(check_header_value(options.default_host_for_http_10(),
                                path.field("http_protocol_options.default_host_for_http_10")));
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
void set_http2(HttpConfig* out) {
  out->http2.max_headers = out->http1.limits.max_fields;
  out->http2.max_header_list_bytes = out->http1.limits.max_bytes;
  out->http2.stream_flush_timeout_ms = out->stream_idle_timeout_ms;
  out->http2.stream_error_on_invalid_message = out->stream_error_on_invalid_http_message;
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
  return absl::OkStatus();
}

// Without a provider, which the API does not have, nothing is traced whatever is said here.
absl::Status check_tracing(const Manager::Tracing& from, const Path& path) {
  const std::pair<std::string_view, double> shares[] = {
      {"client_sampling", from.client_sampling().value()},
      {"random_sampling", from.random_sampling().value()},
      {"overall_sampling", from.overall_sampling().value()},
  };
  for (const auto& [name, percent] : shares) {
    if (!(percent >= 0 && percent <= 100)) return path.field(name).error("must be from 0 to 100");
  }
  return absl::OkStatus();
}

void read_client_cert(const Manager& from, HttpConfig* out) {
  using Mode = HttpConfig::ClientCert;
  switch (from.forward_client_cert_details()) {
    case Manager::FORWARD_ONLY:
      out->client_cert = Mode::ForwardOnly;
      break;
    case Manager::APPEND_FORWARD:
      out->client_cert = Mode::AppendForward;
      break;
    case Manager::SANITIZE_SET:
      out->client_cert = Mode::SanitizeSet;
      break;
    case Manager::ALWAYS_FORWARD_ONLY:
      out->client_cert = Mode::AlwaysForwardOnly;
      break;
    default:
      out->client_cert = Mode::Sanitize;
  }
  const Manager::SetCurrentClientCertDetails& details = from.set_current_client_cert_details();
  out->client_cert_details = {.subject = details.subject().value(),
                              .cert = details.cert(),
                              .chain = details.chain(),
                              .dns = details.dns(),
                              .uri = details.uri()};
}

// Whom to believe, and what to tell about the client.
absl::Status read_forwarding(const Manager& from, Context& context, HttpConfig* out,
                             const Path& path) {
  out->use_remote_address = from.use_remote_address().value();
  out->xff_num_trusted_hops = from.xff_num_trusted_hops();
  out->skip_xff_append = from.skip_xff_append();
  if (!context.node.local_address.empty()) out->local_address = context.node.local_address;
  REMORA_TRY(check_header_value(from.via(), path.field("via")));
  out->via = from.via();
  const Path internal = path.field("internal_address_config");
  REMORA_TRY_ASSIGN(out->internal_ranges, cidr_ranges(from.internal_address_config().cidr_ranges(),
                                                      "cidr_ranges", internal));
  out->internal_unix_sockets = from.internal_address_config().unix_sockets();
  read_client_cert(from, out);
  return absl::OkStatus();
}

absl::Status read_request_id(const Manager& from, HttpConfig* out, const Path& path) {
  using Uuid = envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
  if (from.has_generate_request_id()) out->generate_request_id = from.generate_request_id().value();
  out->preserve_external_request_id = from.preserve_external_request_id();
  out->always_set_request_id_in_response = from.always_set_request_id_in_response();
  if (!from.request_id_extension().has_typed_config()) return absl::OkStatus();
  // Its options are about traces, and there is no tracer.
  const Path here = path.field("request_id_extension");
  return unpack_as<Uuid>(from.request_id_extension().typed_config(), here.field("typed_config"))
      .status();
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
  REMORA_TRY(read_http1(from, out.get(), path));
  REMORA_TRY(context.only_honoured(from.http2_protocol_options(), {"allow_connect"},
                                   path.field("http2_protocol_options")));
  out->http2.allow_connect = from.http2_protocol_options().allow_connect();
  REMORA_TRY(read_upgrades(from, context, out.get(), path));
  REMORA_TRY(read_timeouts(from, out.get(), path));
  set_http2(out.get());
  REMORA_TRY(read_forwarding(from, context, out.get(), path));
  REMORA_TRY(read_request_id(from, out.get(), path));
  REMORA_TRY(read_paths_and_hosts(from, out.get(), path));
  REMORA_TRY(read_server_header(from, out.get(), path));
  REMORA_TRY(check_tracing(from.tracing(), path.field("tracing")));
  REMORA_TRY_ASSIGN(out->access_logs, access_logs(from.access_log(), "access_log", context, path));
  REMORA_TRY_ASSIGN(
      out->filters,
      http_filters(from.http_filters(), stats::http_prefix(from.stat_prefix()), context, path));
  REMORA_TRY(read_routes(from, context, out.get(), path));
  return out;
}

}  // namespace remora::xds::translate
