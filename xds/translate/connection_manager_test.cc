#include "xds/translate/connection_manager.h"

#include <absl/strings/str_cat.h>
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
    if (fields.find("route_config") == std::string_view::npos) yaml += ", " + std::string(kRds);
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

TEST_F(ConnectionManagerTest, KeepsHowHttp1IsSpokenInDetail) {
  auto config = compile(R"yaml(
common_http_protocol_options: {headers_with_underscores_action: DROP_HEADER},
http_protocol_options: {header_key_format: {proper_case_words: {}}, use_balsa_parser: false,
  ignore_http_11_upgrade: [{prefix: TLS/}, {exact: H2C, ignore_case: true}]})yaml");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->http1.underscores, http::Underscores::Drop);
  EXPECT_EQ(config->http1.names.written, http::NameCase::Proper);
  EXPECT_FALSE(config->http1.names.remember);
  ASSERT_EQ(config->http1.ignored_upgrades.size(), 2u);
  EXPECT_TRUE(config->http1.ignored_upgrades[0].matches("TLS/1.0"));
  EXPECT_TRUE(config->http1.ignored_upgrades[1].matches("h2c"));

  config = compile(R"yaml(
common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST},
http_protocol_options: {header_key_format: {stateful_formatter: {name: p, typed_config: {
  '@type': type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig,
  forward_reason_phrase: true, formatter_type_on_envoy_headers: PROPER_CASE}}}})yaml");
  EXPECT_EQ(config->http1.underscores, http::Underscores::Reject);
  EXPECT_TRUE(config->http1.names.remember && config->http1.names.remember_reason);
  EXPECT_EQ(config->http1.names.others, http::NameCase::Proper);
}

TEST_F(ConnectionManagerTest, KeepsWhatIsToldAboutTheWay) {
  auto config = compile(R"yaml(
append_x_forwarded_port: true, add_user_agent: true, scheme_header_transformation: {scheme_to_overwrite: https},
forward_proto_config: {https_destination_ports: [443, 8443], http_destination_ports: [80]},
early_header_mutation_extensions: [{name: e, typed_config: {
  '@type': type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation,
  mutations: [{remove: X-A}, {remove_on_match: {key_matcher: {prefix: x-p}}},
    {append: {header: {key: X-B, value: '%REQ(x-c)%'}, append_action: ADD_IF_ABSENT}}]}}],
original_ip_detection_extensions: [
  {name: c, typed_config: {
    '@type': type.googleapis.com/envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig,
    header_name: X-Ip, allow_extension_to_set_address_as_trusted: true, reject_with_status: {code: OK}}},
  {name: x, typed_config: {
    '@type': type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig,
    xff_trusted_cidrs: {cidrs: [{address_prefix: 10.0.0.0, prefix_len: 8}]}, skip_xff_append: false}}],
request_id_extension: {typed_config: {
  '@type': type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig,
  pack_trace_reason: false, use_request_id_for_trace_sampling: false}},
tracing: {client_sampling: {value: 50}, random_sampling: {value: 0.015}})yaml");
  ASSERT_NE(config, nullptr);
  EXPECT_TRUE(config->append_x_forwarded_port);
  EXPECT_EQ(config->user_agent, "cluster");
  EXPECT_EQ(config->own_node_id, "node");
  EXPECT_EQ(config->scheme_to_overwrite, "https");
  EXPECT_THAT(config->https_ports, ElementsAre(443, 8443));
  EXPECT_THAT(config->http_ports, ElementsAre(80));
  ASSERT_EQ(config->early_mutations.size(), 3u);
  EXPECT_EQ(config->early_mutations[0].name, "x-a");
  EXPECT_EQ(config->early_mutations[2].action, router::HeaderEdit::Action::AddIfAbsent);
  ASSERT_EQ(config->ip_detections.size(), 2u);
  const auto& header = std::get<connection_manager::DetectByHeader>(config->ip_detections[0]);
  EXPECT_EQ(header.name, "x-ip");
  EXPECT_TRUE(header.trusted);
  EXPECT_EQ(header.reject_status, 403) << "no status of success refuses";
  const auto& list = std::get<connection_manager::DetectByForwarded>(config->ip_detections[1]);
  EXPECT_EQ(list.trusted_ranges.size(), 1u);
  EXPECT_FALSE(list.skip_append);
  EXPECT_FALSE(config->packs_trace_reason || config->samples_by_request_id);
  EXPECT_EQ(config->tracing->client, 5000u);
  EXPECT_EQ(config->tracing->random, 1u);
  EXPECT_EQ(config->tracing->overall, 10'000u);
  EXPECT_FALSE(compile("")->tracing.has_value());
}

TEST_F(ConnectionManagerTest, KeepsWhenThingsEndAndWhatIsLogged) {
  auto config = compile(R"yaml(
drain_timeout: 2s, drain_timeout_jitter: {value: 50}, http1_safe_max_connection_duration: true, stream_flush_timeout: 9s,
common_http_protocol_options: {max_connection_duration: 10s, max_connection_duration_jitter: {value: 10}},
access_log_options: {access_log_flush_interval: 1s, flush_access_log_on_new_request: true,
  flush_log_on_tunnel_successfully_established: true})yaml");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->drain_jitter_ms, 1000u);
  EXPECT_EQ(config->max_connection_jitter_ms, 1000u);
  EXPECT_EQ(config->stream_flush_timeout_ms, 9000u);
  EXPECT_TRUE(config->safe_max_connection_duration);
  EXPECT_EQ(config->log_interval_ms, 1000u);
  EXPECT_TRUE(config->log_new_requests && config->log_new_tunnels);
  config = compile("access_log_flush_interval: 3s, flush_access_log_on_new_request: true");
  EXPECT_EQ(config->log_interval_ms, 3000u);
  EXPECT_TRUE(config->log_new_requests);
  EXPECT_EQ(compile("stream_idle_timeout: 7s")->stream_flush_timeout_ms, 7000u);
}

TEST_F(ConnectionManagerTest, KeepsHowLocalAnswersLook) {
  auto config = compile(R"yaml(
local_reply_config: {
  mappers: [{filter: {not_health_check_filter: {}}, status_code: 504, body: {inline_string: b},
    body_format_override: {json_format: {code: '%RESPONSE_CODE%'}},
    headers_to_add: [{header: {key: X-A, value: '%REQ(x)%'}}]}],
  body_format: {text_format_source: {inline_string: '%LOCAL_REPLY_BODY%'}, content_type: text/html}})yaml");
  ASSERT_NE(config, nullptr);
  ASSERT_NE(config->local_replies, nullptr);
  const auto& replies = *config->local_replies;
  ASSERT_EQ(replies.mappers.size(), 1u);
  EXPECT_EQ(replies.mappers[0].status, 504);
  EXPECT_EQ(replies.mappers[0].body, "b");
  EXPECT_EQ(replies.mappers[0].format->content_type, "application/json");
  EXPECT_EQ(replies.mappers[0].headers[0].name, "x-a");
  EXPECT_EQ(replies.format->content_type, "text/html");
}

TEST_F(ConnectionManagerTest, ExtensionsThatDoNotFitAreRefused) {
  constexpr std::string_view kXff =
      "original_ip_detection_extensions: [{name: x, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig";
  constexpr std::string_view kHeader =
      "original_ip_detection_extensions: [{name: x, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.http.original_ip_detection.custom_header.v3."
      "CustomHeaderConfig";
  constexpr std::string_view kEarly =
      "early_header_mutation_extensions: [{name: x, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3."
      "HeaderMutation";
  const auto with = [](std::string_view extension, std::string_view fields,
                       std::string_view more = "") {
    return absl::StrCat(absl::string_view(extension.data(), extension.size()),
                        absl::string_view(fields.data(), fields.size()), "}}]",
                        absl::string_view(more.data(), more.size()));
  };
  EXPECT_THAT(refusal(with(kXff, "", ", use_remote_address: true")),
              HasSubstr("original_ip_detection_extensions: and use_remote_address exclude"));
  EXPECT_THAT(refusal(with(kXff, "", ", xff_num_trusted_hops: 1")),
              HasSubstr("and xff_num_trusted_hops exclude"));
  EXPECT_THAT(refusal(with(kXff, ", xff_num_trusted_hops: 1, xff_trusted_cidrs: {}")),
              HasSubstr("typed_config.xff_trusted_cidrs: "));
  EXPECT_THAT(
      refusal(with(kXff, ", xff_trusted_cidrs: {cidrs: [{address_prefix: x}]}")),
      HasSubstr("original_ip_detection_extensions[0].typed_config.xff_trusted_cidrs.cidrs[0]"));
  EXPECT_THAT(refusal(with(kHeader, "")), HasSubstr("typed_config.header_name: is required"));
  EXPECT_THAT(refusal(with(kEarly, "")), HasSubstr("typed_config.mutations: must not be empty"));
  for (std::string_view name : {"host", "':path'"}) {
    EXPECT_THAT(
        refusal(with(kEarly, absl::StrCat(", mutations: [{remove: ", std::string(name), "}]"))),
        HasSubstr("mutations[0].remove: "));
  }
  EXPECT_THAT(refusal(with(kEarly, ", mutations: [{append: {header: {key: a, value: '%NOPE%'}}}]")),
              HasSubstr("mutations[0].append.header.value: "));
  EXPECT_THAT(refusal(with(kEarly, ", mutations: [{}]")), HasSubstr("mutations[0]: has no action"));
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

TEST_F(ConnectionManagerTest, WhatHarmsNobodyIsReportedOnly) {
  const auto config = compile(
      "proxy_status_config: {}, record_route_resolution_stats: true, append_local_overload: true, "
      "add_proxy_protocol_connection_state: false, http3_protocol_options: {}, "
      "represent_ipv4_remote_address_as_ipv4_mapped_ipv6: true, "
      "http_protocol_options: {send_fully_qualified_url: true}");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(reported.size(), 7u);
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
      {"common_http_protocol_options: {max_response_headers_kb: 1}",
       "common_http_protocol_options.max_response_headers_kb: is for clusters"},
      {"common_http_protocol_options: {max_connection_duration_jitter: {value: 101}}",
       "max_connection_duration_jitter: must be from 0 to 100"},
      {"drain_timeout_jitter: {value: -1}", "drain_timeout_jitter: must be from 0 to 100"},
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
      {"scheme_header_transformation: {scheme_to_overwrite: ftp}",
       "scheme_header_transformation.scheme_to_overwrite: must be http or https"},
      {"forward_proto_config: {http_destination_ports: [70000]}",
       "forward_proto_config.http_destination_ports[0]: is above 65535"},
      {"forward_client_cert_matcher: {}", "forward_client_cert_matcher: is not supported"},
      {"set_current_client_cert_details: {format: JSON}",
       "set_current_client_cert_details.format: only TEXT"},
      {"path_normalization_options: {}", "path_normalization_options: is not supported"},
      {"typed_header_validation_config: {name: x}", "typed_header_validation_config: "},
      {"http_protocol_options: {allow_chunked_length: true}",
       "http_protocol_options.allow_chunked_length: "},
      {"http_protocol_options: {header_key_format: {}}",
       "http_protocol_options.header_key_format: has no format"},
      {"http_protocol_options: {header_key_format: {stateful_formatter: {name: x}}}",
       "header_key_format.stateful_formatter.typed_config: "},
      {"access_log_options: {access_log_flush_interval: 0.0001s}",
       "access_log_options.access_log_flush_interval: must be at least"},
      {"access_log_options: {}, access_log_flush_interval: 1s", "access_log_options: excludes"},
      {"local_reply_config: {mappers: [{}]}", "local_reply_config.mappers[0].filter: "},
      {"local_reply_config: {mappers: [{filter: {not_health_check_filter: {}}, status_code: 199}]}",
       "mappers[0].status_code: must be from 200 to 599"},
      {"local_reply_config: {body_format: {text_format: '%NOPE%'}}",
       "local_reply_config.body_format.text_format: "},
      {"local_reply_config: {mappers: [{filter: {not_health_check_filter: {}}, "
       "headers_to_add: [{header: {key: ':status', value: x}}]}]}",
       "mappers[0].headers_to_add[0].header.key: "},
      {"internal_address_config: {cidr_ranges: [{address_prefix: x}]}",
       "internal_address_config.cidr_ranges[0]: "},
  };
  for (const Refusal& c : refused) {
    EXPECT_THAT(refusal(c.yaml), HasSubstr(std::string(c.reason)));
  }
  HttpConnectionManager scoped = message("");
  scoped.mutable_scoped_routes();
  EXPECT_THAT(http_connection_manager(scoped, context).status().message(),
              HasSubstr("scoped_routes: is not supported"));
  HttpConnectionManager nothing;
  nothing.set_stat_prefix("a");
  EXPECT_FALSE(http_connection_manager(nothing, context).ok());
}

}  // namespace
}  // namespace remora::xds::translate
