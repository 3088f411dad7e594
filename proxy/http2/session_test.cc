// The session against nghttp2's own server side, in memory.
#include "proxy/http2/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/http2/test_peer.h"

namespace remora::http2 {
namespace {

using http::HeaderMap;
using http::ResetReason;
using testing::ElementsAre;
using testing::Pair;

/// Hears a response and writes it down.
struct Receiver final : http::StreamReceiver {
  explicit Receiver(BlockPool& pool) : arena_(pool), kept(pool) {}
  Arena& arena() override { return arena_; }
  void on_informational(HeaderMap& h) override {
    said += "info " + std::to_string(h.status()) + ";";
  }
  void on_headers(HeaderMap& h, bool end) override {
    said += "headers " + std::to_string(h.status()) + (end ? " end;" : ";");
    if (const auto* e = h.find("x-test"))
      said += std::string("x-test=") + std::string(e->value) + ";";
  }
  void on_data(Buffer& data, bool end) override {
    body += data.to_string();
    data.clear();
    ended |= end;
  }
  void on_trailers(HeaderMap& t) override {
    ended = true;
    for (auto& e : t.entries())
      said += "trailer " + std::string(e.name) + "=" + std::string(e.value) + ";";
  }
  void on_reset(ResetReason r, std::string_view detail) override {
    ASSERT_FALSE(reset);
    reset = r;
    reset_detail = detail;
  }
  void on_send_high_water() override { said += "high;"; }
  void on_send_low_water() override { said += "low;"; }

  Arena arena_;
  Buffer kept;
  std::string said, body, reset_detail;
  bool ended = false;
  std::optional<ResetReason> reset;
};

struct SessionTest : testing::Test, SessionUser {
  void on_work_pending() override { pending = true; }
  void on_stream_failed(ResetReason) override {}
  void on_stream_ended() override { ++ended; }
  void on_goaway() override { ++goaways; }
  void on_max_streams(uint32_t max) override { max_streams = max; }
  void on_session_error(std::string_view detail) override { error = detail; }

  void start(SessionOptions options = {}) {
    session.emplace(Role::Client, options, *this, wheel, pool);
  }
  /// Bytes to and fro until neither side has more to say.
  bool exchange() {
    for (int i = 0; i < 100; ++i) {
      Buffer out(pool);
      session->turn(out, write_limit);
      const std::string to_peer = out.to_string();
      peer.receive(to_peer);
      const std::string back = peer.output();
      if (to_peer.empty() && back.empty()) return true;
      if (!give(back)) return false;
    }
    ADD_FAILURE() << "the two never stop talking";
    return false;
  }
  bool give(std::string_view bytes) {
    Buffer in(pool);
    in.append(bytes);
    return session->receive(in);
  }
  http::StreamSender& request(Receiver& r, bool end, size_t extra = 0) {
    HeaderMap h(r.arena());
    h.add("x-early", "1");
    h.add(http::HeaderId::Method, "POST");
    h.add(http::HeaderId::Path, "/p");
    h.add(http::HeaderId::Scheme, "http");
    h.add(http::HeaderId::Authority, "host");
    h.add(http::HeaderId::Connection, "keep-alive");
    h.add(http::HeaderId::Te, "trailers");
    http::StreamSender& s = session->open_stream(r);
    s.send_headers(h, end);
    return s;
  }
  void send(http::StreamSender& s, std::string_view text, bool end) {
    Buffer b(pool);
    b.append(text);
    s.send_data(b, end);
  }

  TurnTime time;
  BlockPool pool;
  TimerWheel wheel{time};
  TestPeer peer;
  std::optional<Session> session;
  size_t write_limit = 1 << 20;
  bool pending = false;
  int ended = 0, goaways = 0;
  uint32_t max_streams = 0;
  std::string error;
};

TEST_F(SessionTest, CarriesARequestAndItsAnswerWithTrailers) {
  start();
  Receiver r(pool);
  auto& s = request(r, false);
  send(s, "hello ", false);
  send(s, "world", true);
  ASSERT_TRUE(exchange());
  auto& got = peer.requests[1];
  EXPECT_THAT(got.headers, ElementsAre(Pair(":method", "POST"), Pair(":path", "/p"),
                                       Pair(":scheme", "http"), Pair(":authority", "host"),
                                       Pair("x-early", "1"), Pair("te", "trailers")));
  EXPECT_EQ(got.body, "hello world");
  EXPECT_TRUE(got.ended);

  peer.headers(1, {{":status", "103"}}, false);
  peer.headers(1, {{":status", "200"}, {"x-test", "v"}}, false);
  peer.data(1, "answer", true, {{"grpc-status", "0"}});
  ASSERT_TRUE(exchange());
  EXPECT_EQ(r.said, "info 103;headers 200;x-test=v;trailer grpc-status=0;");
  EXPECT_EQ(r.body, "answer");
  EXPECT_FALSE(r.reset);
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(session->active_streams(), 0u);
}

TEST_F(SessionTest, SendsTrailersAfterTheBody) {
  start();
  Receiver r(pool);
  auto& s = request(r, false);
  send(s, "body", false);
  HeaderMap t(r.arena());
  t.add("x-sum", "7");
  s.send_trailers(t);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(peer.requests[1].body, "body");
  EXPECT_THAT(peer.requests[1].trailers, ElementsAre(Pair("x-sum", "7")));
  EXPECT_TRUE(peer.requests[1].ended);
}

TEST_F(SessionTest, HoldsBackTheWindowOfAPausedStream) {
  SessionOptions options;
  options.initial_stream_window = 100'000;
  options.initial_connection_window = 1'000'000;
  start(options);
  Receiver slow(pool), quick(pool);
  auto& s = request(slow, true);
  request(quick, true);
  ASSERT_TRUE(exchange());
  s.pause_receiving();
  const std::string big(500'000, 'x');
  for (int id : {1, 3}) {
    peer.headers(id, {{":status", "200"}}, false);
    peer.data(id, big, true);
  }
  ASSERT_TRUE(exchange());
  EXPECT_EQ(slow.body.size(), 0u);
  EXPECT_EQ(slow.said, "");
  EXPECT_EQ(quick.body.size(), big.size());
  EXPECT_TRUE(quick.ended);

  s.resume_receiving();
  ASSERT_TRUE(exchange());
  EXPECT_EQ(slow.body, big);
  EXPECT_TRUE(slow.ended);
}

TEST_F(SessionTest, AsksTheSenderToStopWhileThePeersWindowIsClosed) {
  start();
  Receiver r(pool);
  auto& s = request(r, false);
  ASSERT_TRUE(exchange());
  send(s, std::string(600'000, 'x'), false);
  Buffer out(pool);
  session->turn(out, 1 << 20);
  EXPECT_EQ(r.said, "high;");
  EXPECT_LT(out.size(), 70'000u);  // the initial window of 65,535 bytes
  peer.receive(out.to_string());
  give(peer.output());
  ASSERT_TRUE(exchange());
  EXPECT_EQ(r.said, "high;low;");
  EXPECT_EQ(peer.requests[1].body.size(), 600'000u);
}

TEST_F(SessionTest, StopsEncodingAtTheWriteLimit) {
  start();
  Receiver r(pool);
  peer.receive("");
  auto& s = request(r, false);
  ASSERT_TRUE(exchange());
  nghttp2_submit_window_update(peer.session, 0, 0, 1 << 20);
  nghttp2_submit_window_update(peer.session, 0, 1, 1 << 20);
  give(peer.output());
  send(s, std::string(400'000, 'x'), true);
  Buffer out(pool);
  session->turn(out, 50'000);
  EXPECT_GE(out.size(), 50'000u);
  EXPECT_LT(out.size(), 70'000u);
  peer.receive(out.to_string());
  write_limit = 50'000;
  ASSERT_TRUE(exchange());
  EXPECT_EQ(peer.requests[1].body.size(), 400'000u);
  EXPECT_TRUE(peer.requests[1].ended);
}

TEST_F(SessionTest, TellsResetsApart) {
  start();
  Receiver refused(pool), broken(pool), early(pool);
  request(refused, true);
  request(broken, true);
  request(early, false);
  ASSERT_TRUE(exchange());
  peer.reset(1, NGHTTP2_REFUSED_STREAM);
  peer.headers(3, {{":status", "200"}}, false);
  ASSERT_TRUE(exchange());
  peer.reset(3, NGHTTP2_INTERNAL_ERROR);
  peer.headers(5, {{":status", "413"}}, true);
  ASSERT_TRUE(exchange());
  peer.reset(5, NGHTTP2_NO_ERROR);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(refused.reset, ResetReason::RemoteRefused);
  EXPECT_EQ(broken.reset, ResetReason::RemoteReset);
  EXPECT_EQ(broken.said, "headers 200;");
  EXPECT_EQ(early.said, "headers 413 end;");
  EXPECT_EQ(early.reset, ResetReason::RemoteReset);
  EXPECT_EQ(session->active_streams(), 0u);
  EXPECT_EQ(ended, 3);
}

TEST_F(SessionTest, ResetTellsThePeerAndNobodyElse) {
  start();
  Receiver before(pool), after(pool);
  auto& never_sent = request(before, false);
  never_sent.reset(ResetReason::LocalReset);
  auto& s = request(after, false);
  ASSERT_TRUE(exchange());
  peer.headers(3, {{":status", "200"}}, false);
  s.reset(ResetReason::LocalReset);
  ASSERT_TRUE(exchange());
  EXPECT_FALSE(before.reset);
  EXPECT_FALSE(after.reset);
  EXPECT_EQ(after.said, "");
  EXPECT_EQ(peer.requests.count(1), 0u);
  EXPECT_EQ(peer.requests[3].close_code, uint32_t{NGHTTP2_CANCEL});
  EXPECT_EQ(session->active_streams(), 0u);
}

TEST_F(SessionTest, GoawayRefusesWhatWasNotProcessedAndLetsTheRestFinish) {
  start();
  Receiver first(pool), second(pool);
  request(first, true);
  ASSERT_TRUE(exchange());
  Buffer out(pool);
  request(second, true);
  session->turn(out, 1 << 20);  // on its way while the GOAWAY is
  peer.goaway(1, NGHTTP2_NO_ERROR);
  give(peer.output());
  session->turn(out, 1 << 20);
  EXPECT_EQ(goaways, 1);
  EXPECT_FALSE(session->can_open_stream());
  EXPECT_EQ(second.reset, ResetReason::RemoteRefused);
  peer.headers(1, {{":status", "204"}}, true);
  give(peer.output());
  session->turn(out, 1 << 20);
  EXPECT_EQ(first.said, "headers 204 end;");
  EXPECT_EQ(session->active_streams(), 0u);
}

TEST_F(SessionTest, KeepsToThePeersNumberOfStreams) {
  start();
  nghttp2_settings_entry two{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2};
  nghttp2_submit_settings(peer.session, 0, &two, 1);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(max_streams, 2u);
  Receiver a(pool), b(pool);
  request(a, true);
  EXPECT_TRUE(session->can_open_stream());
  request(b, true);
  EXPECT_FALSE(session->can_open_stream());
  ASSERT_TRUE(exchange());
  peer.headers(1, {{":status", "200"}}, true);
  ASSERT_TRUE(exchange());
  EXPECT_TRUE(session->can_open_stream());
}

TEST_F(SessionTest, RefusesAHeaderListThatIsTooLarge) {
  SessionOptions options;
  options.max_headers = 20;
  start(options);
  Receiver many(pool), wide(pool), fine(pool);
  request(many, true);
  request(wide, true);
  request(fine, true);
  ASSERT_TRUE(exchange());
  TestPeer::Fields crumbs{{":status", "200"}};
  for (int i = 0; i < 30; ++i) crumbs.push_back({"x", "y"});
  peer.headers(1, crumbs, true);
  peer.headers(3, {{":status", "200"}, {"x", std::string(61 * 1024, 'y')}}, true);
  peer.headers(5, {{":status", "200"}, {"x-test", "ok"}}, true);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(many.reset, ResetReason::ProtocolError);
  EXPECT_EQ(many.reset_detail, "http2.too_many_headers");
  EXPECT_EQ(wide.reset, ResetReason::ProtocolError);
  EXPECT_EQ(fine.said, "headers 200 end;x-test=ok;");
}

TEST_F(SessionTest, ResetsAMessageThatBreaksTheRules) {
  start();
  Receiver r(pool);
  request(r, true);
  ASSERT_TRUE(exchange());
  peer.headers(1, {{":status", "200"}, {"content-length", "3"}}, false);
  peer.data(1, "four", true);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(r.reset, ResetReason::ProtocolError);
  EXPECT_FALSE(r.ended);
}

TEST_F(SessionTest, PingsAQuietPeerAndGivesItUpWhenItStaysSilent) {
  SessionOptions options;
  options.keepalive_interval_ms = 1000;
  options.keepalive_timeout_ms = 500;
  start(options);
  ASSERT_TRUE(exchange());
  time.now_ms += 1000;
  wheel.advance();
  ASSERT_TRUE(exchange());
  EXPECT_EQ(peer.pings, 1);
  time.now_ms += 999;
  wheel.advance();
  EXPECT_EQ(error, "");
  time.now_ms += 1;
  wheel.advance();  // the second ping, which stays unanswered
  time.now_ms += 500;
  wheel.advance();
  EXPECT_EQ(error, "http2.keepalive_timeout");
}

TEST_F(SessionTest, CutsOffFloods) {
  struct Case {
    const char* name;
    std::string frame;
    size_t count;
    const char* detail;
  };
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9), ping("\0\0\x8\6\0\0\0\0\0pingpong", 17),
      reset("\0\0\4\3\0\0\0\0\1\0\0\0\x8", 13), window("\0\0\4\x8\0\0\0\0\0\0\0\0\1", 13);
  const Case cases[] = {
      {"settings", settings, 200, "http2.settings_flood"},
      {"ping", ping, 1100, "http2.ping_flood"},
      {"window update", window, 20, "http2.window_update_flood"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    SessionOptions options;
    options.flood.max_ping_frames = 500;
    start(options);
    ASSERT_TRUE(give(settings));
    std::string flood;
    for (size_t i = 0; i < c.count; ++i) flood += c.frame;
    EXPECT_FALSE(give(flood));
    EXPECT_EQ(session->error(), c.detail);
    Buffer out(pool);
    session->turn(out, 1 << 20);
    EXPECT_NE(out.to_string().find(std::string("\0\0\0\xb", 4)), std::string::npos)
        << "GOAWAY says why";
  }
}

TEST_F(SessionTest, CutsOffEmptyDataFrames) {
  start();
  Receiver r(pool);
  request(r, true);
  ASSERT_TRUE(exchange());
  peer.headers(1, {{":status", "200"}}, false);
  ASSERT_TRUE(exchange());
  const std::string empty("\0\0\0\0\0\0\0\0\1", 9);
  EXPECT_TRUE(give(empty));
  EXPECT_FALSE(give(empty));
  EXPECT_EQ(session->error(), "http2.inbound_empty_frames_flood");
  session->abandon(ResetReason::ProtocolError, session->error());
  EXPECT_EQ(r.reset, ResetReason::ProtocolError);
}

TEST_F(SessionTest, CutsOffResetsOfStreamsThatAreOver) {
  start();
  Receiver r(pool);
  request(r, true);
  ASSERT_TRUE(exchange());
  peer.reset(1, NGHTTP2_CANCEL);
  ASSERT_TRUE(exchange());
  const std::string reset("\0\0\4\3\0\0\0\0\1\0\0\0\x8", 13);
  std::string flood;
  for (int i = 0; i < 1100; ++i) flood += reset;
  EXPECT_FALSE(give(flood));
  EXPECT_EQ(session->error(), "http2.reset_flood");
}

TEST_F(SessionTest, SaysWhyGarbageIsRefused) {
  start();
  give("HTTP/1.1 400 Bad Request\r\n\r\n");
  Buffer out(pool);
  session->turn(out, 1 << 20);
  EXPECT_THAT(error, testing::HasSubstr("peer does not support HTTP/2"));
  EXPECT_FALSE(session->can_open_stream());
}

TEST_F(SessionTest, SaysWhyFramesOutOfOrderAreRefused) {
  start();
  give(std::string("\0\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 18));  // SETTINGS, DATA on stream 1
  Buffer out(pool);
  session->turn(out, 1 << 20);
  EXPECT_THAT(error, testing::StartsWith("http2.protocol_error{"));
}

TEST_F(SessionTest, AbandonedStreamsHearTheReason) {
  start();
  Receiver r(pool);
  request(r, false);
  ASSERT_TRUE(exchange());
  session->abandon(ResetReason::ConnectionClosed, "gone");
  EXPECT_EQ(r.reset, ResetReason::ConnectionClosed);
  EXPECT_EQ(r.reset_detail, "gone");
  Buffer out(pool);
  session->turn(out, 1 << 20);
  EXPECT_EQ(session->active_streams(), 0u);
}

}  // namespace
}  // namespace remora::http2
