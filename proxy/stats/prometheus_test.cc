#include "proxy/stats/prometheus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/stats/names.h"
#include "proxy/stats/schemas.h"

namespace remora::stats {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

size_t occurrences(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string_view::npos; at += what.size()) ++n;
  return n;
}

class PrometheusTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> store_ = *Store::make({}, 1);
  std::shared_ptr<Group<ClusterSchema>> a_ = store_->group<ClusterSchema>(cluster_prefix("a"));
  std::shared_ptr<Group<ClusterSchema>> b_ = store_->group<ClusterSchema>(cluster_prefix("b\"c"));

  std::string text(bool used_only = false) {
    Query query;
    query.used_only = used_only;
    return prometheus_text(*store_, query);
  }
};

TEST_F(PrometheusTest, NamesHaveOnlyLettersDigitsAndUnderscores) {
  EXPECT_EQ(prometheus_name("cluster.upstream_rq"), "envoy_cluster_upstream_rq");
  EXPECT_EQ(prometheus_name("http.a-b|c"), "envoy_http_a_b_c");
  EXPECT_EQ(prometheus_name("istio_requests_total", true), "istio_requests_total");
}

TEST_F(PrometheusTest, ClustersShareAFamilyAndDifferByLabel) {
  a_->at(0).add(ClusterStat::upstream_rq_total, 3);
  std::string out = text();
  EXPECT_EQ(occurrences(out, "# TYPE envoy_cluster_upstream_rq_total counter"), 1u);
  EXPECT_THAT(out, HasSubstr("envoy_cluster_upstream_rq_total{envoy_cluster_name=\"a\"} 3\n"));
  EXPECT_THAT(out, HasSubstr("envoy_cluster_upstream_rq_total{envoy_cluster_name=\"b\\\"c\"} 0\n"));
}

TEST_F(PrometheusTest, CodesAndClassesAreLabels) {
  a_->at(0).count_response(ClusterScope::All, 200);
  std::string out = text();
  EXPECT_THAT(
      out,
      HasSubstr(
          "envoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"a\"} 1\n"));
  EXPECT_THAT(out, HasSubstr("envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_"
                             "cluster_name=\"a\"} 1\n"));
}

TEST_F(PrometheusTest, HistogramsHaveCumulativeBuckets) {
  a_->at(0).record(ClusterHistogram::upstream_rq_time, 3);
  a_->at(0).record(ClusterHistogram::upstream_rq_time, 7);
  std::string out = text();
  EXPECT_THAT(out, HasSubstr("# TYPE envoy_cluster_upstream_rq_time histogram"));
  EXPECT_THAT(
      out,
      HasSubstr("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"a\",le=\"1\"} 0\n"));
  EXPECT_THAT(
      out,
      HasSubstr("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"a\",le=\"5\"} 1\n"));
  EXPECT_THAT(
      out,
      HasSubstr("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"a\",le=\"+Inf\"} 2\n"));
  EXPECT_THAT(out, HasSubstr("envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"a\"} 10\n"));
  EXPECT_THAT(out, HasSubstr("envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"a\"} 2\n"));
}

TEST_F(PrometheusTest, UsedOnlyLeavesOutTheRest) {
  a_->at(0).inc(ClusterStat::upstream_rq_total);
  std::string out = text(true);
  EXPECT_THAT(out, HasSubstr("envoy_cluster_upstream_rq_total{envoy_cluster_name=\"a\"} 1"));
  EXPECT_THAT(out, Not(HasSubstr("upstream_cx_total")));
  EXPECT_THAT(out, Not(HasSubstr("b\\\"c")));
}

TEST_F(PrometheusTest, TextReadoutsAreLeftOut) {
  auto cds = store_->group<SubscriptionSchema>(kCdsPrefix);
  cds->set_text(SubscriptionMainStat::version_text, "v1");
  EXPECT_THAT(text(), Not(HasSubstr("version_text")));
}

}  // namespace
}  // namespace remora::stats
