#include "xds/translate/cluster.h"

#include <gmock/gmock.h>

#include "proxy/http2/session.h"
#include "xds/translate/cluster_test_support.h"
#include "xds/translate/endpoint.h"

namespace remora::xds::translate {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using upstream::Discovery;
using upstream::Health;
using upstream::HttpProtocol;
using upstream::LbPolicy;

class ClusterTest : public ClusterTranslateTest {};

constexpr std::string_view kOneHost =
    "load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: "
    "{socket_address: {address: 10.0.0.1, port_value: 80}}}}]}]}";

TEST_F(ClusterTest, StaticClusterWithDefaults) {
  auto config = compile("{name: a, " + std::string(kOneHost) + "}");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->discovery, Discovery::Static);
  EXPECT_EQ(config->lb, LbPolicy::RoundRobin);
  EXPECT_EQ(config->connect_timeout_ms, 5000u);
  EXPECT_EQ(config->protocol, HttpProtocol::Http1);
  EXPECT_FALSE(config->transport->secure());
  ASSERT_EQ(config->assignment.localities.size(), 1u);
  EXPECT_EQ(config->assignment.localities[0].endpoints[0]->address.to_string(), "10.0.0.1:80");
}

TEST_F(ClusterTest, StaticClusterWithoutEndpoints) {
  EXPECT_NE(compile("{name: BlackHoleCluster, type: STATIC, connect_timeout: 10s}"), nullptr);
}

TEST_F(ClusterTest, EdsClusterKnowsItsSource) {
  auto config = compile(
      "{name: a, alt_stat_name: 'a;', type: EDS, lb_policy: LEAST_REQUEST, connect_timeout: 10s, "
      "least_request_lb_config: {choice_count: 3}, common_lb_config: {locality_weighted_lb_config: "
      "{}, healthy_panic_threshold: {value: 12.5}}, eds_cluster_config: {service_name: s, "
      "eds_config: {ads: {}, initial_fetch_timeout: 0s, resource_api_version: V3}}}");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->discovery, Discovery::Eds);
  EXPECT_EQ(config->eds_service_name, "s");
  EXPECT_EQ(config->eds_source->kind, ConfigSource::Kind::Ads);
  EXPECT_EQ(config->eds_source->initial_fetch_timeout_ms, 0u);
  EXPECT_EQ(config->lb, LbPolicy::LeastRequest);
  EXPECT_EQ(config->choice_count, 3u);
  EXPECT_TRUE(config->locality_weighted);
  EXPECT_EQ(config->panic_threshold_percent, 12u);
}

TEST_F(ClusterTest, DnsClusterKeepsNamesAndRates) {
  auto config = compile(R"yaml(
name: a
type: STRICT_DNS
dns_lookup_family: V4_ONLY
dns_refresh_rate: 60s
dns_failure_refresh_rate: {base_interval: 2s}
dns_jitter: 0.1s
respect_dns_ttl: true
wait_for_warm_on_init: false
typed_dns_resolver_config:
  name: c
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig
    resolvers: [{socket_address: {address: 127.0.0.1, port_value: 53}}]
load_assignment:
  cluster_name: a
  endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: app.example, port_value: 8080}}}}]}]
)yaml");
  ASSERT_NE(config, nullptr);
  const auto& endpoint = *config->assignment.localities.at(0).endpoints.at(0);
  EXPECT_EQ(endpoint.hostname, "app.example");
  EXPECT_EQ(endpoint.address.port(), 8080);
  EXPECT_EQ(config->dns_family, upstream::DnsFamily::V4Only);
  EXPECT_EQ(config->dns_refresh_ms, 60'000u);
  EXPECT_EQ(config->dns_failure_base_ms, 2000u);
  EXPECT_EQ(config->dns_failure_max_ms, 20'000u);
  EXPECT_EQ(config->dns_jitter_ms, 100u);
  EXPECT_TRUE(config->respect_dns_ttl);
  EXPECT_FALSE(config->wait_for_warm_on_init);
  EXPECT_EQ(config->dns_servers.at(0).to_string(), "127.0.0.1:53");
}

TEST_F(ClusterTest, DnsClusterWithoutNamesHasNoHosts) {
  EXPECT_EQ(compile("{name: a, type: STRICT_DNS}")->discovery, Discovery::Static);
}

TEST_F(ClusterTest, EndpointsFromAdsNeedAds) {
  context.ads_configured = false;
  EXPECT_THAT(refusal("{name: a, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}"),
              HasSubstr("eds_cluster_config.eds_config.ads: needs dynamic_resources.ads_config"));
}

TEST_F(ClusterTest, OriginalDstClusterBindsAndCleansUp) {
  auto config = compile(
      "{name: inbound|8080||, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, cleanup_interval: "
      "9223372035s, original_dst_lb_config: {upstream_port_override: 8080}, upstream_bind_config: "
      "{source_address: {address: 127.0.0.6, port_value: 0}}}");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->lb, LbPolicy::ClusterProvided);
  EXPECT_EQ(config->cleanup_interval_ms, 9223372035'000u);
  EXPECT_EQ(config->original_dst_port_override, 8080);
  EXPECT_EQ(config->bind_to.ip_string(), "127.0.0.6");
}

TEST_F(ClusterTest, ProtocolOptionsOfEveryForm) {
  const std::string type =
      "typed_extension_protocol_options: "
      "{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': "
      "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, ";
  auto explicit_h2 = compile("{name: a, " + type +
                             "common_http_protocol_options: {idle_timeout: 5s, "
                             "max_requests_per_connection: 7}, explicit_http_config: "
                             "{http2_protocol_options: {max_concurrent_streams: 9}}}}}");
  EXPECT_EQ(explicit_h2->protocol, HttpProtocol::Http2);
  EXPECT_EQ(explicit_h2->http2->max_concurrent_streams, 9u);
  EXPECT_EQ(explicit_h2->idle_timeout_ms, 5000u);
  EXPECT_EQ(explicit_h2->max_requests_per_connection, 7u);
  auto explicit_h1 =
      compile("{name: a, " + type + "explicit_http_config: {http_protocol_options: {}}}}}");
  EXPECT_EQ(explicit_h1->protocol, HttpProtocol::Http1);
  auto as_downstream = compile("{name: a, " + type +
                               "use_downstream_protocol_config: {http_protocol_options: {}, "
                               "http2_protocol_options: {}}}}}");
  EXPECT_TRUE(as_downstream->use_downstream_protocol);
  EXPECT_EQ(as_downstream->protocol, HttpProtocol::Http2) << "for who has no downstream";
  EXPECT_EQ(compile("{name: a, http2_protocol_options: {}}")->protocol, HttpProtocol::Http2);
  EXPECT_EQ(compile("{name: a, max_requests_per_connection: 1}")->max_requests_per_connection, 1u);
}

TEST_F(ClusterTest, LimitsOfResponsesOfEitherProtocol) {
  auto config = compile(
      "{name: a, common_http_protocol_options: {max_headers_count: 7, max_response_headers_kb: 3, "
      "max_connection_duration: 10s, max_connection_duration_jitter: {value: 5}, "
      "max_stream_duration: 1.5s, headers_with_underscores_action: REJECT_REQUEST}, "
      "http2_protocol_options: {}}");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->max_response_headers, 7u);
  EXPECT_EQ(config->max_stream_duration_ms, 1500u);
  EXPECT_EQ(config->http2->max_headers, 7u);
  EXPECT_EQ(config->max_response_header_bytes, 3072u);
  EXPECT_EQ(config->http2->max_header_list_bytes, 3072u);
  EXPECT_EQ(config->max_connection_jitter_ms, 500u);
}

TEST_F(ClusterTest, RetriesAreAShareOfWhatIsInFlightUnlessANumberIsGiven) {
  for (const char* silent : {"{name: a}",
                             "{name: a, circuit_breakers: {thresholds: "
                             "[{max_requests: 5}]}}"}) {
    auto config = compile(silent);
    EXPECT_EQ(config->default_thresholds.retry_budget_percent, 20.0);
    EXPECT_EQ(config->default_thresholds.retry_budget_min_concurrency, 3u);
    EXPECT_EQ(config->high_thresholds.retry_budget_percent, 20.0);
  }
}

TEST_F(ClusterTest, LimitsByPriority) {
  auto config = compile(
      "{name: a, circuit_breakers: {thresholds: [{max_connections: 1, max_retries: 2, "
      "track_remaining: true}, {priority: HIGH, max_requests: 3, retry_budget: {budget_percent: "
      "{value: 25}}}, {max_connections: 99}], per_host_thresholds: [{max_connections: 5}]}, "
      "upstream_connection_options: {tcp_keepalive: "
      "{keepalive_time: 300}}, per_connection_buffer_limit_bytes: 32768}");
  EXPECT_EQ(config->default_thresholds.max_connections, 1u) << "the first of a priority counts";
  EXPECT_EQ(config->default_thresholds.max_retries, 2u);
  EXPECT_EQ(config->default_thresholds.retry_budget_percent, std::nullopt);
  EXPECT_EQ(config->default_thresholds.max_connections_per_host, 5u);
  EXPECT_EQ(config->high_thresholds.max_connections_per_host, UINT32_MAX);
  EXPECT_TRUE(config->default_thresholds.track_remaining);
  EXPECT_EQ(config->high_thresholds.max_requests, 3u);
  EXPECT_EQ(config->high_thresholds.retry_budget_percent, 25.0);
  EXPECT_EQ(config->high_thresholds.retry_budget_min_concurrency, 3u);
  EXPECT_TRUE(config->keepalive.enabled);
  EXPECT_EQ(config->keepalive.time_s, 300u);
  EXPECT_EQ(config->per_connection_buffer_limit, 32768u);
}

TEST_F(ClusterTest, PoliciesByExtension) {
  auto config = compile(R"yaml(
name: a
load_balancing_policy:
  policies:
  - typed_extension_config: {name: x, typed_config: {'@type': type.googleapis.com/a.b.C}}
  - typed_extension_config:
      name: second
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest
        choice_count: 5
)yaml");
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->lb, LbPolicy::LeastRequest);
  EXPECT_EQ(config->choice_count, 5u);
}

TEST_F(ClusterTest, PoliciesThatHash) {
  auto ring = compile(
      "{name: a, lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 7, "
      "maximum_ring_size: 9, hash_function: MURMUR_HASH_2}, common_lb_config: "
      "{consistent_hashing_lb_config: {use_hostname_for_hashing: true, hash_balance_factor: "
      "150}}}");
  ASSERT_NE(ring, nullptr);
  EXPECT_EQ(ring->lb, LbPolicy::RingHash);
  EXPECT_EQ(ring->hash.min_ring_size, 7u);
  EXPECT_EQ(ring->hash.max_ring_size, 9u);
  EXPECT_TRUE(ring->hash.murmur);
  EXPECT_TRUE(ring->hash.use_hostname);
  EXPECT_EQ(ring->hash.balance_factor_percent, 150u);
  auto maglev = compile("{name: a, lb_policy: MAGLEV, maglev_lb_config: {table_size: 101}}");
  ASSERT_NE(maglev, nullptr);
  EXPECT_EQ(maglev->lb, LbPolicy::Maglev);
  EXPECT_EQ(maglev->hash.table_size, 101u);
  EXPECT_EQ(compile("{name: a, lb_policy: MAGLEV}")->hash.table_size, 65537u);
}

TEST_F(ClusterTest, PoliciesThatHashAsExtensions) {
  const std::string policy =
      "{name: a, load_balancing_policy: {policies: [{typed_extension_config: {name: p, "
      "typed_config: {'@type': type.googleapis.com/envoy.extensions.load_balancing_policies.";
  auto ring = compile(policy +
                      "ring_hash.v3.RingHash, minimum_ring_size: 5, use_hostname_for_hashing: "
                      "true, locality_weighted_lb_config: {}}}}]}}");
  ASSERT_NE(ring, nullptr);
  EXPECT_EQ(ring->lb, LbPolicy::RingHash);
  EXPECT_EQ(ring->hash.min_ring_size, 5u);
  EXPECT_TRUE(ring->hash.use_hostname);
  EXPECT_TRUE(ring->locality_weighted);
  auto maglev = compile(policy +
                        "maglev.v3.Maglev, table_size: 11, consistent_hashing_lb_config: "
                        "{hash_balance_factor: 100}}}}]}}");
  ASSERT_NE(maglev, nullptr);
  EXPECT_EQ(maglev->lb, LbPolicy::Maglev);
  EXPECT_EQ(maglev->hash.table_size, 11u);
  EXPECT_EQ(maglev->hash.balance_factor_percent, 100u);
}

TEST_F(ClusterTest, OutlierDetection) {
  EXPECT_FALSE(compile("{name: a}")->outlier);
  const auto defaults = compile("{name: a, outlier_detection: {}}")->outlier;
  ASSERT_TRUE(defaults);
  EXPECT_EQ(defaults->interval_ms, 10'000u);
  EXPECT_EQ(defaults->max_ejection_ms, 300'000u);
  EXPECT_EQ(defaults->max_ejection_percent, 10u);
  const auto said = compile(R"yaml({name: a, outlier_detection: {consecutive_5xx: 1, interval: 2s,
base_ejection_time: 400s, max_ejection_percent: 100, enforcing_consecutive_5xx: 3,
enforcing_success_rate: 4, success_rate_minimum_hosts: 5, success_rate_request_volume: 6,
success_rate_stdev_factor: 7, consecutive_gateway_failure: 8,
enforcing_consecutive_gateway_failure: 9, split_external_local_origin_errors: true,
consecutive_local_origin_failure: 10, enforcing_consecutive_local_origin_failure: 11,
enforcing_local_origin_success_rate: 12, failure_percentage_threshold: 13,
enforcing_failure_percentage: 14, enforcing_failure_percentage_local_origin: 15,
failure_percentage_minimum_hosts: 16, failure_percentage_request_volume: 17,
max_ejection_time_jitter: 1s, always_eject_one_host: true}})yaml")
                        ->outlier;
  ASSERT_TRUE(said);
  EXPECT_EQ(said->base_ejection_ms, 400'000u);
  EXPECT_EQ(said->max_ejection_ms, 400'000u) << "no less than the base";
  EXPECT_EQ(said->max_jitter_ms, 1000u);
  EXPECT_EQ(said->consecutive_5xx, 1u);
  EXPECT_EQ(said->consecutive_gateway_failure, 8u);
  EXPECT_EQ(said->consecutive_local_origin_failure, 10u);
  EXPECT_TRUE(said->split_local_origin);
  EXPECT_TRUE(said->always_eject_one);
  EXPECT_EQ(said->success_rate_stdev_factor, 7u);
  EXPECT_EQ(said->failure_percentage_threshold, 13u);
  EXPECT_EQ(said->failure_percentage_request_volume, 17u);
  EXPECT_THAT(said->enforcing_percent, ElementsAre(3, 9, 11, 4, 12, 14, 15));
}

TEST_F(ClusterTest, TheRuntimeOverridesOutlierDetection) {
  Runtime runtime;
  const auto layer = from_yaml<google::protobuf::Struct>(
      "{outlier_detection: {consecutive_5xx: 2, interval_ms: 7, enforcing_success_rate: 0}}");
  runtime.add_layer("static", &layer);
  context.runtime = &runtime;
  const auto config = compile("{name: a, outlier_detection: {consecutive_5xx: 9}}")->outlier;
  ASSERT_TRUE(config);
  EXPECT_EQ(config->consecutive_5xx, 2u);
  EXPECT_EQ(config->interval_ms, 7u);
  EXPECT_THAT(config->enforcing_percent, ElementsAre(100, 0, 100, 0, 100, 0, 0));
}

TEST_F(ClusterTest, PlainTransportSocketsMayBeMatched) {
  const std::string raw =
      "{name: r, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}";
  EXPECT_NE(compile("{name: a, transport_socket: " + raw +
                    ", transport_socket_matches: [{name: m, match: {tlsMode: istio}, "
                    "transport_socket: " +
                    raw + "}]}"),
            nullptr);
}

TEST_F(ClusterTest, WhatCannotBeHonouredIsRefusedWithItsPlace) {
  const Refusal refused[] = {
      {"{}", "name: is required"},
      {"{name: a, connect_timeout: 0s}", "connect_timeout: must be greater than 0s"},
      {"{name: a, type: EDS}", "eds_cluster_config.eds_config: is required"},
      {"{name: a, type: EDS, eds_cluster_config: {eds_config: {}}}",
       "eds_cluster_config.eds_config: says no source"},
      {"{name: a, type: EDS, eds_cluster_config: {eds_config: {api_config_source: {api_type: REST, "
       "transport_api_version: V3}}}}",
       "api_config_source.api_type: only GRPC"},
      {"{name: a, type: STRICT_DNS, dns_refresh_rate: 0.001s, load_assignment: {cluster_name: a}}",
       "dns_refresh_rate: must be greater than 0.001s"},
      {"{name: a, cleanup_interval: 0s}", "cleanup_interval: must be greater than 0s"},
      {"{name: a, type: LOGICAL_DNS, load_assignment: {cluster_name: a}}", "single locality"},
      {"{name: a, type: ORIGINAL_DST}", "lb_policy: must be CLUSTER_PROVIDED"},
      {"{name: a, lb_policy: CLUSTER_PROVIDED}", "lb_policy: CLUSTER_PROVIDED is for"},
      {"{name: a, lb_policy: LEAST_REQUEST, least_request_lb_config: {choice_count: 1}}",
       "least_request_lb_config.choice_count: must be at least 2"},
      {"{name: a, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: "
       "{address: {socket_address: {address: a.example, port_value: 1}}}}]}]}}",
       "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: "
       "malformed IP address: a.example"},
      {"{name: a, lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 0}}",
       "ring_hash_lb_config.minimum_ring_size: must be from 1 to 8388608"},
      {"{name: a, lb_policy: RING_HASH, ring_hash_lb_config: {maximum_ring_size: 8388609}}",
       "ring_hash_lb_config.maximum_ring_size: must be from 1 to 8388608"},
      {"{name: a, lb_policy: RING_HASH, ring_hash_lb_config: {maximum_ring_size: 1000}}",
       "ring_hash_lb_config.minimum_ring_size: is above maximum_ring_size"},
      {"{name: a, lb_policy: MAGLEV, maglev_lb_config: {table_size: 65536}}",
       "maglev_lb_config.table_size: must be a prime number"},
      {"{name: a, lb_policy: MAGLEV, maglev_lb_config: {table_size: 5000012}}",
       "maglev_lb_config.table_size: is above 5000011"},
      {"{name: a, lb_policy: MAGLEV, common_lb_config: {consistent_hashing_lb_config: "
       "{hash_balance_factor: 99}}}",
       "consistent_hashing_lb_config.hash_balance_factor: must be at least 100"},
      {"{name: a, outlier_detection: {enforcing_failure_percentage: 101}}",
       "outlier_detection.enforcing_failure_percentage: must be from 0 to 100"},
      {"{name: a, outlier_detection: {base_ejection_time: 0s}}",
       "outlier_detection.base_ejection_time: must be greater than 0s"},
      {"{name: a, outlier_detection: {base_ejection_time: 5s, max_ejection_time: 4s}}",
       "outlier_detection.max_ejection_time: is below base_ejection_time"},
      {"{name: a, load_assignment: {endpoints: []}}", "load_assignment.cluster_name: is required"},
      {"{name: a, transport_socket: {name: t, typed_config: {'@type': "
       "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext}}}",
       "transport_socket.typed_config: unknown type "
       "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"},
      {"{name: a, filters: [{name: f, typed_config: {'@type': type.googleapis.com/a.b.C}}]}",
       "filters[0].typed_config: unknown type a.b.C"},
      {"{name: a, typed_extension_protocol_options: {x: {'@type': type.googleapis.com/a.b.C}}}",
       "typed_extension_protocol_options[\"x\"]: unknown type a.b.C"},
      {"{name: a, circuit_breakers: {thresholds: [{retry_budget: {budget_percent: {value: "
       "101}}}]}}",
       "circuit_breakers.thresholds[0].retry_budget.budget_percent: "},
      {"{name: a, circuit_breakers: {per_host_thresholds: [{max_requests: 1}]}}",
       "circuit_breakers.per_host_thresholds[0]: only max_connections is supported"},
      {"{name: a, upstream_bind_config: {source_address: {address: x, port_value: 0}}}",
       "upstream_bind_config.source_address.address: malformed"},
      {"{name: a, http2_protocol_options: {}, http_protocol_options: {}}", "exclude each other"},
      {"{name: a, common_http_protocol_options: {max_headers_count: 0}}",
       "common_http_protocol_options.max_headers_count: must be at least 1"},
      {"{name: a, http2_protocol_options: {max_outbound_frames: 0}}",
       "http2_protocol_options.max_outbound_frames: must be at least 1"},
      {"{name: a, typed_extension_protocol_options: "
       "{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': "
       "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, auto_config: "
       "{}}}}",
       "transport_socket: cannot negotiate ALPN, which auto_config needs"},
      {"{name: a, lb_subset_config: {subset_selectors: [{keys: [a], fallback_keys_subset: [a]}]}}",
       "lb_subset_config.subset_selectors[0].fallback_keys_subset: is for KEYS_SUBSET only"},
      {"{name: a, lb_subset_config: {subset_selectors: [{keys: [a], fallback_policy: "
       "KEYS_SUBSET}]}}",
       "lb_subset_config.subset_selectors[0].fallback_keys_subset: must not be empty"},
      {"{name: a, lb_subset_config: {subset_selectors: [{keys: [a, b], fallback_policy: "
       "KEYS_SUBSET, "
       "fallback_keys_subset: [b, a]}]}}",
       "fallback_keys_subset: must not be equal to keys"},
      {"{name: a, common_lb_config: {healthy_panic_threshold: {value: 200}}}",
       "common_lb_config.healthy_panic_threshold: "},
  };
  for (const Refusal& c : refused) {
    EXPECT_THAT(refusal(c.yaml), HasSubstr(std::string(c.reason)));
  }
}

TEST_F(ClusterTest, UnknownFieldsCountUnlessTheyDecide) {
  Cluster proto = from_yaml<Cluster>("{name: a}");
  proto.GetReflection()->MutableUnknownFields(&proto)->AddVarint(49, 1);
  EXPECT_TRUE(cluster(proto, context).ok());
  EXPECT_THAT(reported, ElementsAre("cluster 'a': 49: unknown field"));
  auto* subsets = proto.mutable_lb_subset_config();
  subsets->GetReflection()->MutableUnknownFields(subsets)->AddVarint(10, 1);
  EXPECT_EQ(cluster(proto, context).status().message(), "lb_subset_config.10: unknown field");
}

TEST_F(ClusterTest, WhatIgnoringIsAskedForIsNotReported) {
  set_policy(UnknownFieldPolicy::Kind::DynamicIgnore);
  Cluster proto = from_yaml<Cluster>("{name: a}");
  proto.GetReflection()->MutableUnknownFields(&proto)->AddVarint(49, 1);
  EXPECT_TRUE(cluster(proto, context).ok());
  EXPECT_THAT(reported, IsEmpty());
}

// ------------------------------------------------------------------------------------------------
TEST_F(ClusterTest, AssignmentKeepsLocalitiesWeightsAndHealth) {
  auto compiled = assignment(from_yaml<ClusterLoadAssignment>(R"yaml(
cluster_name: a
policy: {overprovisioning_factor: 200}
endpoints:
- locality: {region: r, zone: z, sub_zone: s}
  load_balancing_weight: 3
  priority: 1
  lb_endpoints:
  - endpoint: {hostname: h, address: {socket_address: {address: "::1", port_value: 80}}}
    health_status: DEGRADED
    load_balancing_weight: 5
    metadata: {filter_metadata: {envoy.transport_socket_match: {tlsMode: istio}}}
  - endpoint: {address: {pipe: {path: /run/x.sock}}}
    health_status: DRAINING
)yaml"),
                             context);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  EXPECT_EQ(compiled->overprovisioning_percent, 200u);
  const auto& locality = compiled->localities.at(0);
  EXPECT_EQ(locality.locality.zone, "z");
  EXPECT_EQ(locality.weight, 3u);
  EXPECT_EQ(locality.priority, 1u);
  EXPECT_EQ(locality.endpoints.at(0)->hostname, "h");
  EXPECT_EQ(locality.endpoints.at(0)->weight, 5u);
  EXPECT_EQ(locality.endpoints.at(0)->health, Health::Degraded);
  EXPECT_FALSE(locality.endpoints.at(0)->extras->metadata_key.empty());
  EXPECT_TRUE(locality.endpoints.at(1)->draining);
  EXPECT_EQ(locality.endpoints.at(1)->health, Health::Unhealthy);
  EXPECT_EQ(locality.endpoints.at(1)->address.to_string(), "/run/x.sock");
}

TEST_F(ClusterTest, AssignmentRefusals) {
  const Refusal refused[] = {
      {"{}", "cluster_name: is required"},
      {"{cluster_name: a, endpoints: [{priority: 129}]}", "endpoints[0].priority: is above 128"},
      {"{cluster_name: a, endpoints: [{lb_endpoints: [{}]}]}",
       "endpoints[0].lb_endpoints[0].endpoint: is required"},
      {"{cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {}}]}]}",
       "endpoint.address: is required"},
      {"{cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
       "{address: 1.2.3.4, port_value: 70000}}}}]}]}",
       "port_value: is above 65535"},
      {"{cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
       "{protocol: UDP, address: 1.2.3.4, port_value: 7}}}}]}]}",
       "protocol: only TCP"},
      {"{cluster_name: a, endpoints: [{load_balancing_weight: 4294967295}, {load_balancing_weight: "
       "1}]}",
       "endpoints: the sum of weights"},
      {"{cluster_name: a, policy: {overprovisioning_factor: 0}}", "overprovisioning_factor: "},
  };
  for (const Refusal& c : refused) {
    auto compiled = assignment(from_yaml<ClusterLoadAssignment>(c.yaml), context);
    EXPECT_THAT(std::string(compiled.status().message()), HasSubstr(std::string(c.reason)));
  }
}

}  // namespace
}  // namespace remora::xds::translate
