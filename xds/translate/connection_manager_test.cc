#include "xds/translate/connection_manager.h"

#include <gmock/gmock.h>

#include "xds/translate/test_support.h"

namespace remora::xds::translate {
namespace {

using connection_manager::HttpConfig;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kRouterFilter =
    "http_filters: [{name: r, typed_config: {'@type': "
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]";
constexpr std::string_view kRds =
    "rds: {route_config_name: '80', config_source: {ads: {}, initial_fetch_timeout: 0s}}";

class ConnectionManagerTest : public TranslateTest {
 protected:
  std::shared_ptr<const HttpConfig> compile(std::string_view fields) {
    auto config = http_connection_manager(message(fields), context);
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? *config : nullptr;
  }
  std::string refusal(std::string_view fields) {
    auto config = http_connection_manager(message(fields), context);
    EXPECT_FALSE(config.ok()) << "accepted: " << fields;
    return std::string(config.status().message());
  }
  /// `fields` and, where they say nothing of them, a prefix, a router and routes by RDS.
  static HttpConnectionManager message(std::string_view fields) {
    std::string yaml = "{" + std::string(fields);
    const auto add = [&](std::string_view name, std::string_view text) {
      if (fields.find(name) == std::string_view::npos) yaml += ", " + std::string(text);
    };
    if (fields.empty()) yaml += "via: ''";
    add("stat_prefix", "stat_prefix: in");
    add("http_filters", kRouterFilter);
    if (fields.find("route_config") == std::string_view::npos) add("rds", kRds);
    return from_yaml<HttpConnectionManager>(yaml + "}");
  }
};

TEST_F(ConnectionManagerTest, DefaultsAreEnvoys) {
  auto config = compile("");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->codec, HttpConfig::Codec::Auto);
  EXPECT_EQ(config->rds_name, "80");
  EXPECT_EQ(config->rds_source.initial_fetch_timeout_ms, 0u);
  EXPECT_EQ(config->routes, nullptr);
  EXPECT_EQ(config->server_name, "envoy");
  EXPECT_TRUE(config->generate_request_id);
  EXPECT_FALSE(config->use_remote_address);
  EXPECT_EQ(config->stream_idle_timeout_ms, 300'000u);
  EXPECT_EQ(config->idle_timeout_ms, 3'600'000u);
  EXPECT_EQ(config->http1.limits.max_bytes, 60u * 1024);
  EXPECT_EQ(config->http1.limits.max_fields, 100u);
  ASSERT_EQ(config->filters.size(), 1u);
  EXPECT_TRUE(config->filters[0].factory->terminal());
}

TEST_F(ConnectionManagerTest, KeepsWhatItSays) {
  auto config = compile(R"yaml(
codec_type: HTTP1, server_name: istio-envoy, server_header_transformation: PASS_THROUGH, via: v,
use_remote_address: true, xff_num_trusted_hops: 2, skip_xff_append: true, generate_request_id: false,
preserve_external_request_id: true, always_set_request_id_in_response: true, normalize_path: true,
merge_slashes: true, path_with_escaped_slashes_action: REJECT_REQUEST, strip_any_host_port: true,
strip_trailing_host_dot: true, proxy_100_continue: true, stream_error_on_invalid_http_message: true,
stream_idle_timeout: 0s, request_timeout: 1s, request_headers_timeout: 2s, drain_timeout: 3s,
delayed_close_timeout: 4s, max_request_headers_kb: 96,
common_http_protocol_options: {idle_timeout: 5s, max_connection_duration: 6s, max_stream_duration: 7s,
  max_headers_count: 8, max_requests_per_connection: 9},
http_protocol_options: {accept_http_10: true, default_host_for_http_10: h, enable_trailers: true},
upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: x, enabled: false}],
forward_client_cert_details: APPEND_FORWARD, set_current_client_cert_details: {subject: true, dns: true, uri: true},
tracing: {client_sampling: {value: 100}, custom_tags: [{tag: a, literal: {value: b}}]},
request_id_extension: {typed_config: {'@type': type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig,
  use_request_id_for_trace_sampling: true}})yaml");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->codec, HttpConfig::Codec::Http1);
  EXPECT_EQ(config->server_name, "istio-envoy");
  EXPECT_EQ(config->server_header, HttpConfig::ServerHeader::PassThrough);
  EXPECT_EQ(config->via, "v");
  EXPECT_TRUE(config->use_remote_address && config->skip_xff_append);
  EXPECT_EQ(config->xff_num_trusted_hops, 2u);
  EXPECT_FALSE(config->generate_request_id);
  EXPECT_TRUE(config->preserve_external_request_id && config->always_set_request_id_in_response);
  EXPECT_TRUE(config->normalize_path && config->merge_slashes);
  EXPECT_EQ(config->escaped_slashes, HttpConfig::EscapedSlashes::Reject);
  EXPECT_TRUE(config->strip_any_host_port && config->strip_trailing_host_dot);
  EXPECT_TRUE(config->proxy_100_continue && config->stream_error_on_invalid_http_message);
  EXPECT_EQ(config->stream_idle_timeout_ms, 0u);
  EXPECT_EQ(config->request_timeout_ms, 1000u);
  EXPECT_EQ(config->request_headers_timeout_ms, 2000u);
  EXPECT_EQ(config->drain_timeout_ms, 3000u);
  EXPECT_EQ(config->delayed_close_timeout_ms, 4000u);
  EXPECT_EQ(config->idle_timeout_ms, 5000u);
  EXPECT_EQ(config->max_connection_duration_ms, 6000u);
  EXPECT_EQ(config->max_stream_duration_ms, 7000u);
  EXPECT_EQ(config->max_requests_per_connection, 9u);
  EXPECT_EQ(config->http1.limits.max_bytes, 96u * 1024);
  EXPECT_EQ(config->http1.limits.max_fields, 8u);
  EXPECT_TRUE(config->http1.accept_http_10 && config->http1.enable_trailers);
  ASSERT_EQ(config->upgrades.size(), 2u);
  EXPECT_TRUE(config->upgrades[0].type == "WebSocket" && config->upgrades[0].enabled);
  EXPECT_TRUE(config->upgrades[1].type == "x" && !config->upgrades[1].enabled);
  EXPECT_EQ(config->client_cert, HttpConfig::ClientCert::AppendForward);
  const HttpConfig::ClientCertDetails& told = config->client_cert_details;
  EXPECT_TRUE(told.subject && told.dns && told.uri && !told.cert && !told.chain);
}

TEST_F(ConnectionManagerTest, InlineRoutesAreCheckedAgainstClusters) {
  context.has_cluster = [](const std::string& name) { return name == "there"; };
  const std::string routes =
      "route_config: {virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, "
      "route: {cluster: ";
  EXPECT_NE(compile(routes + "there}}]}]}")->routes, nullptr);
  EXPECT_THAT(refusal(routes + "missing}}]}]}"),
              HasSubstr("route_config.virtual_hosts[0].routes[0].route.cluster: unknown cluster "
                        "'missing'"));
}

TEST_F(ConnectionManagerTest, OptionalFiltersOfUnknownTypesAreLeftOut) {
  const std::string router =
      "{name: r, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]";
  auto config = compile(
      "http_filters: [{name: o, is_optional: true, typed_config: {'@type': "
      "type.googleapis.com/a.b.C}}, " +
      router);
  EXPECT_EQ(config->filters.size(), 1u);
  EXPECT_THAT(reported, ElementsAre(HasSubstr("http_filters[0].typed_config: unknown type a.b.C")));
}

TEST_F(ConnectionManagerTest, ABootstrapMayAllowDispensableFiltersOnly) {
  const std::string router =
      "{name: r, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]";
  const std::string compressor =
      "http_filters: [{name: z, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor}}, " +
      router;
  EXPECT_THAT(refusal(compressor), HasSubstr("http_filters[0].typed_config: unknown type"));
  set_policy(UnknownFieldPolicy::Kind::StaticAccept);
  EXPECT_EQ(compile(compressor)->filters.size(), 1u);
  EXPECT_THAT(refusal("http_filters: [{name: z, typed_config: {'@type': "
                      "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC}}, " +
                      router),
              HasSubstr("unknown type envoy.extensions.filters.http.rbac.v3.RBAC"));
}

TEST_F(ConnectionManagerTest, WhatCannotBeHonouredIsRefusedWithItsPlace) {
  const Refusal refused[] = {
      {"stat_prefix: ''", "stat_prefix: is required"},
      {"http_filters: []", "http_filters: must not be empty"},
      {"http_filters: [{name: x, typed_config: {'@type': "
       "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}]",
       "http_filters[0]: the last filter must be a terminal one"},
      {"http_filters: [{name: x}]", "http_filters[0].typed_config: is required"},
      {"http_filters: [{name: x, disabled: true, typed_config: {'@type': "
       "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]",
       "http_filters[0].disabled: "},
      {"codec_type: HTTP3", "codec_type: HTTP3"},
      {"rds: {route_config_name: '', config_source: {ads: {}}}",
       "rds.route_config_name: is required"},
      {"rds: {route_config_name: a}", "rds.config_source: says no source"},
      {"max_request_headers_kb: 9000", "max_request_headers_kb: "},
      {"common_http_protocol_options: {max_headers_count: 0}", "max_headers_count: "},
      {"common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST}",
       "common_http_protocol_options.headers_with_underscores_action: is not supported"},
      {"request_timeout: -1s", "request_timeout: must not be negative"},
      {"strip_any_host_port: true, strip_matching_host_port: true", "exclude each other"},
      {"request_id_extension: {typed_config: {'@type': type.googleapis.com/a.b.C}}",
       "request_id_extension.typed_config: "},
      {"access_log: [{typed_config: {'@type': "
       "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog}}]",
       "access_log[0].typed_config: "},
      {"upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: WebSocket}]",
       "upgrade_configs[1].upgrade_type: 'WebSocket' is there twice"},
      {"tracing: {client_sampling: {value: 101}}",
       "tracing.client_sampling: must be from 0 to 100"},
      {"upgrade_configs: [{}]", "upgrade_configs[0].upgrade_type: is required"},
      {"internal_address_config: {cidr_ranges: [{address_prefix: x}]}",
       "internal_address_config.cidr_ranges[0]: "},
  };
  for (const Refusal& c : refused) {
    EXPECT_THAT(refusal(c.yaml), HasSubstr(std::string(c.reason)));
  }
  HttpConnectionManager nothing;
  nothing.set_stat_prefix("a");
  EXPECT_FALSE(http_connection_manager(nothing, context).ok());
}

}  // namespace
}  // namespace remora::xds::translate
