// Pools of HTTP/2 connections: many requests share one, up to what the server allows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "proxy/http2/session.h"
#include "proxy/http2/test_peer.h"
#include "proxy/upstream/http_pool.h"
#include "proxy/upstream/test_cluster.h"

namespace remora::upstream {
namespace {

using stats::ClusterStat;
using testing::endpoint_at;
using testing::TestPeer;
using testing::TestRequest;

class HttpPoolHttp2Test : public testing::ClusterTestBase {
 protected:
  HttpPoolHttp2Test() { config.protocol = HttpProtocol::Http2; }

  void accept(uint32_t max_streams = 100) {
    session_ = std::make_unique<http2::TestPeer>(std::vector<nghttp2_settings_entry>{
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams}});
    peer_ = server.accept();
    exchange_frames();
  }
  /// Lets both ends say what they have to say.
  void exchange_frames() {
    for (int i = 0; i < 5; ++i) {
      loop.run_once(1);
      const std::string sent = peer_.read_available();
      if (!sent.empty()) {
        ASSERT_GE(session_->receive(sent), 0);
      }
      const std::string output = session_->output();
      if (!output.empty()) peer_.write(output);
    }
  }
  void answer(int32_t stream, const std::string& status = "200") {
    session_->headers(stream, {{":status", status}}, true);
    exchange_frames();
  }

  std::unique_ptr<http2::TestPeer> session_;
  TestPeer peer_;
};

TEST_F(HttpPoolHttp2Test, RequestsShareOneConnection) {
  apply({endpoint_at(server.address())});
  TestRequest a(loop), b(loop);
  a.start(cluster(), host());
  b.start(cluster(), host());
  accept();
  EXPECT_FALSE(server.has_waiting()) << "the second waited for the first's connection";
  TestRequest c(loop);
  c.start(cluster(), host());
  EXPECT_TRUE(c.immediate);
  exchange_frames();
  EXPECT_EQ(session_->requests.size(), 3u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 3u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_http2_total), 1u);
  answer(5);
  EXPECT_TRUE(c.ended);
  EXPECT_FALSE(a.done());
  answer(1);
  answer(3);
  EXPECT_TRUE(a.ended && b.ended);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 1u);
  EXPECT_EQ(host()->counters.rq_active, 0u);
}

TEST_F(HttpPoolHttp2Test, RequestsBeyondWhatTheServerAllowsGetAnotherConnection) {
  apply({endpoint_at(server.address())});
  TestRequest a(loop), b(loop);
  a.start(cluster(), host());
  accept(1);
  ASSERT_NE(a.sender, nullptr);
  b.start(cluster(), host());
  EXPECT_FALSE(b.immediate);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 2u);
}

TEST_F(HttpPoolHttp2Test, AServerThatSaysGoAwayFinishesWhatItHasAndGetsNothingNew) {
  apply({endpoint_at(server.address())});
  TestRequest a(loop), b(loop);
  a.start(cluster(), host());
  accept();
  session_->goaway(1, NGHTTP2_NO_ERROR);
  exchange_frames();
  b.start(cluster(), host());
  EXPECT_FALSE(b.immediate);
  answer(1);
  run_until([&] { return a.done(); });
  EXPECT_TRUE(a.ended);
  run_until([&] { return peer_.ended(); });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_close_notify), 1u);
}

TEST_F(HttpPoolHttp2Test, ALostConnectionResetsAllItsRequests) {
  apply({endpoint_at(server.address())});
  TestRequest a(loop), b(loop);
  a.start(cluster(), host());
  b.start(cluster(), host());
  accept();
  peer_.abort();
  run_until([&] { return a.done() && b.done(); });
  EXPECT_EQ(a.reset_reason, http::ResetReason::ConnectionClosed);
  EXPECT_EQ(b.reset_reason, http::ResetReason::ConnectionClosed);
  settle();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_with_active_rq), 1u);
  EXPECT_EQ(in_use(Resource::Requests), 0u);
}

TEST_F(HttpPoolHttp2Test, WhatTheServerDidNotProcessMayBeSentAgain) {
  apply({endpoint_at(server.address())});
  TestRequest a(loop), b(loop), c(loop);
  a.start(cluster(), host());
  b.start(cluster(), host());
  c.start(cluster(), host());
  accept();
  session_->reset(3, NGHTTP2_REFUSED_STREAM);
  exchange_frames();
  EXPECT_EQ(b.reset_reason, http::ResetReason::RemoteRefused);
  session_->goaway(1, NGHTTP2_NO_ERROR);
  exchange_frames();
  EXPECT_EQ(c.reset_reason, http::ResetReason::RemoteRefused);
  answer(1);
  EXPECT_TRUE(a.ended);
  EXPECT_EQ(in_use(Resource::Requests), 0u);
}

TEST_F(HttpPoolHttp2Test, ConnectionsAreMadeAsTheServersLimitFills) {
  apply({endpoint_at(server.address())});
  std::deque<TestRequest> requests;
  const auto start = [&] { requests.emplace_back(loop).start(cluster(), host()); };
  start();
  accept(2);
  start();
  start();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 2u) << "the first has no more room";
  start();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 2u) << "a second one will do";
  start();
  EXPECT_EQ(stat(ClusterStat::upstream_cx_total), 3u) << "it will have room for two";
  const auto first = std::exchange(session_, nullptr);
  const TestPeer first_peer = std::exchange(peer_, TestPeer());
  accept(2);
  const size_t on_second = session_->requests.size();
  const auto second = std::exchange(session_, nullptr);
  const TestPeer second_peer = std::exchange(peer_, TestPeer());
  accept(2);
  EXPECT_EQ(on_second + session_->requests.size(), 3u);
  EXPECT_EQ(cluster().http2_stats()->value(stats::Http2Stat::nghttp2_upstream_connections), 3u);
}

TEST_F(HttpPoolHttp2Test, AServerThatLeavesAPingUnansweredIsGivenUp) {
  http2::SessionOptions options;
  options.keepalive_interval_ms = 20;
  options.keepalive_timeout_ms = 20;
  config.http2 = std::make_shared<http2::SessionOptions>(options);
  apply({endpoint_at(server.address())});
  TestRequest a(loop);
  a.start(cluster(), host());
  accept();
  run_until([&] { return a.done(); });
  settle();
  EXPECT_EQ(a.reset_reason, http::ResetReason::ConnectionClosed);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_local_with_active_rq), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 0u);
  EXPECT_EQ(cluster().http2_stats()->value(stats::Http2Stat::keepalive_timeout), 1u);
}

TEST_F(HttpPoolHttp2Test, ConnectionsForEachProtocolThatDownstreamsSpeak) {
  config.use_downstream_protocol = true;
  apply({endpoint_at(server.address())});
  ConnectionNeeds http1, http2;
  http1.downstream_protocol = http::Protocol::Http11;
  http2.downstream_protocol = http::Protocol::Http2;
  TestRequest a(loop), b(loop), c(loop);
  a.start(cluster(), host(), Priority::Default, http1);
  TestPeer plain = server.accept();
  run_until([&] { return a.sender != nullptr; });
  loop.run_once(0);
  EXPECT_EQ(plain.read_head().substr(0, 16), "GET / HTTP/1.1\r\n");
  b.start(cluster(), host(), Priority::Default, http2);
  accept();
  answer(1);
  EXPECT_TRUE(b.ended);
  c.start(cluster(), host());
  EXPECT_TRUE(c.immediate) << "who has no downstream speaks HTTP/2";
  EXPECT_EQ(stat(ClusterStat::upstream_cx_http1_total), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_http2_total), 1u);
}

TEST_F(HttpPoolHttp2Test, NonsenseClosesTheConnection) {
  apply({endpoint_at(server.address())});
  TestRequest a(loop);
  a.start(cluster(), host());
  accept();
  peer_.write("HTTP/1.1 400 Bad Request\r\n\r\n");
  run_until([&] { return a.done(); });
  settle();
  EXPECT_EQ(a.reset_reason, http::ResetReason::ProtocolError);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
}

TEST_F(HttpPoolHttp2Test, AbandoningARequestLeavesTheConnectionToTheOthers) {
  apply({endpoint_at(server.address())});
  TestRequest a(loop), b(loop);
  a.start(cluster(), host());
  b.start(cluster(), host());
  accept();
  a.abandon();
  exchange_frames();
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 1u);
  answer(3);
  EXPECT_TRUE(b.ended);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 1u);
}

}  // namespace
}  // namespace remora::upstream
