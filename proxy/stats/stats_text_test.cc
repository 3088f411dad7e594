#include "proxy/stats/stats_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/stats/names.h"
#include "proxy/stats/schemas.h"

namespace remora::stats {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Parameters = std::vector<std::pair<std::string, std::string>>;

class StatsTextTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> store_ = *Store::make({}, 1);

  std::string get(const Parameters& parameters) {
    auto query = Query::parse(parameters);
    return query.ok() ? render(*store_, *query) : "400 " + std::string(query.status().message());
  }
};

TEST_F(StatsTextTest, ReadinessProbesFindTheirLines) {
  auto cds = store_->group<SubscriptionSchema>(kCdsPrefix);
  auto lds = store_->group<SubscriptionSchema>(kLdsPrefix);
  auto server = store_->group<ServerSchema>(kServerPrefix);
  auto manager = store_->group<ListenerManagerSchema>(kListenerManagerPrefix);
  cds->inc(SubscriptionMainStat::update_success);
  lds->add(SubscriptionMainStat::update_success, 2);
  server->set(ServerMainStat::state, 0);
  manager->set(ListenerManagerMainStat::workers_started, 1);
  EXPECT_EQ(get({{"usedonly", ""},
                 {"filter",
                  "^(cluster_manager.cds|listener_manager.lds).(update_success|update_rejected)$|"
                  "^server.state$|^listener_manager.workers_started$"}}),
            "cluster_manager.cds.update_success: 1\n"
            "listener_manager.lds.update_success: 2\n"
            "listener_manager.workers_started: 1\n"
            "server.state: 0\n");
}

TEST_F(StatsTextTest, TextsComeFirstThenNumbersThenHistograms) {
  auto cds = store_->group<SubscriptionSchema>(kCdsPrefix);
  cds->set_text(SubscriptionMainStat::version_text, "v7");
  EXPECT_EQ(get({}),
            "cluster_manager.cds.version_text: \"v7\"\n"
            "cluster_manager.cds.init_fetch_timeout: 0\n"
            "cluster_manager.cds.update_attempt: 0\n"
            "cluster_manager.cds.update_failure: 0\n"
            "cluster_manager.cds.update_rejected: 0\n"
            "cluster_manager.cds.update_success: 0\n"
            "cluster_manager.cds.update_time: 0\n"
            "cluster_manager.cds.version: 0\n"
            "cluster_manager.cds.update_duration: No recorded values\n");
}

TEST_F(StatsTextTest, HistogramsShowTheIntervalAndAllTime) {
  auto server = store_->group<ServerSchema>(kServerPrefix);
  server->at(store_->main_index()).record(ServerHistogram::initialization_time_ms, 16);
  EXPECT_EQ(
      get({{"type", "Histograms"}}),
      "server.initialization_time_ms: P0(nan,16) P25(nan,16) P50(nan,16) P75(nan,16) P90(nan,16) "
      "P95(nan,16) P99(nan,16) P99.5(nan,16) P99.9(nan,16) P100(nan,16)\n");
  EXPECT_THAT(
      get({{"type", "Histograms"}, {"histogram_buckets", "cumulative"}}),
      StartsWith(
          "server.initialization_time_ms: B0.5(0,0) B1(0,0) B5(0,0) B10(0,0) B25(0,1) B50(0,1)"));
  EXPECT_THAT(get({{"type", "Histograms"}, {"histogram_buckets", "disjoint"}}),
              HasSubstr("B25(0,1) B50(0,0)"));
}

TEST_F(StatsTextTest, TypesAndInvertedFilters) {
  auto cluster = store_->group<ClusterSchema>(cluster_prefix("a"));
  std::string gauges = get({{"type", "Gauges"}});
  EXPECT_THAT(gauges, HasSubstr("cluster.a.upstream_cx_active: 0\n"));
  EXPECT_THAT(gauges, Not(HasSubstr("upstream_cx_total")));
  std::string rest = get({{"filter", "upstream"}, {"invert_filter", ""}});
  EXPECT_THAT(rest, Not(HasSubstr("upstream")));
  EXPECT_THAT(rest, HasSubstr("cluster.a.membership_total: 0\n"));
}

TEST_F(StatsTextTest, Json) {
  auto cds = store_->group<SubscriptionSchema>(kCdsPrefix);
  cds->set_text(SubscriptionMainStat::version_text, "a\"b");
  cds->inc(SubscriptionMainStat::update_success);
  cds->at(store_->main_index()).record(SubscriptionHistogram{0}, 5);
  EXPECT_EQ(
      get({{"format", "json"}, {"usedonly", ""}}),
      R"({"stats":[{"name":"cluster_manager.cds.version_text","value":"a\"b"},)"
      R"({"name":"cluster_manager.cds.update_success","value":1},)"
      R"({"histograms":{"supported_quantiles":[0,25,50,75,90,95,99,99.5,99.9,100],"computed_quantiles":[)"
      R"({"name":"cluster_manager.cds.update_duration","values":[)"
      R"({"cumulative":5,"interval":null},{"cumulative":5,"interval":null},{"cumulative":5,"interval":null},)"
      R"({"cumulative":5,"interval":null},{"cumulative":5,"interval":null},{"cumulative":5,"interval":null},)"
      R"({"cumulative":5,"interval":null},{"cumulative":5,"interval":null},{"cumulative":5,"interval":null},)"
      R"({"cumulative":5,"interval":null}]}]}}]})");
  EXPECT_THAT(
      get({{"format", "json"}, {"type", "Histograms"}, {"histogram_buckets", "cumulative"}}),
      StartsWith(
          R"({"stats":[{"histograms":[{"name":"cluster_manager.cds.update_duration","buckets":[)"
          R"({"upper_bound":0.5,"interval":0,"cumulative":0},)"));
}

TEST_F(StatsTextTest, NothingIsValidJsonToo) {
  EXPECT_EQ(get({{"format", "json"}}), R"({"stats":[]})");
}

TEST_F(StatsTextTest, MistakesAreExplained) {
  EXPECT_THAT(get({{"filter", "("}}), StartsWith("400 Invalid re2 regex: missing )"));
  EXPECT_THAT(get({{"format", "xml"}}), StartsWith("400 usage: /stats?format="));
  EXPECT_EQ(get({{"type", "Things"}}), "400 invalid &type= param");
  EXPECT_THAT(get({{"histogram_buckets", "detailed"}}), StartsWith("400 usage: "));
}

TEST_F(StatsTextTest, PrometheusIsAFormat) {
  auto cluster = store_->group<ClusterSchema>(cluster_prefix("a"));
  EXPECT_THAT(get({{"format", "prometheus"}}),
              HasSubstr("# TYPE envoy_cluster_upstream_cx_total counter\n"));
  EXPECT_EQ(content_type(Format::Json), "application/json");
}

}  // namespace
}  // namespace remora::stats
