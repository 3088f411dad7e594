#include <gmock/gmock.h>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/peak_ewma.h"
#include "proxy/upstream/reported_weights.h"
#include "xds/translate/cluster_test_support.h"

namespace remora::xds::translate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using upstream::ClusterConfig;

class BalancingTest : public ClusterTranslateTest {};

TEST_F(BalancingTest, SubsetsAreCompiledFromBothForms) {
  const std::string subsets =
      "subset_selectors: [{keys: [b, a, b], fallback_policy: KEYS_SUBSET, fallback_keys_subset: "
      "[a]}, {keys: []}], fallback_policy: DEFAULT_SUBSET, default_subset: {a: 1}, list_as_any: "
      "true, metadata_fallback_policy: FALLBACK_LIST";
  const std::string round_robin =
      "{policies: [{typed_extension_config: {name: r, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin, "
      "slow_start_config: {slow_start_window: 9s}}}}]}";
  for (const std::string& yaml :
       {"{name: a, lb_subset_config: {" + subsets +
            "}, round_robin_lb_config: {slow_start_config: {slow_start_window: 9s}}}",
        "{name: a, load_balancing_policy: {policies: [{typed_extension_config: {name: s, "
        "typed_config: {'@type': "
        "type.googleapis.com/envoy.extensions.load_balancing_policies.subset.v3.Subset, " +
            subsets + ", subset_lb_policy: " + round_robin + "}}}]}}"}) {
    auto config = compile(yaml);
    ASSERT_NE(config, nullptr);
    const auto& balancing = upstream::balancing_of(*config);
    EXPECT_EQ(balancing.slow_start.window_ms, 9000u);
    ASSERT_NE(balancing.subsets, nullptr);
    ASSERT_EQ(balancing.subsets->selectors.size(), 1u);
    const auto& selector = balancing.subsets->selectors[0];
    EXPECT_THAT(selector.keys, ElementsAre("a", "b"));
    EXPECT_THAT(selector.fallback_keys, ElementsAre("a"));
    EXPECT_EQ(selector.fallback, upstream::SubsetSelector::Fallback::FewerKeys);
    EXPECT_EQ(balancing.subsets->fallback, upstream::SubsetFallback::DefaultSubset);
    EXPECT_EQ(balancing.subsets->default_subset, (MetadataStruct{{"a", 1.0}}));
    EXPECT_TRUE(balancing.subsets->list_as_any);
    EXPECT_TRUE(balancing.subsets->tries_fallback_list);
  }
}

TEST_F(BalancingTest, BalancingInDetail) {
  auto config = compile(
      "{name: a, lb_policy: LEAST_REQUEST, least_request_lb_config: {slow_start_config: "
      "{slow_start_window: 60s, aggression: {default_value: 2, runtime_key: k}, "
      "min_weight_percent: {value: 20}}}, common_lb_config: {zone_aware_lb_config: "
      "{routing_enabled: {value: 30}, min_cluster_size: 9, fail_traffic_on_panic: true}, "
      "update_merge_window: 0.5s, close_connections_on_host_set_change: true, "
      "override_host_status: {statuses: [DRAINING]}}}");
  ASSERT_NE(config, nullptr);
  const auto& balancing = upstream::balancing_of(*config);
  EXPECT_EQ(balancing.slow_start.window_ms, 60'000u);
  EXPECT_EQ(balancing.slow_start.aggression, 2);
  EXPECT_EQ(balancing.slow_start.min_weight, 0.2);
  EXPECT_EQ(balancing.zone_aware.routing_percent, 30u);
  EXPECT_EQ(balancing.zone_aware.min_cluster_size, 9u);
  EXPECT_TRUE(balancing.fail_traffic_on_panic);
  EXPECT_EQ(balancing.update_merge_window_ms, 500u);
  EXPECT_TRUE(balancing.close_connections_on_host_set_change);
  EXPECT_EQ(balancing.override_host_status,
            1u << static_cast<uint32_t>(upstream::EndpointStatus::Draining));
}

std::string by_policy(const std::string& config) {
  return "{name: a, load_balancing_policy: {policies: [{typed_extension_config: {name: p, "
         "typed_config: {'@type': type.googleapis.com/envoy.extensions.load_balancing_policies." +
         config + "}}}]}}";
}

TEST_F(BalancingTest, PoliciesThatMeasure) {
  const std::string weighted = "client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin";
  auto config = compile(
      by_policy(weighted +
                ", blackout_period: 1s, weight_expiration_period: 2s, weight_update_period: 0.01s, "
                "error_utilization_penalty: 0.5, metric_names_for_computing_utilization: [a, b], "
                "slow_start_config: {slow_start_window: 9s}"));
  ASSERT_NE(config, nullptr);
  const auto& reports = upstream::balancing_of(*config).reported_weights;
  ASSERT_NE(reports, nullptr);
  EXPECT_EQ(config->lb, upstream::LbPolicy::RoundRobin);
  EXPECT_EQ(reports->blackout_ms, 1000u);
  EXPECT_EQ(reports->expiration_ms, 2000u);
  EXPECT_EQ(reports->update_ms, 100u) << "not more often";
  EXPECT_EQ(reports->error_penalty, 0.5);
  EXPECT_THAT(reports->metrics, ElementsAre("a", "b"));
  EXPECT_EQ(upstream::balancing_of(*config).slow_start.window_ms, 9000u);
  EXPECT_THAT(refusal(by_policy(weighted + ", error_utilization_penalty: -1")),
              HasSubstr("error_utilization_penalty: must not be negative"));
  EXPECT_THAT(refusal(by_policy(weighted + ", enable_oob_load_report: true")),
              HasSubstr("enable_oob_load_report: is not supported"));

  config =
      compile(by_policy("peak_ewma.v3alpha.PeakEwma, decay_time: 3s, default_rtt: 0.02s, "
                        "penalty_value: 7, aggregation_interval: 1s"));
  ASSERT_NE(config, nullptr);
  const auto& peak = upstream::balancing_of(*config).peak_ewma;
  ASSERT_NE(peak, nullptr);
  EXPECT_EQ(peak->decay_ms, 3000);
  EXPECT_EQ(peak->default_answer_ms, 20);
  EXPECT_EQ(peak->penalty, 7);
}

TEST_F(BalancingTest, ConnectionsToHosts) {
  auto config = compile(
      "{name: a, preconnect_policy: {per_upstream_preconnect_ratio: 1.5, "
      "predictive_preconnect_ratio: 3}, upstream_connection_options: {happy_eyeballs_config: "
      "{first_address_family_version: V6, first_address_family_count: 2}}}");
  ASSERT_NE(config, nullptr);
  const auto& balancing = upstream::balancing_of(*config);
  EXPECT_EQ(balancing.preconnect.of_host, 1.5);
  EXPECT_EQ(balancing.preconnect.of_cluster, 3);
  EXPECT_EQ(balancing.address_order.first, Address::Family::V6);
  EXPECT_EQ(balancing.address_order.first_count, 2u);
  EXPECT_THAT(refusal("{name: a, preconnect_policy: {per_upstream_preconnect_ratio: 3.5}}"),
              HasSubstr("preconnect_policy.per_upstream_preconnect_ratio: must be from 1 to 3"));
  EXPECT_THAT(refusal("{name: a, preconnect_policy: {predictive_preconnect_ratio: 0}}"),
              HasSubstr("preconnect_policy.predictive_preconnect_ratio: must be from 1 to 3"));
  EXPECT_THAT(refusal("{name: a, upstream_connection_options: {happy_eyeballs_config: "
                      "{first_address_family_version: INTERNAL}}}"),
              HasSubstr("first_address_family_version: is not supported"));

  config = compile(
      "{name: a, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, original_dst_lb_config: "
      "{metadata_key: {key: f, path: [{key: a}, {key: b}]}}}");
  ASSERT_NE(config, nullptr);
  EXPECT_THAT(upstream::balancing_of(*config).original_dst_metadata, ElementsAre("f", "a", "b"));
}

TEST_F(BalancingTest, AdditionalAddresses) {
  const std::string endpoint =
      "load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: "
      "{socket_address: {address: 10.0.0.1, port_value: 80}}, additional_addresses: [{address: "
      "{socket_address: {address: '::1', port_value: 81}}}]}}]}]}}";
  auto config = compile("{name: a, type: STATIC, " + endpoint);
  ASSERT_NE(config, nullptr);
  const auto& only = *config->assignment.localities.at(0).endpoints.at(0);
  ASSERT_EQ(only.extras->more_addresses.size(), 1u);
  EXPECT_EQ(only.extras->more_addresses[0].to_string(), "[::1]:81");
  EXPECT_THAT(refusal("{name: a, type: STRICT_DNS, " + endpoint),
              HasSubstr("additional_addresses[0].address: is not for names"));
}

TEST_F(BalancingTest, AggregateClusters) {
  const std::string type =
      "cluster_type: {name: x, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [b, "
      "c]}}";
  auto config = compile("{name: a, lb_policy: CLUSTER_PROVIDED, " + type + "}");
  ASSERT_NE(config, nullptr);
  EXPECT_THAT(upstream::balancing_of(*config).members, ElementsAre("b", "c"));
  EXPECT_THAT(refusal("{name: a, " + type + "}"), HasSubstr("needs lb_policy CLUSTER_PROVIDED"));
  EXPECT_THAT(refusal("{name: a, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: x, "
                      "typed_config: {'@type': type.googleapis.com/google.protobuf.Empty}}}"),
              HasSubstr("cluster_type.typed_config: unknown type google.protobuf.Empty"));
}

}  // namespace
}  // namespace remora::xds::translate
