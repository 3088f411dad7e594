// The server side: requests in, responses out, in order, over one connection.
#include <string>

#include "proxy/http1/server_codec_test_support.h"

namespace remora::http1 {
namespace {

using test::Message;
using test::Recorder;
using test::ServerCodecTest;

constexpr char kGet[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr char kEmptyOk[] = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

TEST_F(ServerCodecTest, HandsUpARequestWithoutABody) {
  EXPECT_TRUE(codec().idle());
  EXPECT_TRUE(receive(kGet));
  EXPECT_EQ(stream().all(), "|:method=GET\n:path=/x\n:authority=h\n|||end|");
  EXPECT_FALSE(codec().idle());
  EXPECT_EQ(sender_->wire_bytes_received(), sizeof(kGet) - 1);
}

TEST_F(ServerCodecTest, OpensTheStreamAtTheFirstByte) {
  EXPECT_TRUE(receive("\r\n\r"));
  EXPECT_TRUE(codec().idle()) << "blank lines begin nothing";
  EXPECT_TRUE(receive("\nG"));
  EXPECT_EQ(streams_.size(), 1u);
  EXPECT_FALSE(codec().idle());
}

TEST_F(ServerCodecTest, WritesAResponseWithLengthInMapOrder) {
  receive(kGet);
  respond({{":status", "200"}, {"b", "1"}, {"content-length", "2"}, {"a", "2"}}, false);
  send("ok", true);
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\nb: 1\r\ncontent-length: 2\r\na: 2\r\n\r\nok");
  EXPECT_TRUE(codec().idle());
  EXPECT_FALSE(codec().wants_close());
}

TEST_F(ServerCodecTest, WritesAResponseWithoutLengthInChunks) {
  receive(kGet);
  respond({{":status", "404"}}, false);
  send("abc", false);
  send("", false);
  send(std::string(20, 'x'), true);
  EXPECT_EQ(output(),
            "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n14\r\n" +
                std::string(20, 'x') + "\r\n0\r\n\r\n");
}

TEST_F(ServerCodecTest, WritesTrailersOnlyWhenTheyAreEnabled) {
  receive(kGet);
  respond({{":status", "200"}}, false);
  send("abc", false);
  Message trailers(wire_.loop().blocks(), {{"x-sum", "1"}, {"content-length", "3"}});
  sender_->send_trailers(trailers.map());
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  options_.enable_trailers = true;
  receive(kGet);
  respond({{":status", "200"}}, false);
  sender_->send_trailers(trailers.map());
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n");
  EXPECT_TRUE(codec().idle());
}

TEST_F(ServerCodecTest, SaysThatAnEmptyResponseIsEmpty) {
  receive(kGet);
  answer("503");
  EXPECT_EQ(output(), "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
}

TEST_F(ServerCodecTest, SendsNoBodyWhereNoneMayBe) {
  receive("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
  respond({{":status", "200"}, {"content-length", "5"}}, false);
  send("hello", true);
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
  receive("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
  answer("200");
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  receive(kGet);
  respond({{":status", "204"}, {"content-length", "0"}}, true);
  EXPECT_EQ(output(), "HTTP/1.1 204 No Content\r\n\r\n");
  receive(kGet);
  respond({{":status", "304"}, {"content-length", "20"}}, true);
  EXPECT_EQ(output(), "HTTP/1.1 304 Not Modified\r\ncontent-length: 20\r\n\r\n");
  receive(kGet);
  respond({{":status", "304"}}, false);
  send("x", true);
  EXPECT_EQ(output(), "HTTP/1.1 304 Not Modified\r\n\r\n");
  EXPECT_TRUE(codec().idle());
}

TEST_F(ServerCodecTest, KeepsAnnouncedLengthTrue) {
  receive(kGet);
  respond({{":status", "200"}, {"content-length", "2"}}, false);
  send("okHTTP/1.1 200 split", true);
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  EXPECT_TRUE(codec().wants_close());
}

TEST_F(ServerCodecTest, ClosesAfterAResponseThatIsTooShort) {
  receive(kGet);
  respond({{":status", "200"}, {"content-length", "5"}}, false);
  send("ok", true);
  EXPECT_TRUE(codec().wants_close());
}

TEST_F(ServerCodecTest, NeverForwardsConnectionFieldsOfAResponse) {
  receive(kGet);
  respond({{":status", "200"},
           {"connection", "x"},
           {"transfer-encoding", "gzip"},
           {"keep-alive", "5"},
           {"content-length", "2, 2"}},
          true);
  EXPECT_EQ(output(), kEmptyOk);
}

TEST_F(ServerCodecTest, ReadsABodyByItsLength) {
  receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
  EXPECT_FALSE(stream().ended);
  receive("lloGET /next HTTP/1.1\r\n");
  EXPECT_EQ(stream().body, "hello");
  EXPECT_TRUE(stream().ended);
  EXPECT_EQ(streams_.size(), 1u) << "the next request waits for the answer";
  EXPECT_TRUE(wire_.connection().reading_paused());
}

TEST_F(ServerCodecTest, ReadsAChunkedBodyAndChecksItsTrailers) {
  receive(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n");
  EXPECT_EQ(stream().all(),
            "|:method=POST\n:path=/\n:authority=h\ntransfer-encoding=chunked\n|abcde||end|");
}

TEST_F(ServerCodecTest, HandsUpTrailersWhenTheyAreEnabled) {
  options_.enable_trailers = true;
  receive(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: "
      "1\r\nHost: evil\r\n\r\n");
  EXPECT_EQ(stream().body, "abc");
  EXPECT_EQ(stream().trailers, "x-t=1\n");
  EXPECT_TRUE(stream().ended);
}

TEST_F(ServerCodecTest, AnswersPipelinedRequestsInOrder) {
  answer_at_once_ = true;
  EXPECT_TRUE(receive(std::string(kGet) +
                      "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + kGet));
  EXPECT_EQ(streams_.size(), 3u);
  EXPECT_EQ(stream(1).body, "abc");
  EXPECT_EQ(output(), std::string(kEmptyOk) + kEmptyOk + kEmptyOk);
}

TEST_F(ServerCodecTest, LetsPipelinedRequestsWaitInTheConnection) {
  receive(std::string(kGet) + kGet);
  EXPECT_EQ(streams_.size(), 1u);
  EXPECT_TRUE(wire_.connection().reading_paused());
  answer("200");
  EXPECT_FALSE(wire_.connection().reading_paused());
  redeliver();
  EXPECT_EQ(streams_.size(), 2u);
}

TEST_F(ServerCodecTest, ClosesWhenTheClientAskedForIt) {
  for (const char* line :
       {"Connection: close", "Connection: x, CLOSE", "Proxy-Connection: close"}) {
    ServerCodec codec(wire_.connection(), *this, options_);
    Buffer in(wire_.loop().blocks());
    in.append("GET / HTTP/1.1\r\nHost: h\r\n" + std::string(line) +
              "\r\n\r\nGET /never HTTP/1.1\r\n\r\n");
    const size_t before = streams_.size();
    codec.dispatch(in, false);
    answer("200");
    EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        << line;
    EXPECT_TRUE(codec.wants_close());
    EXPECT_FALSE(codec.dispatch(in, false));
    EXPECT_EQ(streams_.size(), before + 1);
  }
}

TEST_F(ServerCodecTest, ClosesAfterTheNextResponseWhenDraining) {
  receive(kGet);
  codec().start_drain();
  EXPECT_FALSE(codec().wants_close());
  answer("200");
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  EXPECT_TRUE(codec().wants_close());
}

TEST_F(ServerCodecTest, ClosesAfterAResponseThatCameBeforeTheRequestEnded) {
  receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc");
  answer("413");
  EXPECT_EQ(output(),
            "HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  EXPECT_TRUE(codec().wants_close());
  EXPECT_FALSE(receive(std::string(97, 'x') + kGet));
  EXPECT_EQ(streams_.size(), 1u);
  EXPECT_TRUE(wire_.input().empty());
}

TEST_F(ServerCodecTest, ForwardsExpectAndSendsInformationalResponses) {
  receive("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_NE(stream().headers.find("expect=100-continue\n"), std::string::npos);
  Message hint(wire_.loop().blocks(), {{":status", "100"}});
  sender_->send_informational(hint.map());
  EXPECT_EQ(output(), "HTTP/1.1 100 Continue\r\n\r\n");
  receive("ok");
  answer("200");
  EXPECT_EQ(output(), kEmptyOk);
}

TEST_F(ServerCodecTest, RefusesHttp10UnlessItIsAccepted) {
  EXPECT_FALSE(receive("GET / HTTP/1.0\r\nHost: h\r\n\r\n"));
  EXPECT_EQ(errors_, "426 low_version");
  EXPECT_EQ(output(),
            "HTTP/1.1 426 Upgrade Required\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
}

TEST_F(ServerCodecTest, SpeaksHttp10WhenItIsAccepted) {
  options_.accept_http_10 = true;
  options_.default_host_for_http_10 = "default.example";
  receive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(sender_->protocol(), http::Protocol::Http10);
  EXPECT_EQ(stream().headers,
            ":method=GET\n:path=/\nconnection=keep-alive\n:authority=default.example\n");
  respond({{":status", "200"}, {"content-length", "2"}}, false);
  send("ok", true);
  EXPECT_EQ(output(), "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok");
  EXPECT_FALSE(codec().wants_close());
  receive("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
  respond({{":status", "200"}}, false);
  send("ok", true);
  EXPECT_EQ(output(), "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nok");
  EXPECT_TRUE(codec().wants_close());
}

TEST_F(ServerCodecTest, ClosesAfterHttp10WithoutKeepAlive) {
  options_.accept_http_10 = true;
  receive("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
  answer("200");
  EXPECT_EQ(output(), "HTTP/1.0 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
}

TEST_F(ServerCodecTest, RefusesACodingInHttp10) {
  options_.accept_http_10 = true;
  EXPECT_FALSE(
      receive("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
  EXPECT_EQ(errors_, "400 http1.transfer_encoding_not_allowed");
}

TEST_F(ServerCodecTest, LetsTheTargetWinOverHost) {
  receive("GET http://target.example:81/p HTTP/1.1\r\nHost: other\r\n\r\n");
  EXPECT_EQ(stream().headers,
            ":method=GET\n:path=/p\n:authority=target.example:81\n:scheme=http\n");
}

TEST_F(ServerCodecTest, ServesAnUpgradeToHttp2AsAPlainRequest) {
  receive(
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "
      "h2c\r\nHTTP2-Settings: x\r\n\r\n");
  EXPECT_EQ(stream().headers.find("upgrade="), std::string::npos);
  EXPECT_EQ(stream().headers.find("http2-settings="), std::string::npos);
  EXPECT_TRUE(stream().ended);
}

TEST_F(ServerCodecTest, HoldsWhatFollowsAnUpgradeUntilItIsAccepted) {
  receive("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nearly");
  EXPECT_FALSE(stream().ended);
  EXPECT_EQ(stream().body, "");
  EXPECT_TRUE(wire_.connection().reading_paused());
  respond({{":status", "101"}, {"upgrade", "websocket"}, {"content-length", "5"}}, false);
  EXPECT_EQ(
      output(),
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
  EXPECT_FALSE(wire_.connection().reading_paused());
  redeliver();
  EXPECT_EQ(stream().body, "early");
  receive("GET / HTTP/1.1\r\n");
  EXPECT_EQ(stream().body, "earlyGET / HTTP/1.1\r\n") << "nothing is HTTP any more";
  send("raw", false);
  EXPECT_EQ(output(), "raw");
  EXPECT_TRUE(receive("", true));
  EXPECT_TRUE(stream().ended);
  send("", true);
  EXPECT_TRUE(codec().wants_close());
}

TEST_F(ServerCodecTest, ServesWhatIsNoProperUpgradeAsAPlainRequest) {
  const std::string_view heads[] = {
      "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket, x\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade:\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: "
      "2\r\n\r\nab",
  };
  for (const std::string_view head : heads) {
    receive(head);
    EXPECT_EQ(streams_.back()->headers.find("upgrade="), std::string::npos) << head;
    EXPECT_TRUE(streams_.back()->ended) << head;
    answer("200");
  }
  EXPECT_FALSE(codec().wants_close());
}

TEST_F(ServerCodecTest, GoesOnAfterAnUpgradeThatNobodyWants) {
  decline_upgrades_ = true;
  receive("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" +
          std::string(kGet));
  answer("200");
  redeliver();
  EXPECT_EQ(streams_.size(), 2u);
  EXPECT_FALSE(codec().wants_close());
}

TEST_F(ServerCodecTest, EndsEachDirectionOfATunnelForItself) {
  receive("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n");
  respond({{":status", "200"}}, false);
  send("bye", true);
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\n\r\nbye");
  EXPECT_TRUE(receive("more")) << "the client has not ended";
  EXPECT_EQ(stream().body, "more");
  EXPECT_FALSE(receive("", true));
  EXPECT_TRUE(stream().ended);
}

TEST_F(ServerCodecTest, ClosesAfterAnUpgradeWasRefused) {
  receive("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" +
          std::string(kGet));
  answer("403");
  EXPECT_EQ(output(), "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  EXPECT_FALSE(redeliver());
  EXPECT_EQ(streams_.size(), 1u);
}

TEST_F(ServerCodecTest, TunnelsAConnectThatWasAccepted) {
  receive("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n");
  EXPECT_EQ(stream().headers, ":method=CONNECT\n:authority=h:80\n");
  EXPECT_FALSE(stream().ended);
  respond({{":status", "200"}}, false);
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\n\r\n");
  receive("bytes");
  EXPECT_EQ(stream().body, "bytes");
}

TEST_F(ServerCodecTest, StopsDeliveringWhilePaused) {
  receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nab");
  sender_->pause_receiving();
  sender_->pause_receiving();
  EXPECT_TRUE(wire_.connection().reading_paused());
  receive("cd");
  EXPECT_EQ(stream().body, "ab");
  sender_->resume_receiving();
  EXPECT_TRUE(wire_.connection().reading_paused()) << "each pause needs its resume";
  sender_->resume_receiving();
  EXPECT_FALSE(wire_.connection().reading_paused());
  redeliver();
  EXPECT_EQ(stream().body, "abcd");
  receive("ef");
  EXPECT_TRUE(stream().ended);
}

TEST_F(ServerCodecTest, LeavesNoPauseBehindAStream) {
  receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
  sender_->pause_receiving();
  answer("200");
  EXPECT_FALSE(wire_.connection().reading_paused());
}

TEST_F(ServerCodecTest, PassesBackPressureOfTheClientOn) {
  receive(kGet);
  codec().on_write_high_water();
  EXPECT_TRUE(stream().send_blocked);
  codec().on_write_low_water();
  EXPECT_FALSE(stream().send_blocked);
}

TEST_F(ServerCodecTest, ServesNoFurtherRequestWhileAnswersAreNotTaken) {
  receive(kGet);
  codec().on_write_high_water();
  answer("200");
  receive(kGet);
  EXPECT_EQ(streams_.size(), 1u);
  EXPECT_TRUE(wire_.connection().reading_paused());
  codec().on_write_low_water();
  EXPECT_FALSE(wire_.connection().reading_paused());
  redeliver();
  EXPECT_EQ(streams_.size(), 2u);
}

TEST_F(ServerCodecTest, ClosesOnEndOfInputBetweenRequests) {
  EXPECT_TRUE(receive(""));
  EXPECT_FALSE(receive("", true));
}

TEST_F(ServerCodecTest, FinishesTheResponseAfterEndOfInput) {
  EXPECT_TRUE(receive(kGet, true));
  answer("200");
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  EXPECT_TRUE(codec().wants_close());
}

TEST_F(ServerCodecTest, ServesPipelinedRequestsThatCameBeforeEndOfInput) {
  EXPECT_TRUE(receive(std::string(kGet) + kGet, true));
  answer("200");
  EXPECT_EQ(output(), kEmptyOk);
  EXPECT_TRUE(redeliver());
  answer("200");
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
}

TEST_F(ServerCodecTest, ResetsARequestThatWasCutOff) {
  for (const char* bytes :
       {"GET / HT", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-"}) {
    ServerCodec codec(wire_.connection(), *this, options_);
    Buffer in(wire_.loop().blocks());
    in.append(std::string_view(bytes));
    EXPECT_FALSE(codec.dispatch(in, true));
    EXPECT_EQ(streams_.back()->reset, "connection termination downstream_remote_disconnect")
        << bytes;
  }
}

TEST_F(ServerCodecTest, ResetClosesTheConnection) {
  receive(kGet);
  sender_->reset(http::ResetReason::LocalReset);
  EXPECT_TRUE(wire_.closed());
  EXPECT_EQ(stream().reset, "") << "who resets is not called";
}

TEST_F(ServerCodecTest, TellsAnOpenStreamThatTheConnectionIsGone) {
  receive(kGet);
  codec().on_connection_closed();
  EXPECT_EQ(stream().reset, "connection termination downstream_remote_disconnect");
  EXPECT_TRUE(codec().wants_close());
}

TEST_F(ServerCodecTest, HoldsNoBlockBetweenRequests) {
  answer_at_once_ = true;
  receive(kGet);
  output();
  streams_.clear();
  EXPECT_EQ(wire_.loop().blocks().blocks_in_use(), 0u);
}

}  // namespace
}  // namespace remora::http1
