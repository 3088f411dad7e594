#include "filters/http/grpc_stats/grpc_stats.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "proxy/router/route_table.h"
#include "proxy/stats/store.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/cluster_shared.h"
#include "proxy/upstream/worker_context.h"

namespace remora::grpc_stats {
namespace {

using http::HeaderId;

/// A stream on its way to cluster "c".
class FakeStream final : public http::FilterStream {
 public:
  FakeStream() {
    worker_.set_clusters(clusters_);
    upstream::ClusterConfig config;
    config.name = "c";
    clusters_.update(std::make_shared<upstream::ClusterConfig>(config),
                     std::make_shared<upstream::ClusterShared>(config, *store),
                     std::make_shared<upstream::HostSet>());
    decision_.cluster = "c";
  }

  Arena& arena() override { return arena_; }
  WorkerContext& worker() override { return worker_; }
  http::StreamInfo& info() override { return info_; }
  http::HeaderMap& request_headers() override { return request_; }
  http::HeaderMap* response_headers() override { return &response_; }
  const router::Route* route() override { return nullptr; }
  const router::RouteDecision& route_decision() override { return decision_; }
  void clear_route_cache() override {}
  const void* route_config_of(std::string_view) override { return nullptr; }
  http::FilterStatus reply(const http::Failure&, std::string_view,
                           std::span<const http::ReplyHeader>) override {
    return replied();
  }
  void resume(http::Direction) override {}
  void reset(http::ResetReason) override {}
  void respond_informational(http::HeaderMap&) override {}
  void respond_headers(http::HeaderMap&, bool) override {}
  void respond_data(Buffer&, bool) override {}
  void respond_trailers(http::HeaderMap&) override {}
  void pause_request_body() override {}
  void resume_request_body() override {}
  uint32_t buffer_limit() const override { return 0; }

  std::unique_ptr<stats::Store> store = *stats::Store::make({}, 1);

 private:
  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 1};
  upstream::ClusterMap clusters_{worker_};
  Arena arena_{loop_.blocks()};
  http::HeaderMap request_{arena_};
  http::HeaderMap response_{arena_};
  http::StreamInfo info_;
  router::RouteDecision decision_;
};

class GrpcStatsTest : public testing::Test {
 protected:
  /// One call with two messages each way.
  void call(std::string_view path, std::string_view grpc_status,
            std::string_view type = "application/grpc") {
    GrpcStats filter(stream_, config_);
    http::HeaderMap& request = stream_.request_headers();
    request.set(HeaderId::Path, path);
    request.set(HeaderId::ContentType, type);
    http::HeaderMap& response = *stream_.response_headers();
    response.set_status(200);
    response.set(HeaderId::ContentType, "application/grpc");
    http::HeaderMap trailers(stream_.arena());
    trailers.add(HeaderId::GrpcStatus, grpc_status);
    filter.on_request_headers(request, false);
    Buffer up = two_messages(), down = two_messages();
    filter.on_request_body(up, true);
    stream_.info().upstream_last_tx_us = 1000;
    filter.on_response_headers(response, false);
    filter.on_response_body(down, false);
    stream_.info().upstream_last_rx_us = 6000;
    filter.on_response_trailers(trailers);
    filter.on_destroy();
  }
  Buffer two_messages() {
    Buffer data(stream_.worker().blocks());
    data.append(std::string("\0\0\0\0\2ab\0\0\0\0\0", 12));
    return data;
  }
  /// What is shown of gRPC, and of a histogram how often it was recorded.
  std::map<std::string, uint64_t> shown() {
    std::map<std::string, uint64_t> out;
    stream_.store->scrape([&](const stats::Metric& metric) {
      constexpr std::string_view kStart = "cluster.c.grpc.";
      if (!metric.name.starts_with(kStart)) return;
      out[std::string(metric.name.substr(kStart.size()))] =
          metric.histogram != nullptr ? metric.histogram->count : metric.value;
    });
    return out;
  }
  using Shown = std::map<std::string, uint64_t>;

  GrpcStatsConfig config_;
  FakeStream stream_;
};

TEST_F(GrpcStatsTest, CallsAreCountedTogetherUnlessToldApart) {
  call("/a.B/C", "0");
  call("/a.B/D", "5");
  EXPECT_EQ(shown(), (Shown{{"0", 1},
                            {"5", 1},
                            {"success", 1},
                            {"failure", 1},
                            {"total", 2},
                            {"request_message_count", 4},
                            {"response_message_count", 4}}));
}

TEST_F(GrpcStatsTest, AllMethodsMayBeToldApart) {
  config_.all_methods = true;
  config_.replace_dots = true;
  config_.upstream_times = true;
  call("/a.B/C", "0");
  EXPECT_EQ(shown(), (Shown{{"a_B.C.0", 1},
                            {"a_B.C.success", 1},
                            {"a_B.C.total", 1},
                            {"a_B.C.request_message_count", 2},
                            {"a_B.C.response_message_count", 2},
                            {"a_B.C.upstream_rq_time", 1}}));
}

TEST_F(GrpcStatsTest, ListedMethodsAreToldApart) {
  config_.methods.insert("a.B.C");
  call("/a.B/C", "0");
  call("/a.B/D", "0");
  EXPECT_EQ(shown()["a.B.C.total"], 1u);
  EXPECT_EQ(shown()["total"], 1u);
}

TEST_F(GrpcStatsTest, WhatIsNoGrpcCallIsNotCounted) {
  call("/a.B/C", "0", "text/plain");
  call("/x", "0");
  EXPECT_EQ(shown(), Shown());
}

TEST_F(GrpcStatsTest, MessagesAreLeftAsFilterState) {
  call("/a.B/C", "0");
  EXPECT_EQ(stream_.info().filter_state.find("envoy.filters.http.grpc_stats"), nullptr);
  config_.emit_filter_state = true;
  call("/a.B/C", "0");
  EXPECT_EQ(*stream_.info().filter_state.find("envoy.filters.http.grpc_stats"), "2,2");
}

}  // namespace
}  // namespace remora::grpc_stats
