#include "xds/translate/route.h"

#include <gmock/gmock.h>

#include "proxy/upstream/metadata_criteria.h"
#include "xds/translate/route_test_support.h"

namespace remora::xds::translate {
namespace {

using router::ClusterAction;
using router::DirectAction;
using router::HeaderEdit;
using router::HeaderMatch;
using router::RedirectAction;
using router::RetryPolicy;
using router::RouteMatch;
using router::StringMatch;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(RouteTest, TableAndVirtualHostsKeepWhatTheySay) {
  auto table = compile(R"(
name: r
internal_only_headers: [X-Internal]
most_specific_header_mutations_wins: true
ignore_port_in_host_matching: true
request_headers_to_add: [{header: {key: X-A, value: "100%%"}, append_action: ADD_IF_ABSENT}]
response_headers_to_remove: [X-Gone]
typed_per_filter_config:
  outer: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}
virtual_hosts:
- name: v
  domains: [a.example, "*.b"]
  require_tls: EXTERNAL_ONLY
  include_request_attempt_count: true
  retry_policy: {retry_on: 5xx}
)");
  ASSERT_NE(table, nullptr);
  const auto& input = table->input();
  EXPECT_EQ(input.name, "r");
  EXPECT_THAT(input.internal_only_headers, ElementsAre("x-internal"));
  EXPECT_TRUE(input.most_specific_header_mutations_wins);
  EXPECT_TRUE(input.ignore_port_in_host_matching);
  EXPECT_EQ(input.request_edits.add.at(0).name, "x-a");
  EXPECT_EQ(input.request_edits.add.at(0).value, "100%");
  EXPECT_EQ(input.request_edits.add.at(0).action, HeaderEdit::Action::AddIfAbsent);
  EXPECT_THAT(input.response_edits.remove, ElementsAre("x-gone"));
  const router::VirtualHost& host = input.hosts.at(0);
  EXPECT_EQ(host.require_tls, router::VirtualHost::RequireTls::ExternalOnly);
  EXPECT_TRUE(host.include_request_attempt_count);
  EXPECT_EQ(host.retry->on, RetryPolicy::k5xx);
  EXPECT_TRUE(host.filter_configs.contains("outer")) << "the table's stands for the host's";
}

TEST_F(RouteTest, MatchesOfEveryKind) {
  auto table = one_route(R"({
match: {path_separated_prefix: /a, case_sensitive: false, grpc: {},
        runtime_fraction: {default_value: {numerator: 5}, runtime_key: k},
        headers: [{name: X-A, string_match: {exact: V, ignore_case: true}},
                  {name: x-b, range_match: {start: 1, end: 9}, invert_match: true},
                  {name: x-c, present_match: false}, {name: x-d},
                  {name: x-e, safe_regex_match: {regex: "a.*"}},
                  {name: x-f, exact_match: ""}],
        query_parameters: [{name: q, string_match: {prefix: p}}, {name: r, present_match: true}]},
route: {cluster: c}})");
  ASSERT_NE(table, nullptr);
  const RouteMatch& match = first(table).match;
  EXPECT_EQ(match.kind, RouteMatch::Kind::PathSeparatedPrefix);
  EXPECT_FALSE(match.case_sensitive);
  EXPECT_TRUE(match.grpc_only);
  EXPECT_EQ(match.fraction_per_million, 50'000u);
  ASSERT_EQ(match.headers.size(), 6u);
  EXPECT_EQ(match.headers[0].name, "x-a");
  EXPECT_EQ(match.headers[0].string.text, "v");
  EXPECT_EQ(match.headers[1].kind, HeaderMatch::Kind::Range);
  EXPECT_TRUE(match.headers[1].invert);
  EXPECT_FALSE(match.headers[2].present);
  EXPECT_EQ(match.headers[3].kind, HeaderMatch::Kind::Present);
  EXPECT_EQ(match.headers[4].string.kind, StringMatch::Kind::Regex);
  EXPECT_EQ(match.headers[5].kind, HeaderMatch::Kind::Present);
  EXPECT_EQ(match.query.at(0).string->kind, StringMatch::Kind::Prefix);
  EXPECT_FALSE(match.query.at(1).string.has_value());
}

TEST_F(RouteTest, RuntimeReplacesAFraction) {
  google::protobuf::Struct layer;
  (*layer.mutable_fields())["k"].set_number_value(25);
  runtime.add_layer("base", &layer);
  auto table = one_route(
      "{match: {prefix: /, runtime_fraction: {default_value: {numerator: 5}, runtime_key: k}},"
      " route: {cluster: c}}");
  EXPECT_EQ(first(table).match.fraction_per_million, 250'000u);
}

TEST_F(RouteTest, ClusterActionKeepsWhatItSays) {
  auto table = one_route(R"yaml({match: {prefix: /}, route: {
weighted_clusters: {clusters: [{name: a, weight: 10}, {name: b, weight: 90,
    response_headers_to_add: [{header: {key: v, value: "2"}, append: false}]}]},
cluster_not_found_response_code: NOT_FOUND,
upgrade_configs: [{upgrade_type: websocket, enabled: false},
  {upgrade_type: CONNECT, connect_config: {allow_post: true, proxy_protocol_config: {version: V2}}}],
regex_rewrite: {pattern: {regex: "^/a(.*)"}, substitution: '\1'},
host_rewrite_header: X-Host, append_x_forwarded_host: true, timeout: 0s, idle_timeout: 1.5s,
priority: HIGH, max_grpc_timeout: 3s, grpc_timeout_offset: 0.02s,
max_stream_duration: {max_stream_duration: 9s, grpc_timeout_header_max: 0s,
                      grpc_timeout_header_offset: 0.01s},
retry_policy: {retry_on: "connect-failure, unavailable,retriable-status-codes", num_retries: 3,
  per_try_timeout: 2s, retriable_status_codes: [503], host_selection_retry_max_attempts: 5,
  retry_back_off: {base_interval: 0.1s},
  retry_host_predicate: [{name: p, typed_config: {
    '@type': type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
    }}]}}})yaml");
  ASSERT_NE(table, nullptr);
  const auto& action = std::get<ClusterAction>(first(table).action);
  EXPECT_EQ(action.weighted.size(), 2u);
  EXPECT_EQ(action.total_weight, 100u);
  EXPECT_EQ(action.weighted[1].response_edits.add.at(0).action, HeaderEdit::Action::OverwriteOrAdd);
  EXPECT_EQ(action.cluster_not_found_status, 404);
  ASSERT_EQ(action.upgrades.size(), 2u);
  EXPECT_FALSE(action.upgrades[0].enabled);
  EXPECT_TRUE(action.upgrades[1].enabled);
  ASSERT_TRUE(action.connect && action.connect->proxy_protocol);
  EXPECT_TRUE(action.connect->allow_post);
  EXPECT_EQ(action.connect->proxy_protocol->version, ProxyProtocolSettings::Version::V2);
  EXPECT_EQ(action.rewrites->regex_substitution, "\\1");
  EXPECT_EQ(action.rewrites->host_rewrite_header, "x-host");
  EXPECT_EQ(action.timeout_ms, 0u);
  EXPECT_EQ(action.idle_timeout_ms, 1500u);
  EXPECT_TRUE(action.high_priority);
  EXPECT_EQ(action.max_stream_duration_ms, 9000u);
  EXPECT_TRUE(action.bounds_streams);
  EXPECT_EQ(action.grpc_timeout_header.max_ms, 0u);
  EXPECT_EQ(action.grpc_timeout_header.offset_ms, 10u);
  EXPECT_EQ(action.max_grpc_timeout.max_ms, 3000u);
  EXPECT_EQ(action.max_grpc_timeout.offset_ms, 20u);
  const RetryPolicy& retry = *action.retry;
  EXPECT_EQ(retry.on, RetryPolicy::kConnectFailure | RetryPolicy::kGrpcUnavailable |
                          RetryPolicy::kRetriableStatusCodes);
  EXPECT_EQ(retry.num_retries, 3u);
  EXPECT_EQ(retry.per_try_timeout_ms, 2000u);
  EXPECT_EQ(retry.back_off_base_ms, 100u);
  EXPECT_EQ(retry.back_off_max_ms, 1000u);
  EXPECT_TRUE(retry.previous_hosts);
  EXPECT_EQ(retry.host_selection_max_attempts, 5u);
  EXPECT_THAT(retry.retriable_status_codes, ElementsAre(503));
}

TEST_F(RouteTest, HashPoliciesOfEveryKind) {
  auto table = one_route(R"yaml({match: {prefix: /}, route: {cluster: a, hash_policy: [
{header: {header_name: X-Key, regex_rewrite: {pattern: {regex: 'a(.)'}, substitution: '\1'}}, terminal: true},
{cookie: {name: s, ttl: 1.9s, path: /p, attributes: [{name: Secure}]}},
{cookie: {name: t}}, {connection_properties: {source_ip: true}}, {connection_properties: {}},
{query_parameter: {name: q}}]}})yaml");
  ASSERT_NE(table, nullptr);
  using Kind = router::HashPolicy::Kind;
  const auto& policies = std::get<ClusterAction>(first(table).action).hash_policies;
  ASSERT_EQ(policies.size(), 5u) << "one that hashes nothing is none";
  EXPECT_EQ(policies[0].kind, Kind::Header);
  EXPECT_EQ(policies[0].name, "x-key");
  EXPECT_EQ(policies[0].substitution, "\\1");
  EXPECT_NE(policies[0].rewrite, nullptr);
  EXPECT_TRUE(policies[0].terminal);
  EXPECT_EQ(policies[1].kind, Kind::Cookie);
  EXPECT_EQ(policies[1].cookie_ttl_s, 1u);
  EXPECT_EQ(policies[1].cookie_path, "/p");
  EXPECT_EQ(policies[1].cookie_attributes.at(0).first, "Secure");
  EXPECT_FALSE(policies[2].cookie_ttl_s);
  EXPECT_EQ(policies[3].kind, Kind::SourceIp);
  EXPECT_EQ(policies[4].kind, Kind::Query);
}

TEST_F(RouteTest, RedirectAndDirectResponse) {
  auto table = compile(R"(
virtual_hosts:
- name: v
  domains: ['*']
  routes:
  - match: {path: /a}
    redirect: {https_redirect: true, host_redirect: h, port_redirect: 8443, prefix_rewrite: /b,
               response_code: TEMPORARY_REDIRECT, strip_query: true}
  - match: {safe_regex: {regex: /x.*}}
    direct_response: {status: 418, body: {inline_string: tea}}
)");
  ASSERT_NE(table, nullptr);
  const auto& redirect = std::get<RedirectAction>(first(table).action);
  EXPECT_TRUE(redirect.https && redirect.strip_query && redirect.has_prefix_rewrite);
  EXPECT_FALSE(redirect.has_path);
  EXPECT_EQ(redirect.status, 307);
  EXPECT_EQ(redirect.port, 8443u);
  const auto& direct = std::get<DirectAction>(table->input().hosts.at(0).routes.at(1).action);
  EXPECT_EQ(direct.status, 418);
  EXPECT_EQ(direct.body, "tea");
}

TEST_F(RouteTest, EqualContentHasAnEqualHash) {
  const std::string yaml = "{name: r, virtual_hosts: [{name: v, domains: [a]}]}";
  EXPECT_EQ(compile(yaml)->input().content_hash, compile(yaml)->input().content_hash);
  EXPECT_NE(compile(yaml)->input().content_hash,
            compile("{name: r, virtual_hosts: [{name: v, domains: [b]}]}")->input().content_hash);
}

TEST_F(RouteTest, PerRouteFilterConfigsAreCompiledByTheirFilter) {
  auto table = one_route(R"({match: {prefix: /}, route: {cluster: c}, typed_per_filter_config: {
    f: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer},
    o: {'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, is_optional: true,
        config: {'@type': type.googleapis.com/a.b.C}}}})");
  ASSERT_NE(table, nullptr);
  ASSERT_TRUE(first(table).filter_configs.contains("f"));
  EXPECT_EQ(first(table).filter_configs.at("f").type,
            "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer");
  EXPECT_FALSE(first(table).filter_configs.contains("o"));
  EXPECT_THAT(reported,
              ElementsAre(HasSubstr("typed_per_filter_config[\"o\"]: unknown type a.b.C")));
}

TEST_F(RouteTest, WeightedClustersHaveFilterConfigsToo) {
  auto table = one_route(R"({match: {prefix: /}, route: {weighted_clusters: {clusters: [
    {name: a, weight: 1, typed_per_filter_config: {
      f: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}},
    {name: b, weight: 1}]}}})");
  ASSERT_NE(table, nullptr);
  const auto& weighted = std::get<ClusterAction>(first(table).action).weighted;
  EXPECT_TRUE(weighted.at(0).filter_configs.contains("f"));
  EXPECT_TRUE(weighted.at(1).filter_configs.empty());
}

TEST_F(RouteTest, WhatCannotBeHonouredIsRefusedWithItsPlace) {
  const std::string route_prefix = "virtual_hosts: [{name: v, domains: ['*'], routes: [";
  const Refusal routes_refused[] = {
      {"{route: {cluster: c}}", "routes[0].match: is required"},
      {"{match: {}, route: {cluster: c}}", "routes[0].match: has no path specifier"},
      {"{match: {prefix: /}}", "routes[0]: has no action"},
      {"{match: {prefix: /}, route: {}}", "routes[0].route: has no cluster specifier"},
      {"{match: {prefix: /}, route: {cluster: c, hash_policy: [{}]}}",
       "route.hash_policy[0]: has no policy specifier"},
      {"{match: {prefix: /}, route: {cluster: c, hash_policy: [{header: {}}]}}",
       "route.hash_policy[0].header.header_name: "},
      {"{match: {prefix: /}, route: {cluster: c, hash_policy: [{cookie: {}}]}}",
       "route.hash_policy[0].cookie.name: is required"},
      {"{match: {prefix: /}, route: {cluster: c, hash_policy: [{query_parameter: {}}]}}",
       "route.hash_policy[0].query_parameter.name: is required"},
      {"{match: {safe_regex: {regex: '('}}, route: {cluster: c}}",
       "match.safe_regex.regex: invalid regular expression"},
      {"{match: {prefix: /, headers: [{name: a, string_match: {}}]}, route: {cluster: c}}",
       "headers[0].string_match: has no pattern"},
      {"{match: {prefix: /, headers: [{name: a, prefix_match: ''}]}, route: {cluster: c}}",
       "headers[0].prefix_match: must not be empty"},
      {"{match: {prefix: /, headers: [{name: ''}]}, route: {cluster: c}}",
       "headers[0].name: is required"},
      {"{match: {path_separated_prefix: /a/}, route: {cluster: c}}", "path_separated_prefix: "},
      {"{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 0}]}}}",
       "route.weighted_clusters: the sum of weights must be greater than 0"},
      {"{match: {prefix: /}, route: {weighted_clusters: {clusters: [{weight: 1}]}}}",
       "weighted_clusters.clusters[0]: needs either name or cluster_header"},
      {"{match: {prefix: /}, route: {weighted_clusters: {total_weight: 2, clusters: [{name: a, "
       "weight: 1}]}}}",
       "weighted_clusters.total_weight: is not the sum"},
      {"{match: {prefix: /}, route: {cluster: c, timeout: -1s}}",
       "route.timeout: must not be negative"},
      {"{match: {prefix: /}, route: {cluster: c, prefix_rewrite: /a, regex_rewrite: {pattern: "
       "{regex: a}}}}",
       "exclude each other"},
      {"{match: {prefix: /}, route: {cluster: c, regex_rewrite: {pattern: {regex: a}, "
       "substitution: '\\3'}}}",
       "regex_rewrite.substitution: "},
      {"{match: {prefix: /}, route: {cluster: c, retry_policy: {retry_back_off: {}}}}",
       "retry_back_off.base_interval: is required"},
      {"{match: {prefix: /}, route: {cluster: c, retry_policy: {retry_back_off: {base_interval: "
       "2s, max_interval: 1s}}}}",
       "retry_back_off.max_interval: must not be less"},
      {"{match: {prefix: /}, direct_response: {status: 99}}", "direct_response.status: "},
      {"{match: {prefix: /}, route: {cluster: c, upgrade_configs: [{}]}}",
       "route.upgrade_configs[0].upgrade_type: is required"},
      {"{match: {prefix: /}, route: {cluster: c, upgrade_configs: [{upgrade_type: a}, "
       "{upgrade_type: A}]}}",
       "route.upgrade_configs[1].upgrade_type: 'A' is there twice"},
      {"{match: {prefix: /}, route: {cluster: c, upgrade_configs: [{upgrade_type: websocket, "
       "connect_config: {}}]}}",
       "route.upgrade_configs[0].connect_config: is for CONNECT only"},
      {"{match: {prefix: /}, route: {cluster: c, upgrade_configs: [{upgrade_type: CONNECT, "
       "connect_config: {proxy_protocol_config: {pass_through_tlvs: {tlv_type: [256]}}}}]}}",
       "connect_config.proxy_protocol_config.pass_through_tlvs.tlv_type[0]: is above 255"},
      {"{match: {prefix: /}, direct_response: {status: 200, body: {filename: /nonesuch}}}",
       "direct_response.body.filename: cannot read"},
      {"{match: {prefix: /}, route: {cluster: c}, request_headers_to_add: [{header: {key: ':path', "
       "value: a}}]}",
       "request_headers_to_add[0].header.key: "},
      {"{match: {prefix: /}, route: {cluster: c}, request_headers_to_remove: [Host]}",
       "request_headers_to_remove[0]: "},
      {"{match: {prefix: /}, route: {cluster: c}, response_headers_to_add: [{header: {key: a, "
       "value: '%NOTHING%'}}]}",
       "header.value: at position 0: command 'NOTHING': unknown"},
      {"{match: {prefix: /}, route: {cluster: c}, response_headers_to_add: [{header: {key: a, "
       "value: \"b\\r\\n\"}}]}",
       "header.value: is not a header value"},
      {"{match: {prefix: /}, route: {cluster: c}, typed_per_filter_config: {f: {'@type': "
       "type.googleapis.com/a.b.C}}}",
       "routes[0].typed_per_filter_config[\"f\"]: unknown type a.b.C"},
  };
  for (const Refusal& c : routes_refused) {
    EXPECT_THAT(refusal(route_prefix + std::string(c.yaml) + "]}]"),
                HasSubstr(std::string(c.reason)));
  }
  const Refusal tables_refused[] = {
      {"virtual_hosts: [{domains: [a]}]", "virtual_hosts[0].name: is required"},
      {"virtual_hosts: [{name: v}]", "virtual_hosts[0].domains: must not be empty"},
      {"virtual_hosts: [{name: v, domains: ['a*b']}]", "domains[0]: bad wildcard"},
      {"virtual_hosts: [{name: v, domains: [a]}, {name: all, domains: [a]}]", "virtual_hosts[1]"},
  };
  for (const Refusal& c : tables_refused) {
    EXPECT_THAT(refusal(c.yaml), HasSubstr(std::string(c.reason)));
  }
}

TEST_F(RouteTest, UnknownRetryConditionsAreReported) {
  auto table = one_route(
      "{match: {prefix: /}, route: {cluster: c, retry_policy: {retry_on: 'nonesuch,5xx'}}}");
  ASSERT_NE(table, nullptr);
  EXPECT_THAT(reported,
              ElementsAre("route configuration '': virtual_hosts[0].routes[0].route.retry_policy."
                          "retry_on: unknown condition 'nonesuch'"));
  set_policy(UnknownFieldPolicy::Kind::StaticRefuse);
  EXPECT_THAT(refusal("virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, "
                      "route: {cluster: c, retry_policy: {retry_on: nonesuch}}}]}]"),
              HasSubstr("retry_on: unknown condition"));
}

TEST_F(RouteTest, ClustersAreLookedUpWhenAskedFor) {
  context.has_cluster = [](const std::string& name) { return name == "there"; };
  const std::string missing =
      "{virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: "
      "missing}}]}]}";
  EXPECT_NE(compile(missing), nullptr) << "discovered routes may come before their clusters";
  const Path path("route_config");
  auto inlined =
      route_table(from_yaml<RouteConfiguration>(missing), ValidateClusters::Yes, context, path);
  EXPECT_EQ(inlined.status().message(),
            "route_config.virtual_hosts[0].routes[0].route.cluster: unknown cluster 'missing'");
}

TEST_F(RouteTest, RegexProgramsAreBoundedByTheRuntime) {
  google::protobuf::Struct layer;
  (*layer.mutable_fields())["re2.max_program_size.error_level"].set_number_value(5);
  runtime.add_layer("global config", &layer);
  EXPECT_THAT(refusal("virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {safe_regex: "
                      "{regex: '/a{1,50}.*'}}, route: {cluster: c}}]}]"),
              HasSubstr("is above the limit of 5"));
}

TEST_F(RouteTest, WeightedClustersAddToWhatTheRouteAsksOfHosts) {
  const auto table = compile(
      "{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: "
      "{metadata_match: {filter_metadata: {envoy.lb: {a: x, b: x}}}, weighted_clusters: {clusters: "
      "[{name: one, weight: 1, metadata_match: {filter_metadata: {envoy.lb: {b: z}}}}, {name: two, "
      "weight: 1, metadata_match: {filter_metadata: {other: {b: z}}}}]}}}]}]}");
  ASSERT_NE(table, nullptr);
  const auto& action = std::get<router::ClusterAction>(table->input().hosts[0].routes[0].action);
  EXPECT_EQ(action.metadata_match->text(), R"({"a":"x","b":"x"})");
  EXPECT_EQ(action.weighted[0].metadata_match->text(), R"({"a":"x","b":"z"})");
  EXPECT_EQ(action.weighted[1].metadata_match, action.metadata_match);
}

}  // namespace
}  // namespace remora::xds::translate
