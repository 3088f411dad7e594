#include "xds/translate/match_tree.h"

#include <gmock/gmock.h>

#include "proxy/base/arena.h"
#include "proxy/http/stream_info.h"
#include "proxy/stats/store.h"
#include "xds/translate/route_test_support.h"

namespace remora::xds::translate {
namespace {

using testing::HasSubstr;

class MatchTreeTest : public RouteTest {
 protected:
  MatchTreeTest() { info_.connection = &connection_; }

  std::string choose(const router::RouteTable& table, std::string_view path,
                     std::vector<std::string_view> headers = {}) {
    http::HeaderMap request(arena_);
    request.add(http::HeaderId::Method, "GET");
    request.add(http::HeaderId::Path, path);
    for (size_t i = 0; i + 1 < headers.size(); i += 2) request.add(headers[i], headers[i + 1]);
    return std::string(table.decide(request, 0, &info_).cluster);
  }
  static std::string with_matcher(std::string_view matcher) {
    return "virtual_hosts: [{name: v, domains: ['*'], matcher: " + std::string(matcher) + "}]";
  }

  BlockPool pool_;
  Arena arena_{pool_};
  ConnectionFacts connection_;
  http::StreamInfo info_;
};

constexpr std::string_view kHeader =
    "{name: i, typed_config: {'@type': "
    "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: X-A}}";

std::string to_route(std::string_view cluster, std::string_view prefix = "/") {
  return "{action: {name: r, typed_config: {'@type': "
         "type.googleapis.com/envoy.config.route.v3.Route, match: {prefix: " +
         std::string(prefix) + "}, route: {cluster: " + std::string(cluster) + "}}}}";
}

TEST_F(MatchTreeTest, AMapOfValuesFindsTheRoute) {
  auto table = compile(with_matcher("{matcher_tree: {input: " + std::string(kHeader) +
                                    ", exact_match_map: {map: {one: " + to_route("first", "/a") +
                                    ", two: " + to_route("second") +
                                    "}}}, on_no_match: " + to_route("rest") + "}"));
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(choose(*table, "/a", {"x-a", "one"}), "first");
  EXPECT_EQ(choose(*table, "/b", {"x-a", "one"}), "") << "the route found does not match";
  EXPECT_EQ(choose(*table, "/b", {"x-a", "two"}), "second");
  EXPECT_EQ(choose(*table, "/b", {"x-a", "three"}), "rest");
  EXPECT_EQ(choose(*table, "/b"), "rest");
  EXPECT_EQ(table->clusters(), (std::vector<std::string>{"first", "rest", "second"}));
}

TEST_F(MatchTreeTest, AListOfConditionsFindsAListOfRoutes) {
  auto table = compile(with_matcher(
      "{matcher_list: {matchers: [{predicate: {single_predicate: {input: {name: i, typed_config: "
      "{'@type': type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3."
      "FilterStateInput, key: k}}, value_match: {prefix: v}}}, on_match: {action: {name: r, "
      "typed_config: {'@type': type.googleapis.com/envoy.config.route.v3.RouteList, routes: ["
      "{match: {prefix: /a}, route: {cluster: one}}, {match: {prefix: /}, route: {cluster: two}}"
      "]}}}}]}}"));
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(choose(*table, "/a"), "") << "there is no such state, and nothing besides";
  info_.filter_state.set("k", "value");
  EXPECT_EQ(choose(*table, "/a"), "one");
  EXPECT_EQ(choose(*table, "/b"), "two");
}

TEST_F(MatchTreeTest, WhatCannotBeHonouredIsRefusedWithItsPlace) {
  const std::string port =
      "{name: i, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.SourcePortInput}}";
  const std::pair<std::string, std::string_view> refused[] = {
      {"{on_no_match: {action: {name: r, typed_config: {'@type': "
       "type.googleapis.com/envoy.config.route.v3.Decorator}}}}",
       "matcher.on_no_match.action.typed_config: unknown type"},
      {"{matcher_tree: {input: " + port + ", exact_match_map: {map: {a: " + to_route("c") + "}}}}",
       "matcher.matcher_tree.input.typed_config: unknown type"},
  };
  for (const auto& [matcher, reason] : refused) {
    EXPECT_THAT(refusal(with_matcher(matcher)), HasSubstr(std::string(reason)));
  }
  EXPECT_THAT(refusal("virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, "
                      "route: {cluster: c}}], matcher: {on_no_match: " +
                      to_route("c") + "}}]"),
              HasSubstr("routes and matcher exclude each other"));
}

TEST_F(MatchTreeTest, VirtualClustersAndRoutesAreCountedByThemselves) {
  auto table = compile(
      "virtual_hosts: [{name: v.h, domains: ['*'], virtual_clusters: [{name: a, headers: [{name: "
      "x-a}]}], routes: [{match: {prefix: /}, stat_prefix: p, route: {cluster: c}}]}]");
  ASSERT_NE(table, nullptr);
  const router::VirtualHost& host = table->input().hosts[0];
  ASSERT_EQ(host.virtual_clusters.size(), 2u);
  EXPECT_EQ(host.virtual_clusters[0].stats->prefix(), "vhost.v.h.vcluster.a");
  EXPECT_EQ(host.virtual_clusters[1].name, "other");
  EXPECT_EQ(host.routes[0].stats->prefix(), "vhost.v.h.route.p");
  EXPECT_THAT(refusal("virtual_hosts: [{name: v, domains: ['*'], virtual_clusters: [{name: a}]}]"),
              HasSubstr("virtual_hosts[0].virtual_clusters[0].headers: must not be empty"));
}

}  // namespace
}  // namespace remora::xds::translate
