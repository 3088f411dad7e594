#include "xds/translate/route_rewrite.h"

#include <gmock/gmock.h>

#include "proxy/router/context_match.h"
#include "xds/translate/route_test_support.h"

namespace remora::xds::translate {
namespace {

using router::ClusterAction;
using router::RouteMatch;
using testing::HasSubstr;

using RouteRewriteTest = RouteTest;

constexpr std::string_view kTemplate =
    "{path_match_policy: {name: m, typed_config: {'@type': "
    "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, "
    "path_template: '/{a}/x/{b=**}'}}}";

std::string by_template(std::string_view rewrite) {
  return "path_rewrite_policy: {name: r, typed_config: {'@type': "
         "type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3."
         "UriTemplateRewriteConfig, path_template_rewrite: '" +
         std::string(rewrite) + "'}}";
}

TEST_F(RouteRewriteTest, MatchesOnWhatElseIsKnown) {
  auto table = one_route(R"({
match: {prefix: /, cookies: [{name: a, string_match: {exact: v}, invert_match: true}],
        tls_context: {presented: true, validated: false},
        dynamic_metadata: [{filter: f, path: [{key: k}], value: {bool_match: true}}],
        filter_state: [{key: s, string_match: {prefix: p}}]},
route: {cluster: c, host_rewrite_path_regex: {pattern: {regex: "^/(.*)$"}, substitution: '\\1'}}})");
  ASSERT_NE(table, nullptr);
  const auto& match = first(table).match.context;
  ASSERT_NE(match, nullptr);
  EXPECT_TRUE(match->cookies.at(0).invert);
  EXPECT_EQ(match->certificate_presented, true);
  EXPECT_EQ(match->certificate_validated, false);
  EXPECT_EQ(match->metadata.at(0).filter, "f");
  EXPECT_EQ(match->filter_state.at(0).key, "s");
  EXPECT_NE(std::get<router::ClusterAction>(first(table).action).rewrites->host_rewrite_regex,
            nullptr);
}

TEST_F(RouteRewriteTest, ATemplateMatchesAndRewrites) {
  auto table = one_route("{match: " + std::string(kTemplate) + ", route: {cluster: c, " +
                         by_template("/{b}/{a}") + "}}");
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(first(table).match.kind, RouteMatch::Kind::Regex);
  const auto& action = std::get<ClusterAction>(first(table).action);
  std::string path = "/1/x/2/3";
  ASSERT_NE(action.rewrites->regex_rewrite, nullptr);
  re2::RE2::GlobalReplace(&path, *action.rewrites->regex_rewrite,
                          action.rewrites->regex_substitution);
  EXPECT_EQ(path, "/2/3/1");
}

TEST_F(RouteRewriteTest, FormatsAndWeightedHosts) {
  auto table = one_route(R"({match: {prefix: /}, route: {
path_rewrite: '/%REQ(x-a)%', host_rewrite: 'h-%REQ(x-b)%', weighted_clusters: {
  header_name: X-Number, clusters: [{name: a, weight: 1, host_rewrite_literal: h},
                                    {cluster_header: X-To, weight: 2}]}}})");
  ASSERT_NE(table, nullptr);
  const auto& action = std::get<ClusterAction>(first(table).action);
  EXPECT_NE(action.rewrites->path_rewrite, nullptr);
  EXPECT_NE(action.rewrites->host_rewrite, nullptr);
  EXPECT_EQ(action.weight_header, "x-number");
  EXPECT_EQ(action.weighted.at(0).host_rewrite_literal, "h");
  EXPECT_EQ(action.weighted.at(1).cluster_header, "x-to");
  auto redirect = one_route("{match: {prefix: /}, redirect: {path_rewrite: '/%REQ(x-a)%'}}");
  ASSERT_NE(redirect, nullptr);
  EXPECT_NE(std::get<router::RedirectAction>(first(redirect).action).path_rewrite, nullptr);
}

TEST_F(RouteRewriteTest, TheRuntimeMayHaveWeights) {
  google::protobuf::Struct layer;
  (*layer.mutable_fields())["w.b"].set_number_value(7);
  runtime.add_layer("l", &layer);
  auto table = one_route(
      "{match: {prefix: /}, route: {weighted_clusters: {runtime_key_prefix: w, clusters: "
      "[{name: a, weight: 1}, {name: b, weight: 2}]}}}");
  ASSERT_NE(table, nullptr);
  const auto& action = std::get<ClusterAction>(first(table).action);
  EXPECT_EQ(action.weighted.at(1).weight, 7u);
  EXPECT_EQ(action.total_weight, 8u);
}

TEST_F(RouteRewriteTest, WhatCannotBeHonouredIsRefusedWithItsPlace) {
  const std::string of_template = "{match: " + std::string(kTemplate) + ", ";
  const std::pair<std::string, std::string_view> refused[] = {
      {"{match: {prefix: /, cookies: [{name: a}]}, route: {cluster: c}}",
       "match.cookies[0].string_match: is required"},
      {"{match: {prefix: /}, route: {cluster: c, path_rewrite_policy: {name: t}}}",
       "route.path_rewrite_policy: needs a path_match_policy"},
      {of_template + "route: {cluster: c, " + by_template("/{c}") + "}}",
       "path_template_rewrite: names a variable that the match does not have"},
      {of_template + "route: {cluster: c, " + by_template("{a}") + "}}",
       "path_template_rewrite: must begin with '/'"},
      {of_template + "route: {cluster: c, prefix_rewrite: /a}}",
       "prefix_rewrite and path_match_policy exclude each other"},
      {of_template + "redirect: {prefix_rewrite: /a}}",
       "prefix_rewrite and path_match_policy exclude each other"},
      {"{match: {prefix: /}, route: {cluster: c, path_rewrite: a, prefix_rewrite: /a}}",
       "path_rewrite exclude each other"},
      {"{match: {prefix: /}, route: {cluster: c, path_rewrite: '%NOTHING%'}}",
       "route.path_rewrite: at position 0: command 'NOTHING': unknown"},
      {"{match: {prefix: /}, route: {cluster: c, host_rewrite: '%NOTHING%'}}",
       "route.host_rewrite: at position 0"},
      {"{match: {prefix: /}, route: {cluster: c, hash_policy: [{filter_state: {}}]}}",
       "route.hash_policy[0].filter_state.key: is required"},
      {"{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, cluster_header: b, "
       "weight: 1}]}}}",
       "weighted_clusters.clusters[0]: needs either name or cluster_header"},
  };
  for (const auto& [route, reason] : refused) {
    EXPECT_THAT(refusal(with_route(route)), HasSubstr(std::string(reason)));
  }
}

}  // namespace
}  // namespace remora::xds::translate
