#include "xds/translate/tls_context.h"

#include <gmock/gmock.h>

#include "xds/translate/cluster.h"
#include "xds/translate/test_pem.h"
#include "xds/translate/test_support.h"
#include "xds/translate/transport_socket.h"

namespace remora::xds::translate {
namespace {

using testing::HasSubstr;
namespace proto = envoy::extensions::transport_sockets::tls::v3;

constexpr char kOwn[] = "tls_certificate_sds_secret_configs: [{name: own, sds_config: {ads: {}}}]";

class TlsContextTest : public TranslateTest {
 protected:
  absl::StatusOr<TlsPlan> server(std::string_view yaml) {
    return downstream_tls(from_yaml<proto::DownstreamTlsContext>(yaml), "listener.a", context,
                          Path());
  }
  absl::StatusOr<TlsPlan> client(std::string_view yaml) {
    return upstream_tls(from_yaml<proto::UpstreamTlsContext>(yaml), "cluster.a", context, Path());
  }

  static Secret own() {
    Secret secret;
    secret.kind = SecretKind::Certificate;
    secret.name = "own";
    secret.certificate.chain_pem = kLeafPem;
    secret.certificate.key_pem = tls::Sensitive(kLeafKey);
    return secret;
  }
  static Secret roots(std::string_view pem) {
    Secret secret;
    secret.kind = SecretKind::Validation;
    secret.name = "ROOTCA";
    secret.validation.source = "<inline>";
    if (!pem.empty())
      secret.validation.proto.mutable_trusted_ca()->set_inline_bytes(std::string(pem));
    return secret;
  }
};

TEST_F(TlsContextTest, WhatIstioSendsIsUnderstood) {
  auto plan = server(R"(
    common_tls_context:
      tls_params:
        tls_minimum_protocol_version: TLSv1_2
        tls_maximum_protocol_version: TLSv1_3
        cipher_suites: [ECDHE-ECDSA-AES256-GCM-SHA384]
      alpn_protocols: [istio-peer-exchange, h2, http/1.1]
      tls_certificate_sds_secret_configs:
      - name: default
        sds_config:
          api_config_source:
            api_type: GRPC
            transport_api_version: V3
            set_node_on_first_message_only: true
            grpc_services: [{envoy_grpc: {cluster_name: sds-grpc}}]
          initial_fetch_timeout: 0s
          resource_api_version: V3
      combined_validation_context:
        default_validation_context: {match_subject_alt_names: [{prefix: "spiffe://cluster.local/"}]}
        validation_context_sds_secret_config: {name: ROOTCA, sds_config: {ads: {}}}
    require_client_certificate: true
  )");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->server.require_client_certificate);
  EXPECT_EQ(plan->server.min_version, tls::Version::Tls12);
  EXPECT_EQ(plan->server.alpn.size(), 3u);
  ASSERT_EQ(plan->refs().size(), 2u);
  EXPECT_EQ(plan->refs()[0].name, "default");
  EXPECT_EQ(plan->refs()[0].source.cluster, "sds-grpc");
  EXPECT_EQ(plan->refs()[0].source.initial_fetch_timeout_ms, 0u);
  EXPECT_EQ(plan->refs()[1].kind, SecretKind::Validation);
}

TEST_F(TlsContextTest, AContextWaitsForAllItsSecrets) {
  auto plan =
      server("{common_tls_context: {" + std::string(kOwn) +
             ", validation_context_sds_secret_config: {name: ROOTCA, sds_config: {ads: {}}}}}");
  ASSERT_TRUE(plan.ok()) << plan.status();
  const Secret certificate = own();
  const Secret bundle = roots(kRootPem);
  auto without = make_context(
      *plan, [&](const SecretRef& ref) { return ref.name == "own" ? &certificate : nullptr; },
      context);
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_EQ(*without, nullptr);
  auto with = make_context(
      *plan, [&](const SecretRef& ref) { return ref.name == "own" ? &certificate : &bundle; },
      context);
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_NE(*with, nullptr);
}

TEST_F(TlsContextTest, ValidationThatCameWithoutRootsIsRefused) {
  auto plan =
      server("{common_tls_context: {" + std::string(kOwn) +
             ", validation_context_sds_secret_config: {name: ROOTCA, sds_config: {ads: {}}}}}");
  ASSERT_TRUE(plan.ok()) << plan.status();
  const Secret certificate = own();
  const Secret nothing = roots("");
  auto made = make_context(
      *plan, [&](const SecretRef& ref) { return ref.name == "own" ? &certificate : &nothing; },
      context);
  EXPECT_THAT(std::string(made.status().message()), HasSubstr("trusted_ca is required"));
}

TEST_F(TlsContextTest, SecretsOfTheBootstrapAreTakenByName) {
  tls.secrets = {own(), roots(kRootPem)};
  auto plan = server(
      "{common_tls_context: {tls_certificate_sds_secret_configs: [{name: own}], "
      "validation_context_sds_secret_config: {name: ROOTCA}}}");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->refs().empty());
  EXPECT_EQ(plan->certificates.size(), 1u);
  auto unknown =
      server("{common_tls_context: {tls_certificate_sds_secret_configs: [{name: other}]}}");
  EXPECT_EQ(
      unknown.status().message(),
      "common_tls_context.tls_certificate_sds_secret_configs[0]: Unknown static secret: other");
}

TEST_F(TlsContextTest, WhatCannotBeHonouredIsRefusedAtItsField) {
  const std::string certificate(kOwn);
  const std::pair<std::string, std::string> servers[] = {
      {"{}", "common_tls_context: No TLS certificates found for server context"},
      {"{common_tls_context: {" + certificate + ", alpn_protocols: ['']}}",
       "common_tls_context.alpn_protocols[0]: "},
      {"{common_tls_context: {" + certificate +
           ", tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: "
           "TLSv1_2}}}",
       "common_tls_context.tls_params: "},
      {"{common_tls_context: {" + certificate + "}, session_timeout: -1s}", "session_timeout: "},
      {"{common_tls_context: {" + certificate +
           ", combined_validation_context: {default_validation_context: {}}}}",
       "combined_validation_context.validation_context_sds_secret_config: is required"},
      {"{common_tls_context: {tls_certificate_sds_secret_configs: [{sds_config: {ads: {}}}]}}",
       "[0].name: is required"},
  };
  for (const auto& [yaml, reason] : servers) {
    EXPECT_THAT(std::string(server(yaml).status().message()), HasSubstr(reason)) << yaml;
  }
  const std::pair<std::string, std::string> clients[] = {
      {"{allow_renegotiation: true}", "allow_renegotiation: "},
      {"{sni: " + std::string(256, 'a') + "}", "sni: is above 255 bytes"},
      {"{common_tls_context: {tls_certificate_sds_secret_configs: [{name: a, sds_config: {ads: "
       "{}}}, {name: b, "
       "sds_config: {ads: {}}}]}}",
       "common_tls_context: Multiple TLS certificates are not supported for client contexts"},
  };
  for (const auto& [yaml, reason] : clients) {
    EXPECT_THAT(std::string(client(yaml).status().message()), HasSubstr(reason)) << yaml;
  }
}

TEST_F(TlsContextTest, EachSideHasItsOwnContext) {
  auto socket = from_yaml<envoy::config::core::v3::TransportSocket>(R"(
    name: tls
    typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: a.example}
  )");
  const TransportUser upstream = {TransportUser::Side::Upstream, "cluster.a"};
  auto made = transport_socket(socket, upstream, context, Path());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_TRUE((*made)->secure());
  EXPECT_EQ(tls.last.client.sni, "a.example");
  const TransportUser downstream = {TransportUser::Side::Downstream, "listener.a"};
  EXPECT_THAT(std::string(transport_socket(socket, downstream, context, Path()).status().message()),
              HasSubstr("typed_config: unknown type"));
}

TEST_F(TlsContextTest, AHostIsReachedByTheFirstTransportThatMatchesIt) {
  auto compiled = cluster(from_yaml<envoy::config::cluster::v3::Cluster>(R"(
    name: a
    type: STATIC
    transport_socket_matches:
    - name: tls
      match: {tlsMode: istio}
      transport_socket:
        name: tls
        typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}
    - name: plain
      match: {}
      transport_socket:
        name: plain
        typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}
    load_assignment:
      cluster_name: a
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}
          metadata: {filter_metadata: {envoy.transport_socket_match: {tlsMode: istio, other: 1}}}
        - endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 80}}}
        - endpoint: {address: {socket_address: {address: 10.0.0.3, port_value: 80}}}
          metadata: {filter_metadata: {envoy.transport_socket_match: {tlsMode: [disabled, istio]}}}
  )"),
                          context);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  const auto& config = **compiled;
  const auto& endpoints = config.assignment.localities[0].endpoints;
  EXPECT_EQ(config.transport_for(endpoints[0]->extras->transport_labels), 1u);
  EXPECT_EQ(config.transport_for(endpoints[1]->extras->transport_labels), 2u);
  EXPECT_EQ(config.transport_for(endpoints[2]->extras->transport_labels), 1u)
      << "one of a list is enough";
  EXPECT_TRUE(config.transport_matches[0].transport->secure());
}

TEST_F(TlsContextTest, RequestsMayNameTheServer) {
  auto compiled = cluster(from_yaml<envoy::config::cluster::v3::Cluster>(R"(
    name: a
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http_protocol_options: {}}
        upstream_http_protocol_options: {auto_sni: true, auto_san_validation: true, override_auto_sni_header: X-Name}
  )"),
                          context);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  EXPECT_TRUE((*compiled)->auto_sni);
  EXPECT_TRUE((*compiled)->auto_san_validation);
  EXPECT_EQ((*compiled)->auto_sni_header, "x-name");
}

}  // namespace
}  // namespace remora::xds::translate
