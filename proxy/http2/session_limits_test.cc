// What a peer may not do: malformed messages, silence, floods.
#include <deque>
#include <set>

#include "proxy/http2/test_session.h"

namespace remora::http2 {
namespace {

// ---------------------------------------------------------------------------------------- messages
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
  EXPECT_EQ(many.reset, ResetReason::RemoteReset);
  EXPECT_EQ(many.reset_detail, "http2.too_many_headers");
  EXPECT_EQ(wide.reset, ResetReason::RemoteReset);
  EXPECT_EQ(stat(Stat::header_overflow), 2u);
  EXPECT_EQ(stat(Stat::tx_reset), 2u);
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

TEST_F(SessionTest, AMalformedMessageEndsTheConnection) {
  start();
  Receiver bad(pool), good(pool);
  request(bad, true);
  request(good, true);
  ASSERT_TRUE(exchange());
  peer.headers(1, {{"x-test", "no status"}}, true);
  EXPECT_FALSE(give(peer.output()));
  EXPECT_EQ(session->error(), "http2.violation.of.messaging.rule");
  EXPECT_FALSE(session->can_open_stream());
  EXPECT_EQ(stat(Stat::rx_messaging_error), 1u);
}

TEST_F(SessionTest, AMalformedMessageEndsItsStreamAloneWhenThatIsWanted) {
  SessionOptions options;
  options.stream_error_on_invalid_message = true;
  start(options);
  Receiver bad(pool), good(pool);
  request(bad, true);
  request(good, true);
  ASSERT_TRUE(exchange());
  peer.headers(1, {{"x-test", "no status"}}, true);
  peer.headers(3, {{":status", "200"}}, true);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(bad.reset, ResetReason::ProtocolError);
  EXPECT_EQ(bad.reset_detail, "http2.violation.of.messaging.rule");
  EXPECT_EQ(good.said, "headers 200 end;");
  EXPECT_EQ(stat(Stat::rx_messaging_error), 1u);
}

// ------------------------------------------------------------------------------------ keep-alive
TEST_F(SessionTest, PingsAQuietPeerAndGivesItUpWhenItStaysSilent) {
  SessionOptions options;
  options.keepalive_interval_ms = 1000;
  options.keepalive_timeout_ms = 500;
  options.keepalive_jitter_percent = 0;
  start(options);
  ASSERT_TRUE(exchange());
  pass(1000);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(peer.pings, 1);
  pass(999);
  EXPECT_EQ(error, "");
  pass(1);  // the second ping, which stays unanswered
  pass(500);
  EXPECT_EQ(error, "http2.keepalive_timeout");
  EXPECT_EQ(stat(Stat::keepalive_timeout), 1u);
}

TEST_F(SessionTest, AnyFrameProvesThatThePeerLives) {
  SessionOptions options;
  options.keepalive_interval_ms = 1000;
  options.keepalive_timeout_ms = 500;
  options.keepalive_jitter_percent = 0;
  start(options);
  ASSERT_TRUE(exchange());
  pass(1000);
  for (int i = 0; i < 5; ++i) {
    pass(499);
    ASSERT_TRUE(give(std::string("\0\0\0\4\0\0\0\0\0", 9)));
  }
  EXPECT_EQ(error, "");
  pass(500);
  EXPECT_EQ(error, "http2.keepalive_timeout");
}

TEST_F(SessionTest, JitterMakesTheIntervalLongerAndEverySessionsADifferentOne) {
  SessionOptions options;
  options.keepalive_interval_ms = 100'000;
  options.keepalive_jitter_percent = 50;
  start(options);
  ASSERT_TRUE(exchange());
  std::set<uint64_t> intervals;
  for (int i = 1; i <= 10; ++i) {
    uint64_t waited = 0;
    for (; peer.pings < i && waited <= 150'000; waited += 100) {
      pass(100);
      ASSERT_TRUE(exchange());
    }
    EXPECT_GE(waited, 100'000u);
    EXPECT_LE(waited, 150'100u);
    intervals.insert(waited);
  }
  EXPECT_GT(intervals.size(), 5u);
}

TEST_F(SessionTest, PingsAheadOfAStreamAfterALongSilence) {
  SessionOptions options;
  options.keepalive_idle_ms = 1000;
  options.keepalive_timeout_ms = 500;
  start(options);
  ASSERT_TRUE(exchange());
  pass(1000);
  Receiver soon(pool), late(pool);
  request(soon, true);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(peer.pings, 0);
  peer.headers(1, {{":status", "200"}}, true);
  ASSERT_TRUE(exchange());
  pass(1001);
  request(late, true);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(peer.pings, 1);
  pass(1'000'000);
  EXPECT_EQ(error, "") << "it was answered";
}

// -------------------------------------------------------------------------------------- floods
TEST_F(SessionTest, CutsOffAPeerThatMakesAnswersWaitWithoutReadingThem) {
  SessionOptions options;
  options.flood.max_outbound_control_frames = 20;
  start(options);
  ASSERT_TRUE(exchange());
  Buffer unread(pool);
  const std::string ping("\0\0\x8\6\0\0\0\0\0pingpong", 17);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(give(ping));
    session->turn(unread, 1 << 20);
  }
  EXPECT_EQ(stat(Stat::outbound_control_frames_active), 20u);
  unread.consume(17);
  ASSERT_TRUE(give(ping));
  session->turn(unread, 1 << 20);
  EXPECT_EQ(error, "") << "one had left";
  ASSERT_TRUE(give(ping));
  session->turn(unread, 1 << 20);
  EXPECT_EQ(error, "http2.outbound_control_frames_flood");
  EXPECT_EQ(stat(Stat::outbound_control_flood), 1u);
  session.reset();
  EXPECT_EQ(stat(Stat::outbound_control_frames_active), 0u);
  EXPECT_EQ(stat(Stat::outbound_frames_active), 0u);
}

TEST_F(SessionTest, CutsOffAPeerThatMakesFramesOfAnyKindWait) {
  SessionOptions options;
  options.flood.max_outbound_frames = 5;
  start(options);
  ASSERT_TRUE(exchange());
  Buffer unread(pool);
  std::deque<Receiver> receivers;
  for (int i = 0; i < 5; ++i) request(receivers.emplace_back(pool), true);
  session->turn(unread, 1 << 20);
  EXPECT_EQ(error, "");
  request(receivers.emplace_back(pool), true);
  session->turn(unread, 1 << 20);
  EXPECT_EQ(error, "http2.outbound_frames_flood");
  EXPECT_EQ(stat(Stat::outbound_flood), 1u);
  session->abandon(ResetReason::ProtocolError, error);
}

TEST_F(SessionTest, CutsOffFloods) {
  struct Case {
    const char* name;
    std::string frame;
    size_t count;
    const char* detail;
    Stat counter;
    uint64_t counted;
  };
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9), ping("\0\0\x8\6\0\0\0\0\0pingpong", 17),
      reset("\0\0\4\3\0\0\0\0\1\0\0\0\x8", 13), window("\0\0\4\x8\0\0\0\0\0\0\0\0\1", 13);
  const Case cases[] = {
      {"settings", settings, 200, "http2.settings_flood", Stat::outbound_control_flood, 1},
      {"ping", ping, 1100, "http2.ping_flood", Stat::outbound_control_flood, 2},
      {"window update", window, 20, "http2.window_update_flood",
       Stat::inbound_window_update_frames_flood, 1},
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
    EXPECT_EQ(stat(c.counter), c.counted);
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
  EXPECT_EQ(stat(Stat::inbound_empty_frames_flood), 1u);
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

TEST_F(SessionTest, AServerThatAnswersEarlyMayResetEveryStream) {
  start();
  for (int32_t id = 1; id < 2 * 3000; id += 2) {
    Receiver r(pool);
    request(r, true);
    ASSERT_TRUE(exchange());
    peer.headers(id, {{":status", "200"}}, true);
    ASSERT_TRUE(exchange());
    ASSERT_EQ(r.said, "headers 200 end;");
    std::string reset("\0\0\4\3\0\0\0\0\0\0\0\0\0", 13);
    reset[7] = static_cast<char>(id >> 8);
    reset[8] = static_cast<char>(id & 0xff);
    ASSERT_TRUE(give(reset)) << id << " " << session->error();
  }
}

}  // namespace
}  // namespace remora::http2
