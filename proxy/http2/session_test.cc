// The session against nghttp2's own server side, in memory.
#include "proxy/http2/session.h"

#include <deque>
#include <string>
#include <vector>

#include "proxy/http2/test_session.h"

namespace remora::http2 {
namespace {

using testing::ElementsAre;
using testing::Pair;

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

TEST_F(SessionTest, PausedStreamsDoNotStopTheOthers) {
  start();
  std::deque<Receiver> slow;
  std::vector<http::StreamSender*> senders;
  for (int i = 0; i < 10; ++i) senders.push_back(&request(slow.emplace_back(pool), true));
  Receiver quick(pool);
  request(quick, true);
  ASSERT_TRUE(exchange());
  const std::string big(200'000, 'x');
  for (int i = 0; i <= 10; ++i) {
    if (i < 10) senders[i]->pause_receiving();
    peer.headers(1 + 2 * i, {{":status", "200"}}, false);
    peer.data(1 + 2 * i, big, true);
    ASSERT_TRUE(exchange());
  }
  EXPECT_EQ(quick.body.size(), big.size());
  EXPECT_TRUE(quick.ended);
  EXPECT_GE(pool.promised(), 10u * 65'535);
  for (http::StreamSender* s : senders) s->resume_receiving();
  ASSERT_TRUE(exchange());
  for (Receiver& r : slow) EXPECT_EQ(r.body, big);
  session.reset();
  EXPECT_EQ(pool.promised(), 0u);
}

TEST_F(SessionTest, WindowsGrowWithWhatIsUnderWay) {
  start();
  Receiver r(pool);
  request(r, true);
  ASSERT_TRUE(exchange());
  const auto allowed = [&] {
    return nghttp2_session_get_remote_settings(peer.session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
  };
  EXPECT_EQ(allowed(), 65'535u);
  const std::string big(20'000'000, 'x');
  peer.headers(1, {{":status", "200"}}, false);
  peer.data(1, big, true);
  for (int i = 0; i < 1000 && !r.ended; ++i) {
    const std::string data = peer.output();
    time.now_ms += 1;
    Buffer out(pool);
    session->turn(out, write_limit);
    ASSERT_TRUE(give(data));  // had left before what the peer hears now
    peer.receive(out.to_string());
  }
  EXPECT_EQ(r.body, big);
  EXPECT_GE(peer.pings, 3);
  EXPECT_GT(allowed(), 1u << 20);
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
  EXPECT_EQ(stat(Stat::pending_send_bytes), 600'000u - 65'535);
  EXPECT_EQ(stat(Stat::streams_active), 1u);
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
  EXPECT_EQ(stat(Stat::rx_reset), 3u);
  EXPECT_EQ(stat(Stat::streams_active), 0u);
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

TEST_F(SessionTest, SaysItsSettings) {
  SessionOptions options;
  options.hpack_table_bytes = 100;
  options.max_concurrent_streams = 5;
  options.initial_stream_window = 70'000;
  options.allow_connect = true;
  options.extra_settings = {{0xf000, 0x01020304}};
  start(options);
  Buffer out(pool);
  session->turn(out, 1 << 20);
  const std::string settings(
      "\0\0\x2a\4\0\0\0\0\0"
      "\0\1\0\0\0\x64"
      "\0\3\0\0\0\5"
      "\0\4\0\1\x11\x70"
      "\0\6\0\0\xf0\0"
      "\0\x8\0\0\0\1"
      "\xf0\0\1\2\3\4"
      "\0\2\0\0\0\0",
      9 + 42);
  EXPECT_THAT(out.to_string(), testing::HasSubstr(settings));
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

TEST_F(SessionTest, AHeadThatIsWholeOnlyWhenNobodyWantsItAnyMoreIsDropped) {
  start();
  auto r = std::make_unique<Receiver>(pool);
  auto& s = request(*r, true);
  ASSERT_TRUE(exchange());
  give(std::string("\0\0\1\1\0\0\0\0\1\x88", 10));  // HEADERS, to be continued: :status 200
  s.reset(ResetReason::LocalReset);
  r.reset();  // and with it what has come of the head
  write_limit = 0;
  ASSERT_TRUE(exchange());
  EXPECT_TRUE(give(std::string("\0\0\1\x9\4\0\0\0\1\xa1", 10)));  // CONTINUATION: date
  write_limit = 1 << 20;
  ASSERT_TRUE(exchange());
  EXPECT_EQ(session->active_streams(), 0u);
  EXPECT_EQ(peer.requests[1].close_code, static_cast<uint32_t>(NGHTTP2_CANCEL));
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
