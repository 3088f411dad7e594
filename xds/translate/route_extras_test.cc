#include "xds/translate/route_extras.h"

#include <gmock/gmock.h>

#include "xds/translate/route.h"
#include "xds/translate/test_support.h"

namespace remora::xds::translate {
namespace {

using envoy::config::route::v3::RouteConfiguration;
using testing::ElementsAre;
using testing::HasSubstr;

class RouteExtrasTest : public TranslateTest {
 protected:
  /// Of the only route, in the only host, of a table; each with what is given of it.
  absl::StatusOr<std::shared_ptr<const router::RouteExtras>> extras(std::string route,
                                                                    std::string host = "",
                                                                    std::string table = "") {
    auto built = routes(
        from_yaml<RouteConfiguration>("virtual_hosts: [{name: v, domains: ['*'], " + host +
                                      "routes: [{match: {prefix: /}, " + route + "}]}]\n" + table),
        context);
    if (!built.ok()) return built.status();
    return (*built)->input().hosts.at(0).routes.at(0).extras;
  }
  std::string refusal(const std::string& route) {
    auto built = extras(route);
    EXPECT_FALSE(built.ok()) << "accepted: " << route;
    return std::string(built.status().message());
  }
};

std::string with_mirrors(const std::string& list) {
  return "route: {cluster: c, request_mirror_policies: [" + list + "]}";
}

TEST_F(RouteExtrasTest, PlainRoutesHaveNone) {
  EXPECT_EQ(*extras("route: {cluster: c}"), nullptr);
  EXPECT_EQ(*extras("direct_response: {status: 200}"), nullptr);
}

TEST_F(RouteExtrasTest, MirrorsKeepWhatTheySay) {
  auto found = *extras(with_mirrors(
      "{cluster: m}, {cluster_header: X-To, runtime_fraction: {default_value: {numerator: 5}}, "
      "trace_sampled: false, disable_shadow_host_suffix_append: true, host_rewrite_literal: h}"));
  ASSERT_EQ(found->mirrors.size(), 2u);
  EXPECT_EQ(found->mirrors[0].cluster, "m");
  EXPECT_EQ(found->mirrors[0].fraction_per_million, 1'000'000u);
  EXPECT_TRUE(found->mirrors[0].appends_suffix);
  EXPECT_EQ(found->mirrors[1].cluster_header, "x-to");
  EXPECT_EQ(found->mirrors[1].fraction_per_million, 50'000u);
  EXPECT_FALSE(found->mirrors[1].appends_suffix);
  EXPECT_EQ(found->mirrors[1].host, "h");
}

TEST_F(RouteExtrasTest, TheMostSpecificLevelsMirrorsCount) {
  const auto cluster = [](const auto& found) { return found->mirrors.at(0).cluster; };
  const std::string host = "request_mirror_policies: [{cluster: of_host}], ";
  const std::string table = "request_mirror_policies: [{cluster: of_table}]";
  EXPECT_EQ(cluster(*extras("route: {cluster: c}", "", table)), "of_table");
  EXPECT_EQ(cluster(*extras("route: {cluster: c}", host, table)), "of_host");
  EXPECT_EQ(cluster(*extras(with_mirrors("{cluster: own}"), host, table)), "own");
}

TEST_F(RouteExtrasTest, MirrorsThatCannotBeAreRefused) {
  EXPECT_THAT(refusal(with_mirrors("{}")), HasSubstr("needs either cluster or cluster_header"));
  EXPECT_THAT(refusal(with_mirrors("{cluster: a, cluster_header: b}")), HasSubstr("needs either"));
  EXPECT_THAT(refusal(with_mirrors("{cluster: a, trace_sampled: true}")),
              HasSubstr("request_mirror_policies[0].trace_sampled: is not supported"));
  EXPECT_THAT(refusal(with_mirrors("{cluster: a, request_headers_mutations: [{remove: ':path'}]}")),
              HasSubstr("request_headers_mutations[0].remove"));
}

TEST_F(RouteExtrasTest, ClustersOfMirrorsAreValidatedLikeOthers) {
  context.has_cluster = [](const std::string& name) { return name == "c"; };
  auto built = extras(with_mirrors("{cluster: nobody}"), "", "validate_clusters: true");
  EXPECT_THAT(std::string(built.status().message()), HasSubstr("unknown cluster 'nobody'"));
}

TEST_F(RouteExtrasTest, RedirectPoliciesKeepWhatTheySay) {
  auto found = *extras(
      "route: {cluster: c, internal_redirect_policy: {max_internal_redirects: 4, "
      "redirect_response_codes: [303, 404, 301], allow_cross_scheme_redirect: true, "
      "response_headers_to_copy: [X-A], predicates: [{name: p, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.internal_redirect.allow_listed_routes.v3."
      "AllowListedRoutesConfig, allowed_route_names: [r]}}]}}");
  const router::InternalRedirectPolicy& policy = *found->redirects;
  EXPECT_EQ(policy.max_redirects, 4u);
  EXPECT_THAT(policy.codes, ElementsAre(303, 301));
  EXPECT_TRUE(policy.any_scheme);
  EXPECT_THAT(policy.to_copy, ElementsAre("x-a"));
  ASSERT_EQ(policy.predicates.size(), 1u);
  EXPECT_THAT(policy.predicates[0].routes, ElementsAre("r"));
}

TEST_F(RouteExtrasTest, RedirectsAreFollowedOnceAndFor302IfNothingElseIsSaid) {
  auto found = *extras("route: {cluster: c, internal_redirect_policy: {}}");
  EXPECT_EQ(found->redirects->max_redirects, 1u);
  EXPECT_THAT(found->redirects->codes, ElementsAre(302));
  found = *extras(
      "route: {cluster: c, internal_redirect_action: HANDLE_INTERNAL_REDIRECT, "
      "max_internal_redirects: 3}");
  EXPECT_EQ(found->redirects->max_redirects, 3u);
}

TEST_F(RouteExtrasTest, RedirectPoliciesThatCannotBeAreRefused) {
  const auto policy = [](const std::string& fields) {
    return "route: {cluster: c, internal_redirect_policy: {" + fields + "}}";
  };
  EXPECT_THAT(refusal(policy("redirect_response_codes: [301, 302, 303, 307, 308, 301]")),
              HasSubstr("has more than 5"));
  EXPECT_THAT(refusal(policy("response_headers_to_copy: [Host]")), HasSubstr("Hosts may not"));
  EXPECT_THAT(refusal(policy("response_headers_to_copy: [x-a, X-A]")), HasSubstr("is there twice"));
  EXPECT_THAT(refusal(policy("predicates: [{name: p, typed_config: {'@type': "
                             "type.googleapis.com/google.protobuf.Duration, value: 1s}}]")),
              HasSubstr("predicates[0].typed_config"));
}

TEST_F(RouteExtrasTest, NewerLimitsGoBeforeOlderOnesAndRoutesBeforeTheirHosts) {
  const auto limit = [&](const std::string& route, const std::string& host) {
    return *(*extras("route: {cluster: c}, " + route, host))->body_limit;
  };
  const std::string newer = "request_body_buffer_limit: ";
  const std::string older = "per_request_buffer_limit_bytes: ";
  EXPECT_EQ(limit(newer + "1", newer + "2, "), 1u);
  EXPECT_EQ(limit(older + "1", newer + "2, "), 2u);
  EXPECT_EQ(limit(older + "1", older + "2, "), 1u);
  EXPECT_EQ(limit("", older + "2, "), 2u);
  EXPECT_EQ(limit(newer + "1, " + older + "3", ""), 1u);
}

TEST_F(RouteExtrasTest, DirectAnswersMayHaveAFormat) {
  auto found =
      *extras("direct_response: {status: 200, body_format: {json_format: {a: '%RESPONSE_CODE%'}}}");
  EXPECT_EQ(found->direct->content_type, "application/json");
  found = *extras(
      "direct_response: {status: 200, body_format: {text_format_source: {inline_string: t}, "
      "content_type: text/html}}");
  EXPECT_EQ(found->direct->content_type, "text/html");
  EXPECT_THAT(refusal("direct_response: {status: 200, body_format: {text_format_source: "
                      "{inline_string: '%NO%'}}}"),
              HasSubstr("body_format"));
}

}  // namespace
}  // namespace remora::xds::translate
