#include "xds/translate/bootstrap.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <fstream>

#include "xds/translate/test_support.h"

namespace remora::xds::translate {
namespace {

using stats::StatsConfig;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class BootstrapTest : public TranslateTest {
 protected:
  BootstrapTest() {
    set_policy(UnknownFieldPolicy::Kind::StaticRefuse);
    input.on_unknown = [this](std::string text) { reported.push_back(std::move(text)); };
  }
  absl::StatusOr<BootstrapConfig> load(std::string_view yaml) {
    input.yaml = yaml;
    return load_bootstrap(input);
  }
  std::string refusal(std::string_view yaml) {
    auto config = load(yaml);
    absl::Status status = config.status();
    if (config.ok()) status = static_resources(*config, context).status();
    EXPECT_FALSE(status.ok()) << "accepted: " << yaml;
    return std::string(status.message());
  }
  BootstrapInput input;
};

// What an Istio agent writes, with the parts that repeat left out.
constexpr std::string_view kAgent = R"yaml(
application_log_config: {log_format: {text_format: "%Y-%m-%dT%T.%fZ %l envoy %n %g:%# %v thread=%t"}}
node: {id: "sidecar~127.0.0.11~app-a-1.default~default.svc.cluster.local", cluster: app-a.default,
       metadata: {CLUSTER_ID: Kubernetes, PROXY_CONFIG: {statusPort: 15020}, PILOT_SAN: [istiod]}}
layered_runtime:
  layers:
  - {name: global config, static_layer: {re2.max_program_size.error_level: 32768,
     envoy.reloadable_features.http_reject_path_with_fragment: false}}
  - {name: admin, admin_layer: {}}
bootstrap_extensions:
- name: envoy.bootstrap.internal_listener
  typed_config:
    '@type': type.googleapis.com/udpa.type.v1.TypedStruct
    type_url: type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener
    value: {buffer_size_kb: 64}
stats_config:
  use_all_default_tags: false
  stats_tags:
  - {tag_name: cluster_name, regex: '^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)'}
  - {tag_name: fixed, fixed_value: v}
  stats_matcher: {inclusion_list: {patterns: [{prefix: cluster_manager}, {suffix: rbac.allowed},
                  {safe_regex: {regex: 'vhost\..*\.route\..*'}}]}}
admin:
  profile_path: /var/lib/istio/data/envoy.prof
  address: {socket_address: {address: 127.0.0.1, port_value: 15000}}
dynamic_resources:
  lds_config: {ads: {}, initial_fetch_timeout: 0s, resource_api_version: V3}
  cds_config: {ads: {}, initial_fetch_timeout: 0s, resource_api_version: V3}
  ads_config: {api_type: DELTA_GRPC, set_node_on_first_message_only: true, transport_api_version: V3,
               grpc_services: [{envoy_grpc: {cluster_name: xds-grpc}}]}
static_resources:
  clusters:
  - name: xds-grpc
    alt_stat_name: "xds-grpc;"
    type: STATIC
    connect_timeout: 1s
    lb_policy: ROUND_ROBIN
    load_assignment: {cluster_name: xds-grpc, endpoints: [{lb_endpoints: [
      {endpoint: {address: {pipe: {path: ./etc/istio/proxy/XDS}}}}]}]}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
  listeners:
  - name: 0.0.0.0_15090
    address: {socket_address: {protocol: TCP, address: 0.0.0.0, port_value: 15090}}
    ignore_global_conn_limit: true
    bypass_overload_manager: true
    filter_chains: [{filters: [{name: t, typed_config: {
      '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy,
      stat_prefix: agent, cluster: xds-grpc}}]}]
overload_manager:
  resource_monitors:
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
      max_active_downstream_connections: 2147483647
deferred_stat_options: {enable_deferred_creation_stats: true}
)yaml";

TEST_F(BootstrapTest, WhatAnAgentWritesIsUnderstood) {
  auto config = load(kAgent);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(reported, IsEmpty());
  EXPECT_EQ(config->node.cluster, "app-a.default");
  EXPECT_EQ(config->admin_address->to_string(), "127.0.0.1:15000");
  ASSERT_TRUE(config->ads.has_value());
  EXPECT_EQ(config->ads->kind, ConfigSource::Kind::DeltaGrpc);
  EXPECT_EQ(config->ads->cluster, "xds-grpc");
  EXPECT_TRUE(config->ads->set_node_on_first_message_only);
  EXPECT_EQ(config->lds->kind, ConfigSource::Kind::Ads);
  EXPECT_EQ(config->cds->initial_fetch_timeout_ms, 0u);
  EXPECT_FALSE(config->stats.use_all_default_tags);
  EXPECT_EQ(config->stats.tags.at(0).kind, StatsConfig::TagRule::Kind::Regex);
  EXPECT_EQ(config->stats.tags.at(1).kind, StatsConfig::TagRule::Kind::Fixed);
  EXPECT_EQ(config->stats.selection, StatsConfig::Selection::Include);
  EXPECT_EQ(config->stats.patterns.size(), 3u);
  EXPECT_EQ(config->runtime.number("re2.max_program_size.error_level"), 32768);
  EXPECT_THAT(config->runtime.layers(), ElementsAre("global config", "admin"));
  EXPECT_EQ(config->max_active_downstream_connections, 2147483647u);
  EXPECT_THAT(config->log_format, HasSubstr("envoy %n"));

  auto statics = static_resources(*config, context);
  ASSERT_TRUE(statics.ok()) << statics.status();
  EXPECT_EQ(statics->clusters.at(0)->protocol, upstream::HttpProtocol::Http2);
  EXPECT_EQ(statics->clusters.at(0)->alt_stat_name, "xds-grpc;");
  EXPECT_TRUE(statics->listeners.at(0)->ignore_global_connection_limit);
}

TEST_F(BootstrapTest, FlagsHaveTheLastWordAboutTheNodeAndAddTags) {
  input.service_node = "n";
  input.service_cluster = "c";
  input.service_zone = "z";
  input.stats_tags = {{"pod", "a-1"}};
  auto config = load("{node: {id: written, cluster: written, locality: {region: r, zone: old}}}");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->node.id, "n");
  EXPECT_EQ(config->node.cluster, "c");
  EXPECT_EQ(config->node.region, "r");
  EXPECT_EQ(config->node.zone, "z");
  EXPECT_EQ(config->proto.node().locality().zone(), "z");
  EXPECT_EQ(config->stats.tags.at(0).value, "a-1");
  EXPECT_FALSE(config->admin_address.has_value());
}

TEST_F(BootstrapTest, YamlIsMergedOverTheFile) {
  input.path = testing::TempDir() + "/bootstrap_test.json";
  std::ofstream(input.path) << R"({"node": {"id": "file", "cluster": "c"},
      "static_resources": {"clusters": [{"name": "a"}]}})";
  auto config = load("{node: {id: flag}, static_resources: {clusters: [{name: b}]}}");
  std::remove(input.path.c_str());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->node.id, "flag");
  EXPECT_EQ(config->node.cluster, "c");
  EXPECT_EQ(config->proto.static_resources().clusters_size(), 2) << "lists are appended";
}

TEST_F(BootstrapTest, UnknownFieldsAreRefusedUnlessAllowed) {
  EXPECT_THAT(refusal("nonesuch: {}"), HasSubstr("nonesuch: unknown field"));
  EXPECT_THAT(refusal("static_resources: {clusters: [{name: a, lb_policy: ODD}]}"),
              HasSubstr("static_resources.clusters[0].lb_policy: unknown enum value ODD"));
  input.policy.kind = UnknownFieldPolicy::Kind::StaticAccept;
  EXPECT_TRUE(load("nonesuch: {}").ok());
  EXPECT_THAT(reported, ElementsAre("bootstrap: nonesuch: unknown field"));
}

TEST_F(BootstrapTest, WhatCannotBeHonouredIsRefusedWithItsPlace) {
  const Refusal refused[] = {
      {"admin: {address: {socket_address: {address: x, port_value: 1}}}",
       "admin.address.socket_address.address: malformed"},
      {"dynamic_resources: {cds_config: {ads: {}}}",
       "dynamic_resources.cds_config.ads: needs dynamic_resources.ads_config"},
      {"dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: "
       "[{envoy_grpc: {cluster_name: x}}]}}",
       "node: id and cluster are required"},
      {"{node: {id: a, cluster: b}, dynamic_resources: {ads_config: {api_type: GRPC, "
       "transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: x}}]}}}",
       "dynamic_resources.ads_config: unknown cluster 'x'"},
      {"dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V2}}",
       "dynamic_resources.ads_config.transport_api_version: must be V3"},
      {"layered_runtime: {layers: [{name: a, admin_layer: {}}, {name: a, admin_layer: {}}]}",
       "layered_runtime.layers[1].name: is used twice"},
      {"layered_runtime: {layers: [{name: a}]}", "layered_runtime.layers[0]: has no layer"},
      {"stats_config: {stats_tags: [{tag_name: a, regex: '('}]}",
       "stats_config.stats_tags[0].regex: invalid regular expression"},
      {"stats_config: {stats_tags: [{tag_name: a, regex: 'a'}]}", "needs a group"},
      {"stats_config: {stats_matcher: {inclusion_list: {}}}",
       "stats_config.stats_matcher.inclusion_list.patterns: must not be empty"},
      {"stats_config: {histogram_bucket_settings: [{match: {prefix: a}, buckets: [1, 1]}]}",
       "histogram_bucket_settings[0].buckets: must be unique"},
      {"overload_manager: {resource_monitors: [{name: x, typed_config: {'@type': "
       "type.googleapis.com/a.b.C}}]}",
       "overload_manager.resource_monitors[0].typed_config: unknown type a.b.C"},
      {"bootstrap_extensions: [{name: x, typed_config: {'@type': type.googleapis.com/a.b.C}}]",
       "bootstrap_extensions[0].typed_config: unknown type a.b.C"},
      {"static_resources: {clusters: [{name: app, connect_timeout: -1s}]}",
       "cluster 'app': static_resources.clusters[0].connect_timeout: must not be negative"},
      {"static_resources: {clusters: [{name: app}, {name: app}]}",
       "static_resources.clusters[1]: duplicate cluster 'app'"},
      {"static_resources: {listeners: [{name: in}]}",
       "listener 'in': static_resources.listeners[0].address: is required"},
      {"stats_flush_interval: 0s", "stats_flush_interval: must be from"},
  };
  for (const Refusal& c : refused) {
    EXPECT_THAT(refusal(c.yaml), HasSubstr(std::string(c.reason)));
  }
  EXPECT_THAT(refusal(""), HasSubstr("no configuration"));
  input.path = "/nonesuch.yaml";
  EXPECT_THAT(refusal(""), HasSubstr("unable to read file: /nonesuch.yaml"));
}

TEST_F(BootstrapTest, LaterRuntimeLayersWin) {
  auto config = load(
      "layered_runtime: {layers: [{name: a, static_layer: {x: {y: 1, z: true}, w: t}}, {name: b, "
      "static_layer: {x.y: 2}}]}");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->runtime.number("x.y"), 2);
  EXPECT_EQ(config->runtime.truth("x.z"), true);
  EXPECT_EQ(config->runtime.number("w"), std::nullopt);
  EXPECT_THAT(config->runtime.texts(),
              ElementsAre(Pair("w", ElementsAre("t", "")), Pair("x.y", ElementsAre("1", "2")),
                          Pair("x.z", ElementsAre("true", ""))));
}

}  // namespace
}  // namespace remora::xds::translate
