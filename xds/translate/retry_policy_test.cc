#include "xds/translate/retry_policy.h"

#include <gmock/gmock.h>

#include "proxy/router/retry_extras.h"
#include "xds/translate/test_support.h"

namespace remora::xds::translate {
namespace {

using envoy::config::route::v3::RouteAction;
using envoy::config::route::v3::VirtualHost;
using router::RetryPolicy;
using testing::ElementsAre;
using testing::HasSubstr;

class RetryPolicyTest : public TranslateTest {
 protected:
  std::string refusal(std::string_view yaml) {
    router::ClusterAction out;
    const auto status = set_retries(from_yaml<RouteAction>(yaml), context, &out, Path("route"));
    EXPECT_FALSE(status.ok()) << "accepted: " << yaml;
    return std::string(status.message());
  }
};

TEST_F(RetryPolicyTest, WhatFewPoliciesHaveIsKeptApart) {
  router::ClusterAction action;
  ASSERT_TRUE(set_retries(from_yaml<RouteAction>(R"yaml(
retry_policy:
  retry_on: "5xx,envoy-ratelimited,http3-post-connect-failure,retriable-headers"
  per_try_idle_timeout: 0.5s
  retriable_headers: [{name: X-Again, present_match: true}]
  retriable_request_headers: [{name: ':method', string_match: {exact: GET}}]
  rate_limited_retry_back_off:
    reset_headers: [{name: Retry-After}, {name: x-reset, format: UNIX_TIMESTAMP}]
    max_interval: 60s
  retry_priority: {name: p, typed_config: {
    '@type': type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig,
    update_frequency: 2}}
  retry_host_predicate:
  - {name: a, typed_config: {
    '@type': type.googleapis.com/envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate}}
  - {name: b, typed_config: {
    '@type': type.googleapis.com/envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig,
    metadata_match: {filter_metadata: {envoy.lb: {version: "2"}, other: {a: b}}}}}
hedge_policy: {initial_requests: 1, hedge_on_per_try_timeout: true}
)yaml"),
                          context, &action, Path("route"))
                  .ok());
  EXPECT_EQ(action.hedges, true);
  EXPECT_EQ(action.retry->on,
            RetryPolicy::k5xx | RetryPolicy::kEnvoyRatelimited | RetryPolicy::kRetriableHeaders);
  EXPECT_FALSE(action.retry->previous_hosts);
  ASSERT_NE(action.retry->extras, nullptr);
  const router::RetryExtras& extras = *action.retry->extras;
  EXPECT_EQ(extras.per_try_idle_ms, 500u);
  EXPECT_EQ(extras.retriable_headers.at(0).name, "x-again");
  EXPECT_EQ(extras.retriable_request_headers.at(0).name, ":method");
  ASSERT_EQ(extras.reset_headers.size(), 2u);
  EXPECT_EQ(extras.reset_headers[0].name, "retry-after");
  EXPECT_FALSE(extras.reset_headers[0].is_unix_time);
  EXPECT_TRUE(extras.reset_headers[1].is_unix_time);
  EXPECT_EQ(extras.reset_max_ms, 60'000u);
  EXPECT_EQ(extras.priority_update_frequency, 2u);
  EXPECT_TRUE(extras.avoids_canaries);
  EXPECT_THAT(extras.avoid_labels,
              ElementsAre(MetadataStruct{{"version", MetadataValue(std::string("2"))}}));
}

TEST_F(RetryPolicyTest, AVirtualHostHasTheSameToSay) {
  router::VirtualHost host;
  ASSERT_TRUE(set_retries(from_yaml<VirtualHost>("{retry_policy: {retry_on: reset}, "
                                                 "hedge_policy: {}}"),
                          context, &host, Path("vhost"))
                  .ok());
  EXPECT_EQ(host.retry->on, RetryPolicy::kReset);
  EXPECT_EQ(host.retry->extras, nullptr);
  EXPECT_EQ(host.hedges, false);
}

TEST_F(RetryPolicyTest, WhatCannotBeHonouredIsRefusedWithItsPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"hedge_policy: {initial_requests: 2}", "route.hedge_policy.initial_requests: "},
      {"hedge_policy: {additional_request_chance: {numerator: 1}}",
       "route.hedge_policy.additional_request_chance: "},
      {"retry_policy: {rate_limited_retry_back_off: {}}",
       "rate_limited_retry_back_off.reset_headers: must not be empty"},
      {"retry_policy: {rate_limited_retry_back_off: {reset_headers: [{name: 'a b'}]}}",
       "reset_headers[0].name: "},
      {"retry_policy: {rate_limited_retry_back_off: {reset_headers: [{name: a}], max_interval: "
       "0s}}",
       "rate_limited_retry_back_off.max_interval: "},
      {"retry_policy: {retry_priority: {name: p}}", "retry_priority.typed_config: is required"},
      {"retry_policy: {retry_priority: {typed_config: {'@type': "
       "type.googleapis.com/"
       "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig}}}",
       "retry_priority.typed_config.update_frequency: must be greater than 0"},
      {"retry_policy: {retry_host_predicate: [{name: p}]}",
       "retry_host_predicate[0].typed_config: is required"},
      {"retry_policy: {retry_host_predicate: [{typed_config: {'@type': "
       "type.googleapis.com/"
       "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig}}]}",
       "retry_host_predicate[0].typed_config: is not a "},
      {"retry_policy: {retriable_headers: [{name: ''}]}", "retriable_headers[0].name: "},
  };
  for (const auto& [yaml, reason] : cases) EXPECT_THAT(refusal(yaml), HasSubstr(reason));
}

}  // namespace
}  // namespace remora::xds::translate
