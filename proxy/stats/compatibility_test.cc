// What is shown here must be shown by Envoy 1.40 under the same names, types and labels: testdata
// has what it shows for the same listeners and clusters.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "proxy/stats/names.h"
#include "proxy/stats/query.h"
#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"

namespace remora::stats {
namespace {

std::set<std::string> lines_of(const std::string& file) {
  std::ifstream in("proxy/stats/testdata/" + file);
  EXPECT_TRUE(in.good()) << file;
  std::set<std::string> out;
  for (std::string line; std::getline(in, line);) out.insert(line);
  return out;
}

/// The listeners, clusters and filters of the Envoy that was recorded.
class CompatibilityTest : public ::testing::Test {
 protected:
  CompatibilityTest() {
    auto up1 = keep<ClusterSchema>(cluster_prefix("up1"));
    auto& slab = up1->at(0);
    for (auto scope : {ClusterScope::All, ClusterScope::External, ClusterScope::Canary}) {
      slab.count_response(scope, 200);
      slab.count_response(scope, 503);
    }
    for (auto histogram :
         {ClusterHistogram::upstream_rq_time, ClusterHistogram::external_upstream_rq_time}) {
      slab.record(histogram, 1);
    }
    for (auto id = ClusterMainStat::default_remaining_cx;
         id <= ClusterMainStat::default_remaining_rq;
         id = static_cast<ClusterMainStat>(static_cast<int>(id) + 1)) {
      up1->set(id, 1);
    }
    keep<OutlierSchema>("cluster.up1.outlier_detection");
    keep<HealthCheckSchema>("cluster.up1.health_check");
    keep<Http1Schema>("cluster.up1.http1");
    keep<Http2Schema>("cluster.up2.http2");
    keep<ClusterSchema>(cluster_prefix("outbound|80||a.b.svc.cluster.local"));
    keep<ClusterSchema>(cluster_prefix("viaeds"));
    keep<EdsSchema>(cluster_prefix("viaeds"));
    keep<TlsSchema>("cluster.tls.ssl")->at(0).inc(TlsStat::ecdhe_ecdsa_aes128_gcm_sha256);
    keep<TlsSchema>("cluster.tls.ssl")->at(0).inc(TlsStat::tls12);
    keep<TlsCertificateSchema>("cluster.tls.ssl.certificate.mycert");
    keep<TlsFactorySchema>("cluster.tls.client_ssl_socket_factory");
    keep<TlsSchema>("listener.127.0.0.1_19085.ssl");
    keep<TlsFactorySchema>("listener.127.0.0.1_19085.server_ssl_socket_factory");
    keep<ListenerSchema>(listener_prefix("127.0.0.1:19080"));
    keep<ListenerHttpSchema>(listener_http_prefix("127.0.0.1:19080", "ingress"));
    keep<HttpSchema>(http_prefix("ingress"));
    keep<RouterSchema>(http_prefix("ingress"));
    keep<TracingSchema>("http.ingress.tracing");
    keep<SubscriptionSchema>(rds_prefix("viards", "my.route"));
    keep<ReloadSchema>(rds_prefix("viards", "my.route"));
    keep<RdsSchema>(rds_prefix("viards", "my.route"));
    keep<TcpSchema>(tcp_prefix("tcpin"));
    auto route = keep<RouteSchema>(route_prefix("vh", "rp"));
    route->at(0).count_response(RouteScope::All, 200);
    keep<Http1Schema>(kHttp1Prefix);
    keep<Http2Schema>(kHttp2Prefix);
    keep<SubscriptionSchema>(kCdsPrefix);
    keep<ReloadSchema>(kCdsPrefix);
    keep<SubscriptionSchema>(kLdsPrefix);
    keep<SubscriptionSchema>(sds_prefix("mycert"));
    keep<SdsSchema>(sds_prefix("mycert"));
    keep<ControlPlaneSchema>(kControlPlanePrefix);
    keep<ClusterManagerSchema>(kClusterManagerPrefix);
    keep<ListenerManagerSchema>(kListenerManagerPrefix);
    keep<ServerSchema>(kServerPrefix);
    keep<WatchdogSchema>("server.worker_0");
    keep<WatchdogSchema>("server.main_thread");
    keep<RuntimeSchema>(kRuntimePrefix);
  }

  template <class Schema>
  std::shared_ptr<Group<Schema>> keep(std::string_view prefix) {
    auto group = store_->group<Schema>(prefix);
    groups_.push_back(group);
    return group;
  }

  std::unique_ptr<Store> store_ = *Store::make({}, 2);
  std::vector<std::shared_ptr<void>> groups_;
};

TEST_F(CompatibilityTest, EveryNameIsEnvoys) {
  std::set<std::string> envoys = lines_of("envoy_names.txt");
  size_t shown = 0;
  store_->scrape([&](const Metric& metric) {
    EXPECT_TRUE(envoys.contains(std::string(metric.name)))
        << metric.name << " is not a metric of Envoy";
    ++shown;
  });
  EXPECT_GT(shown, 500u);
}

/// "counter envoy_x{a=\"1\",b=\"2\"}" for each series, labels sorted, histograms once.
std::set<std::string> series_of(const std::string& text) {
  std::set<std::string> out;
  std::istringstream in(text);
  std::string family, type;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string hash, keyword;
    if (line.starts_with("# TYPE")) words >> hash >> keyword >> family >> type;
    if (line.starts_with('#')) continue;
    size_t open = line.find('{'), close = line.rfind('}');
    std::set<std::string> labels;
    while (open < close && open != std::string::npos) {
      size_t end = line.find("\"", line.find("=\"", open) + 2);
      std::string label = line.substr(open + 1, end - open);
      if (!label.starts_with("le=")) labels.insert(label);
      open = end + 1;
    }
    std::string all;
    for (const auto& label : labels) all += (all.empty() ? "" : ",") + label;
    out.insert(type + " " + family + "{" + all + "}");
  }
  return out;
}

TEST_F(CompatibilityTest, EverySeriesHasEnvoysTypeAndLabels) {
  std::set<std::string> envoys = lines_of("envoy_series.txt");
  Query query;
  query.format = Format::Prometheus;
  std::set<std::string> ours = series_of(render(*store_, query));
  for (const std::string& series : ours) {
    EXPECT_TRUE(envoys.contains(series)) << series << " is not a series of Envoy";
  }
  EXPECT_GT(ours.size(), 500u);
}

}  // namespace
}  // namespace remora::stats
