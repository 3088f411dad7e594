#include "xds/translate/health_check.h"

#include <gmock/gmock.h>

#include "proxy/upstream/health_check_config.h"
#include "xds/translate/cluster_test_support.h"

namespace remora::xds::translate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class HealthCheckTest : public ClusterTranslateTest {};

TEST_F(HealthCheckTest, TimesThresholdsAndKinds) {
  EXPECT_EQ(compile("{name: a}")->health_check, nullptr);
  const std::string common =
      "timeout: 1s, interval: 2s, unhealthy_threshold: 3, healthy_threshold: 4";
  const auto with = [&](const std::string& more) {
    const auto config = compile("{name: a, http2_protocol_options: {}, health_checks: [{" + common +
                                ", " + more + "}]}");
    return config == nullptr ? upstream::HealthCheckConfig() : *config->health_check;
  };
  const auto http = with(
      "http_health_check: {path: /h, method: HEAD, receive: [{text: '4f6B'}], "
      "expected_statuses: [{start: 200, end: 300}]}");
  EXPECT_EQ(http.timeout_ms, 1000u);
  EXPECT_EQ(http.healthy_edge_ms, 2000u);
  EXPECT_EQ(http.unhealthy_edge_ms, 2000u);
  EXPECT_EQ(http.no_traffic_healthy_ms, 60'000u);
  EXPECT_EQ(http.unhealthy_threshold, 3u);
  EXPECT_EQ(http.healthy_threshold, 4u);
  EXPECT_TRUE(http.reuse_connection);
  EXPECT_EQ(http.method, "HEAD");
  EXPECT_THAT(http.receive, ElementsAre("Ok"));
  EXPECT_EQ(http.expected.size(), 1u);
  const auto tcp = with(
      "unhealthy_interval: 5s, no_traffic_interval: 7s, reuse_connection: false, "
      "tcp_health_check: {send: {binary: aGk=}}");
  EXPECT_EQ(tcp.kind, upstream::HealthCheckConfig::Kind::Tcp);
  EXPECT_EQ(tcp.send, "hi");
  EXPECT_EQ(tcp.unhealthy_edge_ms, 5000u);
  EXPECT_EQ(tcp.no_traffic_healthy_ms, 7000u);
  EXPECT_FALSE(tcp.reuse_connection);
  const auto grpc = with("grpc_health_check: {service_name: a.B, authority: x}");
  EXPECT_TRUE(grpc.http2);
  EXPECT_EQ(grpc.service, "a.B");
  EXPECT_EQ(grpc.host, "x");
}

TEST_F(HealthCheckTest, HowItIsAskedMayDiffer) {
  const auto config = compile(
      "{name: a, transport_socket_matches: [{name: first, match: {kind: plain}, transport_socket: "
      "{name: raw, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}}], "
      "health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, "
      "tls_options: {alpn_protocols: [hc, h2]}, transport_socket_match_criteria: {kind: plain}, "
      "http_health_check: {path: /, service_name_matcher: {prefix: pay}, "
      "request_headers_to_remove: [X-Out], request_headers_to_add: ["
      "{header: {key: X-A, value: '100%%'}}, {header: {key: x-b, value: b}, append: false}, "
      "{header: {key: x-c}}, {header: {key: x-d}, keep_empty_value: true}]}}]}");
  ASSERT_NE(config, nullptr);
  const upstream::HealthCheckConfig& check = *config->health_check;
  EXPECT_EQ(check.alpn, "hc,h2");
  EXPECT_EQ(check.transport, 1u);
  ASSERT_TRUE(check.service_name);
  EXPECT_TRUE(check.service_name->matches("payments"));
  EXPECT_THAT(check.headers_to_remove, ElementsAre("x-out"));
  ASSERT_EQ(check.headers.size(), 3u) << "an empty one is not sent";
  EXPECT_EQ(check.headers[0].name, "x-a");
  EXPECT_EQ(check.headers[0].value, "100%");
  EXPECT_EQ(check.headers[1].action, upstream::CheckHeader::Action::Set);
  EXPECT_EQ(check.headers[2].name, "x-d");
  EXPECT_FALSE(compile("{name: a, health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: "
                       "1, healthy_threshold: 1, tcp_health_check: {}}]}")
                   ->health_check->transport);
}

TEST_F(HealthCheckTest, WhatMakesNoSenseIsRefused) {
  set_policy(UnknownFieldPolicy::Kind::StaticRefuse);
  const auto check = [](const std::string& fields) {
    return "{name: a, health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, "
           "healthy_threshold: 1, " +
           fields + "}]}";
  };
  const std::pair<std::string, std::string> refused[] = {
      {"{name: a, health_checks: [{}, {}]}", "health_checks: more than one is not supported"},
      {"{name: a, health_checks: [{interval: 1s}]}", "health_checks[0].timeout: is required"},
      {check("unhealthy_interval: 0s, tcp_health_check: {}"),
       "health_checks[0].unhealthy_interval: must be greater than 0s"},
      {check("http_health_check: {path: /, expected_statuses: [{start: 99, end: 200}]}"),
       "http_health_check.expected_statuses[0]: must be within [100, 600)"},
      {check("grpc_health_check: {}"), "grpc_health_check: needs a cluster that speaks HTTP/2"},
      {check("tcp_health_check: {send: {text: xyz}}"),
       "tcp_health_check.send.text: is not hexadecimal"},
      {check("http_health_check: {path: /, request_headers_to_add: [{header: {key: a, value: "
             "'%PROTOCOL%'}}]}"),
       "request_headers_to_add[0].header.value: substitutions are not supported"},
      {check("http_health_check: {path: /, send: {text: '00'}}"),
       "http_health_check.send: requests of checks have no body"},
      {check("http_health_check: {path: /, codec_client_type: HTTP3}"),
       "http_health_check.codec_client_type: HTTP/3 is not supported"},
      {check("custom_health_check: {name: envoy.health_checkers.redis}"),
       "custom_health_check: only HTTP, TCP and gRPC are supported"},
      {check("tcp_health_check: {}, alt_port: 80"),
       "alt_port: endpoints say in health_check_config where they are asked"},
      {check("tcp_health_check: {}, tls_options: {alpn_protocols: ['']}"),
       "tls_options.alpn_protocols[0]: must have from 1 to 255 bytes"},
      {check("http_health_check: {path: /, request_headers_to_add: [{header: {key: ':path', value: "
             "a}}]}"),
       "request_headers_to_add[0].header.key"},
  };
  for (const auto& [yaml, reason] : refused) EXPECT_THAT(refusal(yaml), HasSubstr(reason));
}

}  // namespace
}  // namespace remora::xds::translate
