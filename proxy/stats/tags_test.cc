#include "proxy/stats/tags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace remora::stats {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using TagKind = StatsConfig::TagRule::Kind;

TEST(DefaultTags, ClusterAndResponseCode) {
  EXPECT_EQ(default_tags("cluster.foo.upstream_rq_200"),
            (TaggedName{"cluster.upstream_rq",
                        {{"envoy.response_code", "200"}, {"envoy.cluster_name", "foo"}}}));
  EXPECT_EQ(default_tags("cluster.foo.upstream_rq_2xx"),
            (TaggedName{"cluster.upstream_rq_xx",
                        {{"envoy.response_code_class", "2"}, {"envoy.cluster_name", "foo"}}}));
}

TEST(DefaultTags, AClusterNameEndsAtItsFirstDotAsInEnvoy) {
  EXPECT_EQ(
      default_tags("cluster.outbound|80||a.b.svc.upstream_cx_total"),
      (TaggedName{"cluster.b.svc.upstream_cx_total", {{"envoy.cluster_name", "outbound|80||a"}}}));
}

TEST(DefaultTags, ProxyProtocol) {
  const auto tags = [](std::string_view name) { return default_tags(name); };
  EXPECT_EQ(tags("proxy_proto.not_found_allowed"),
            (TaggedName{"proxy_proto.not_found_allowed", {}}));
  EXPECT_EQ(tags("proxy_proto.p.not_found_allowed"),
            (TaggedName{"proxy_proto.not_found_allowed", {{"envoy.proxy_protocol_prefix", "p"}}}));
  EXPECT_EQ(tags("proxy_proto.versions.v1.found"),
            (TaggedName{"proxy_proto.found", {{"envoy.proxy_protocol_version", "1"}}}));
  EXPECT_EQ(
      tags("proxy_proto.p.versions.v2.found"),
      (TaggedName{"proxy_proto.found",
                  {{"envoy.proxy_protocol_version", "2"}, {"envoy.proxy_protocol_prefix", "p"}}}));
}

TEST(DefaultTags, ListenersByAddressOrName) {
  EXPECT_EQ(
      default_tags("listener.127.0.0.1_80.downstream_cx_total"),
      (TaggedName{"listener.downstream_cx_total", {{"envoy.listener_address", "127.0.0.1_80"}}}));
  EXPECT_EQ(default_tags("listener.[2001_db8__1]_80.downstream_cx_total"),
            (TaggedName{"listener.downstream_cx_total",
                        {{"envoy.listener_address", "[2001_db8__1]_80"}}}));
  EXPECT_EQ(default_tags("listener.named.downstream_cx_total"),
            (TaggedName{"listener.downstream_cx_total", {{"envoy.listener_address", "named"}}}));
  EXPECT_EQ(default_tags("listener.admin.downstream_cx_total"),
            (TaggedName{"listener.admin.downstream_cx_total", {}}));
}

TEST(DefaultTags, WorkersOfAListener) {
  EXPECT_EQ(default_tags("listener.0.0.0.0_80.worker_3.downstream_cx_active"),
            (TaggedName{"listener.worker_downstream_cx_active",
                        {{"envoy.worker_id", "3"}, {"envoy.listener_address", "0.0.0.0_80"}}}));
}

TEST(DefaultTags, HttpBelowAListener) {
  EXPECT_EQ(default_tags("listener.0.0.0.0_80.http.ingress.downstream_rq_5xx"),
            (TaggedName{"listener.http.downstream_rq_xx",
                        {{"envoy.response_code_class", "5"},
                         {"envoy.http_conn_manager_prefix", "ingress"},
                         {"envoy.listener_address", "0.0.0.0_80"}}}));
}

TEST(DefaultTags, RouteConfigurationsMayHaveDots) {
  EXPECT_EQ(default_tags("http.ingress.rds.my.route.update_success"),
            (TaggedName{"http.rds.update_success",
                        {{"envoy.rds_route_config", "my.route"},
                         {"envoy.http_conn_manager_prefix", "ingress"}}}));
}

TEST(DefaultTags, NamesWithoutTagsStay) {
  EXPECT_EQ(default_tags("server.live"), (TaggedName{"server.live", {}}));
  EXPECT_EQ(default_tags("cluster_manager.cds.version"),
            (TaggedName{"cluster_manager.cds.version", {}}));
}

TagRules rules_of(StatsConfig config) {
  auto rules = TagRules::make(config);
  EXPECT_TRUE(rules.ok()) << rules.status().ToString();
  return *std::move(rules);
}

// The rules that an Istio agent writes into the bootstrap.
StatsConfig istio() {
  StatsConfig config;
  config.use_all_default_tags = false;
  auto rule = [&](const char* name, const char* regex) {
    config.tags.push_back({name, TagKind::Regex, regex});
  };
  rule("cluster_name", R"(^cluster(\.(.+);))");
  rule("http_conn_manager_prefix",
       R"(^http\.(((?:[_.[:digit:]\w]*|[_\[\]aAbBcCdDeEfF[:digit:]\w\:]*));\.))");
  rule("thread_name", R"(^server(\.(.+))\.watchdog)");
  rule("tcp_prefix", R"(^tcp\.((.*?)\.)\w+?$)");
  rule("response_code", R"(_rq(_(\d{3}))$)");
  rule("response_code_class", R"(_rq(_(\dxx))$)");
  rule("http_conn_manager_listener_prefix",
       R"(^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.))");
  rule("listener_address", R"(^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.))");
  return config;
}

TEST(TagRules, IstiosRulesTagItsNames) {
  TagRules rules = rules_of(istio());
  EXPECT_FALSE(rules.only_defaults());
  EXPECT_EQ(rules.apply("cluster.outbound|80||a.b.svc.cluster.local;.upstream_rq_200"),
            (TaggedName{"cluster.upstream_rq",
                        {{"cluster_name", "outbound|80||a.b.svc.cluster.local"},
                         {"response_code", "200"}}}));
  EXPECT_EQ(rules.apply("http.outbound_0.0.0.0_80;.downstream_rq_2xx"),
            (TaggedName{"http.downstream_rq",
                        {{"http_conn_manager_prefix", "outbound_0.0.0.0_80"},
                         {"response_code_class", "2xx"}}}));
  EXPECT_EQ(rules.apply("listener.0.0.0.0_15006.downstream_cx_total"),
            (TaggedName{"listener.downstream_cx_total", {{"listener_address", "0.0.0.0_15006"}}}));
  EXPECT_EQ(rules.apply("cluster_manager.cds.version"),
            (TaggedName{"cluster_manager.cds.version", {}}));
}

TEST(TagRules, FixedTagsGoOnEveryName) {
  StatsConfig config;
  config.tags.push_back({"zone", TagKind::Fixed, "eu"});
  TagRules rules = rules_of(config);
  EXPECT_TRUE(rules.only_defaults());
  EXPECT_THAT(rules.apply("server.live").tags, ElementsAre(Tag{"zone", "eu"}));
}

TEST(TagRules, ADefaultRuleCanBeNamedAlone) {
  StatsConfig config;
  config.use_all_default_tags = false;
  config.tags.push_back({"envoy.cluster_name", TagKind::Default, ""});
  TagRules rules = rules_of(config);
  EXPECT_EQ(rules.apply("cluster.a.upstream_rq_200"),
            (TaggedName{"cluster.upstream_rq_200", {{"envoy.cluster_name", "a"}}}));
}

TEST(TagRules, OwnRulesComeOnTopOfTheDefaults) {
  StatsConfig config;
  config.tags.push_back({"port", TagKind::Regex, R"(^cluster\..*?(\|(\d+)\|))"});
  TagRules rules = rules_of(config);
  TaggedName tagged = rules.apply("cluster.outbound|80|v1.upstream_cx_total");
  EXPECT_THAT(tagged.tags,
              ElementsAre(Tag{"envoy.cluster_name", "outbound|80|v1"}, Tag{"port", "80"}));
  EXPECT_EQ(tagged.base, "cluster.upstream_cx_total");
}

TEST(TagRules, NoDefaultsAndNoRulesTagNothing) {
  StatsConfig config;
  config.use_all_default_tags = false;
  EXPECT_THAT(rules_of(config).apply("cluster.a.upstream_rq_200").tags, IsEmpty());
}

TEST(TagRules, MistakesAreRefused) {
  StatsConfig config;
  config.tags = {{"a", TagKind::Regex, "("}};
  EXPECT_FALSE(TagRules::make(config).ok());
  config.tags = {{"a", TagKind::Regex, "no group"}};
  EXPECT_FALSE(TagRules::make(config).ok());
  config.tags = {{"no.such.rule", TagKind::Default, ""}};
  EXPECT_FALSE(TagRules::make(config).ok());
}

}  // namespace
}  // namespace remora::stats
