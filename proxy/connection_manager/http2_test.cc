// HTTP/2 clients of the connection manager, with an HTTP/1.1 server behind it.
#include "proxy/connection_manager/connection_manager.h"
#include "proxy/connection_manager/test_support.h"
#include "proxy/http2/test_peer.h"

namespace remora::connection_manager {
namespace {

using stats::HttpStat;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;
using testing::TestClient;
using upstream::testing::TestPeer;
using H2 = http2::TestPeer;

class Http2Test : public testing::HttpTest {
 protected:
  TestClient& open() {
    client_ = &connect();
    exchange();
    return *client_;
  }
  /// Bytes to and fro until nobody has more to say.
  void exchange() {
    for (int quiet = 0; quiet < 3;) {
      const std::string out = h2.output();
      if (!out.empty()) client_->send(out);
      settle();
      std::string in;
      in.swap(client_->received());
      if (!in.empty()) h2.receive(in);
      quiet = out.empty() && in.empty() ? quiet + 1 : 0;
    }
  }
  TestPeer serve() {
    exchange();
    run_until([&] { return server.has_waiting(); });
    settle();
    TestPeer peer = server.accept();
    settle();
    return peer;
  }
  void until_closed(int32_t id) {
    run_until([&] {
      exchange();
      return h2.requests[id].closed;
    });
  }
  static H2::Fields head(std::string_view method, std::string_view path) {
    return {{":method", std::string(method)},
            {":path", std::string(path)},
            {":scheme", "http"},
            {":authority", "a.com"}};
  }
  std::string status(int32_t id) {
    auto& headers = h2.requests[id].headers;
    return headers.empty() ? "" : headers[0].second;
  }

  H2 h2{{}, false, H2::Side::Client};
  TestClient* client_ = nullptr;
};

TEST_F(Http2Test, ARequestGoesUpstreamAsHttp1AndItsAnswerComesBack) {
  open();
  H2::Fields fields = head("POST", "/x");
  fields.emplace_back("cookie", "a=1");
  fields.emplace_back("cookie", "b=2");
  fields.emplace_back("te", "trailers");
  const int32_t id = h2.request(fields, false);
  exchange();
  h2.data(id, "hello", true);
  TestPeer peer = serve();
  const std::string sent = peer.read_until("0\r\n\r\n");
  EXPECT_THAT(sent, StartsWith("POST /x HTTP/1.1\r\nhost: a.com\r\n"));
  EXPECT_THAT(sent, HasSubstr("cookie: a=1; b=2\r\n"));
  EXPECT_THAT(sent, HasSubstr("x-forwarded-proto: http\r\n"));
  EXPECT_THAT(sent, HasSubstr("transfer-encoding: chunked\r\n"));
  EXPECT_THAT(sent, HasSubstr("5\r\nhello\r\n"));
  peer.answer("world", "keep-alive: timeout=5\r\nx-from: server\r\n");
  until_closed(id);
  EXPECT_EQ(status(id), "200");
  EXPECT_EQ(h2.requests[id].body, "world");
  EXPECT_THAT(h2.requests[id].headers, Contains(Pair("x-from", "server")));
  EXPECT_THAT(h2.requests[id].headers, Contains(Pair("content-length", "5")));
  EXPECT_THAT(h2.requests[id].headers, Not(Contains(Pair("keep-alive", "timeout=5"))));
  EXPECT_THAT(h2.requests[id].headers, Not(Contains(Pair("connection", "keep-alive"))));
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_http2_total), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_http2_active), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_http2_total), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_2xx), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_rx_reset), 0u);
}

TEST_F(Http2Test, StreamsAreServedSideBySide) {
  open();
  const int32_t slow = h2.request(head("GET", "/slow"), true);
  TestPeer first = serve();
  const int32_t quick = h2.request(head("GET", "/quick"), true);
  TestPeer second = serve();
  second.read_head();
  second.answer("quick");
  until_closed(quick);
  EXPECT_FALSE(h2.requests[slow].closed);
  first.read_head();
  first.answer("slow");
  until_closed(slow);
  EXPECT_EQ(h2.requests[slow].body, "slow");
}

TEST_F(Http2Test, LocalAnswersAreAnswers) {
  route.match.path = "/only";
  open();
  const int32_t id = h2.request(head("GET", "/other"), true);
  until_closed(id);
  EXPECT_EQ(status(id), "404");
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_4xx), 1u);
}

TEST_F(Http2Test, AClientThatResetsTakesItsUpstreamRequestAlong) {
  open();
  const int32_t id = h2.request(head("GET", "/"), true);
  TestPeer peer = serve();
  peer.read_head();
  h2.reset(id, NGHTTP2_CANCEL);
  exchange();
  run_until([&] { return peer.ended(); });
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_rx_reset), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_active), 0u);
}

TEST_F(Http2Test, AClientThatOnlyOpensAndResetsIsCutOff) {
  TestClient& client = open();
  for (int i = 0; i < 400 && !client.ended(); ++i) {
    const int32_t id = h2.request(head("GET", "/"), true);
    h2.receive("");
    client.send(h2.output());
    h2.reset(id, NGHTTP2_CANCEL);
    client.send(h2.output());
    settle();
  }
  EXPECT_TRUE(client.ended());
  h2.receive(client.received());
  EXPECT_EQ(h2.goaway_code, static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_too_many_premature_resets), 1u);
}

TEST_F(Http2Test, DrainingLetsStreamsEndAndClosesTheConnection) {
  http.drain_timeout_ms = 1000;
  TestClient& client = open();
  const int32_t id = h2.request(head("GET", "/"), true);
  TestPeer peer = serve();
  peer.read_head();
  client.drain();
  exchange();
  EXPECT_EQ(h2.goaway_last_id, 0x7fffffff) << "the client is told at once";
  peer.answer("done");
  until_closed(id);
  EXPECT_EQ(h2.requests[id].body, "done");
  run_until([&] {
    exchange();
    return client.ended();
  });
  EXPECT_EQ(h2.goaway_code, static_cast<uint32_t>(NGHTTP2_NO_ERROR));
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_drain_close), 1u);
}

TEST_F(Http2Test, ABrokenConnectionIsExplainedAndClosed) {
  TestClient& client = open();
  const int32_t id = h2.request(head("GET", "/"), true);
  TestPeer peer = serve();
  client.send(std::string("\0\0\4\x3\0\0\0\0\0abcd", 13));  // RST_STREAM for stream 0
  run_until([&] { return client.ended(); });
  h2.receive(client.received());
  EXPECT_EQ(h2.goaway_code, static_cast<uint32_t>(NGHTTP2_PROTOCOL_ERROR));
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_protocol_error), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_active), 0u);
  EXPECT_FALSE(h2.requests[id].closed);
}

TEST_F(Http2Test, AnIdleConnectionIsToldAndClosed) {
  http.idle_timeout_ms = 300;
  http.drain_timeout_ms = 10;
  TestClient& client = open();
  run_until([&] {
    exchange();
    return client.ended();
  });
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_idle_timeout), 1u);
  EXPECT_EQ(h2.goaway_code, static_cast<uint32_t>(NGHTTP2_NO_ERROR));
}

}  // namespace
}  // namespace remora::connection_manager
