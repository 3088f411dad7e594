// The client side: requests out, responses in, and when the connection may be used again.
#include <string>

#include "proxy/http1/client_codec_test_support.h"

namespace remora::http1 {
namespace {

using test::ClientCodecTest;
using test::Message;
using test::Recorder;

constexpr char kProtocolError[] =
    "protocol error upstream_reset_before_response_started{protocol_error}";

TEST_F(ClientCodecTest, WritesHostFirstAndLeavesOutWhatIsNotForTheServer) {
  open();
  send_head({{"a", "1"},
             {":method", "GET"},
             {":path", "/p?q"},
             {":scheme", "http"},
             {"connection", "close, x"},
             {"keep-alive", "1"},
             {"upgrade", "h2c"},
             {"transfer-encoding", "chunked"},
             {"b", "2"},
             {":authority", "h:1"}},
            true);
  EXPECT_EQ(output(), "GET /p?q HTTP/1.1\r\nhost: h:1\r\na: 1\r\nb: 2\r\n\r\n");
}

TEST_F(ClientCodecTest, SaysThatABodyIsEmptyWhereOneIsUsual) {
  for (const char* method : {"POST", "PUT", "PATCH", "OPTIONS"}) {
    ClientCodec codec(wire_.connection(), *this, options_);
    Recorder response(wire_.loop().blocks());
    sender_ = &codec.new_stream(response);
    send_head({{":method", method}, {":path", "/"}, {":authority", "h"}}, true);
    EXPECT_EQ(output(),
              std::string(method) + " / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
    sender_->reset(http::ResetReason::LocalReset);
  }
}

TEST_F(ClientCodecTest, WritesABodyByLength) {
  open();
  send_head({{":method", "POST"}, {":path", "/"}, {":authority", "h"}, {"content-length", "5"}},
            false);
  send("he", false);
  send("llo, and more", true);
  EXPECT_EQ(output(), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello");
  EXPECT_FALSE(codec().can_take_stream());
  EXPECT_EQ(drained_, 1) << "what exceeded the length makes the connection unfit";
}

TEST_F(ClientCodecTest, WritesABodyInChunks) {
  open();
  send_head({{":method", "POST"}, {":path", "/"}, {":authority", "h"}}, false);
  send("hello", false);
  send("", true);
  EXPECT_EQ(
      output(),
      "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
}

TEST_F(ClientCodecTest, WritesTrailersOnlyWhenTheyAreEnabled) {
  options_.enable_trailers = true;
  open();
  send_head({{":method", "POST"}, {":path", "/"}, {":authority", "h"}}, false);
  Message trailers(wire_.loop().blocks(), {{"x-sum", "1"}, {"host", "evil"}});
  sender_->send_trailers(trailers.map());
  EXPECT_EQ(
      output(),
      "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n");
}

TEST_F(ClientCodecTest, IsReusedWhenNothingIsInDoubt) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(codec().can_take_stream());
    get();
    EXPECT_EQ(codec().active_streams(), 1u);
    EXPECT_TRUE(
        receive("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=3\r\nConnection: "
                "keep-alive\r\n\r\nok"));
    EXPECT_EQ(response_->all(), "|:status=200\ncontent-length=2\n|ok||end|");
    EXPECT_EQ(ended_, i + 1);
  }
  EXPECT_EQ(drained_, 0);
  response_.reset();
  EXPECT_EQ(wire_.loop().blocks().blocks_in_use(), 0u);
}

TEST_F(ClientCodecTest, ReadsAChunkedResponse) {
  get();
  EXPECT_TRUE(receive(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"));
  EXPECT_EQ(response_->all(), "|:status=200\n|ok||end|");
  EXPECT_TRUE(codec().can_take_stream());
}

TEST_F(ClientCodecTest, HandsUpTrailersWhenTheyAreEnabled) {
  options_.enable_trailers = true;
  get();
  EXPECT_TRUE(receive(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"));
  EXPECT_EQ(response_->all(), "|:status=200\n|ok|x-t=1\n|end|");
}

TEST_F(ClientCodecTest, ReadsAResponseUntilTheConnectionEnds) {
  get();
  EXPECT_TRUE(receive("HTTP/1.1 200 OK\r\n\r\nhello"));
  EXPECT_FALSE(response_->ended);
  EXPECT_FALSE(receive(" world", true));
  EXPECT_EQ(response_->all(), "|:status=200\n|hello world||end|");
  EXPECT_EQ(ended_, 1);
}

TEST_F(ClientCodecTest, ExpectsNoBodyWhereNoneMayBe) {
  get("HEAD");
  EXPECT_TRUE(receive("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"));
  EXPECT_EQ(response_->all(), "|:status=200\ncontent-length=100\n|||end|");
  get("HEAD");
  EXPECT_TRUE(receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
  get();
  EXPECT_TRUE(receive("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(response_->all(), "|:status=204\n|||end|");
  get();
  EXPECT_TRUE(receive("HTTP/1.1 304 Not Modified\r\nContent-Length: 20\r\n\r\n"));
  EXPECT_EQ(response_->all(), "|:status=304\ncontent-length=20\n|||end|");
  get();
  EXPECT_TRUE(receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_TRUE(response_->ended);
}

TEST_F(ClientCodecTest, IsNotReusedAfterBytesThatNobodyAskedFor) {
  for (const char* head :
       {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"}) {
    codec_.reset();
    wire_.input().clear();
    drained_ = 0;
    get();
    EXPECT_FALSE(receive(std::string(head) + "HTTP/1.1 200 OK\r\n\r\n")) << head;
    EXPECT_TRUE(response_->ended);
    EXPECT_EQ(drained_, 1);
    EXPECT_FALSE(codec().can_take_stream());
  }
}

TEST_F(ClientCodecTest, NeverTakesExtraBytesForTheNextAnswer) {
  bool could_take = true;
  then_on_stream_ended_ = [&] { could_take = codec().can_take_stream(); };
  get();
  receive(
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: "
      "4\r\n\r\nevil");
  EXPECT_FALSE(could_take) << "not even from within on_stream_ended()";
}

TEST_F(ClientCodecTest, TakesTheNextStreamFromWithinOnStreamEnded) {
  std::unique_ptr<Recorder> first;
  get();
  then_on_stream_ended_ = [&] {
    then_on_stream_ended_ = nullptr;
    first = std::move(response_);
    get();
  };
  EXPECT_TRUE(receive("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  EXPECT_EQ(first->body, "ok");
  EXPECT_EQ(codec().active_streams(), 1u);
  EXPECT_TRUE(receive("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(response_->headers, ":status=404\ncontent-length=0\n");
}

TEST_F(ClientCodecTest, ClosesOnBytesWhileIdle) {
  get();
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(receive("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(codec().can_take_stream());
}

TEST_F(ClientCodecTest, ClosesOnEndOfInputWhileIdle) {
  EXPECT_FALSE(receive("", true));
  EXPECT_FALSE(codec().can_take_stream());
}

TEST_F(ClientCodecTest, IsNotReusedWhenTheServerCloses) {
  for (const char* head :
       {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nProxy-Connection: close\r\nContent-Length: 2\r\n\r\n"}) {
    codec_.reset();
    drained_ = 0;
    get();
    EXPECT_TRUE(receive(head));
    EXPECT_EQ(drained_, 1) << "said as soon as it is known";
    EXPECT_FALSE(receive("ok")) << head;
    EXPECT_EQ(response_->body, "ok");
  }
}

TEST_F(ClientCodecTest, IsReusedAfterHttp10WithKeepAlive) {
  get();
  EXPECT_TRUE(receive("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"));
  EXPECT_TRUE(codec().can_take_stream());
}

TEST_F(ClientCodecTest, SkipsInformationalResponses) {
  get();
  EXPECT_TRUE(
      receive("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  EXPECT_EQ(response_->informational, ":status=100\n:status=103\nlink=a\n");
  EXPECT_EQ(response_->headers, ":status=200\ncontent-length=2\n");
}

TEST_F(ClientCodecTest, BreaksOffAStormOfInformationalResponses) {
  get();
  std::string storm;
  for (uint32_t i = 0; i < kMaxInformationalResponses; ++i)
    storm += "HTTP/1.1 102 Processing\r\n\r\n";
  EXPECT_TRUE(receive(storm));
  EXPECT_FALSE(receive("HTTP/1.1 102 Processing\r\n\r\n"));
  EXPECT_EQ(response_->reset, kProtocolError);
}

TEST_F(ClientCodecTest, BoundsTheBytesOfInformationalResponses) {
  get();
  const std::string large =
      "HTTP/1.1 103 Early Hints\r\nlink: " + std::string(50000, 'l') + "\r\n\r\n";
  EXPECT_TRUE(receive(large));
  EXPECT_FALSE(receive(large));
  EXPECT_EQ(response_->reset, kProtocolError);
}

TEST_F(ClientCodecTest, ResetsAResponseThatBreaksOff) {
  struct Case {
    const char* bytes;
    const char* reset;
  };
  for (const Case& c :
       {Case{"",
             "connection termination "
             "upstream_reset_before_response_started{connection_termination}"},
        Case{"HTTP/1.1 200 OK\r\nConte", kProtocolError},
        Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
             "protocol error upstream_reset_after_response_started{protocol_error}"},
        Case{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
             "protocol error upstream_reset_after_response_started{protocol_error}"},
        Case{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
             "protocol error upstream_reset_after_response_started{protocol_error}"},
        Case{"HTTP/1.1 100 Continue\r\n\r\n",
             "connection termination "
             "upstream_reset_before_response_started{connection_termination}"}}) {
    codec_.reset();
    wire_.input().clear();
    get();
    EXPECT_FALSE(receive(c.bytes, true));
    EXPECT_EQ(response_->reset, c.reset) << c.bytes;
  }
}

TEST_F(ClientCodecTest, BreaksOffOnABadChunk) {
  get();
  EXPECT_FALSE(receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n"));
  EXPECT_EQ(response_->body, "ok");
  EXPECT_EQ(response_->reset,
            "protocol error upstream_reset_after_response_started{protocol_error}");
}

TEST_F(ClientCodecTest, IsNotReusedWhenTheAnswerCameBeforeTheRequestEnded) {
  open();
  send_head({{":method", "POST"}, {":path", "/"}, {":authority", "h"}, {"content-length", "10"}},
            false);
  send("abc", false);
  EXPECT_FALSE(receive("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"));
  EXPECT_EQ(response_->body, "no");
  EXPECT_EQ(drained_, 1);
  codec().on_connection_closed(http::ResetReason::ConnectionClosed, "");
  EXPECT_NE(response_->reset, "") << "the request's side hears that it can stop";
  EXPECT_EQ(ended_, 1);
}

TEST_F(ClientCodecTest, TakesNoAnswerBeforeTheRequestWasSent) {
  open();
  EXPECT_FALSE(receive("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  EXPECT_EQ(response_->reset, kProtocolError);
}

TEST_F(ClientCodecTest, OpensATunnelForAnUpgradeThatWasAskedFor) {
  open();
  send_head({{":method", "GET"},
             {":path", "/"},
             {":authority", "h"},
             {"connection", "Upgrade"},
             {"upgrade", "websocket"},
             {"a", "1"}},
            false);
  send("early", false);
  EXPECT_EQ(
      output(),
      "GET / HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\na: 1\r\n\r\n")
      << "bytes wait for the answer";
  EXPECT_TRUE(
      receive("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
              "Upgrade\r\n\r\nHTTP/1.1"));
  EXPECT_EQ(output(), "early");
  EXPECT_EQ(response_->all(),
            "|:status=101\nupgrade=websocket\nconnection=Upgrade\n|HTTP/1.1||open|");
  send("raw", false);
  EXPECT_EQ(output(), "raw");
  EXPECT_FALSE(receive("", true) && codec().can_take_stream());
  EXPECT_TRUE(response_->ended);
}

TEST_F(ClientCodecTest, TreatsARefusedUpgradeAsAnOrdinaryAnswer) {
  open();
  send_head({{":method", "GET"},
             {":path", "/"},
             {":authority", "h"},
             {"upgrade", "websocket"},
             {"connection", "upgrade"}},
            false);
  send("early", false);
  output();
  EXPECT_FALSE(receive("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"));
  EXPECT_EQ(response_->all(), "|:status=404\ncontent-length=2\n|no||end|");
  EXPECT_EQ(output(), "") << "what was sent for the tunnel is never forwarded";
}

TEST_F(ClientCodecTest, TunnelsConnect) {
  open();
  send_head({{":method", "CONNECT"}, {":authority", "h:80"}}, false);
  EXPECT_EQ(output(), "CONNECT h:80 HTTP/1.1\r\nhost: h:80\r\n\r\n");
  EXPECT_TRUE(receive("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"));
  EXPECT_EQ(response_->all(), "|:status=200\n|abcdef||open|");
}

TEST_F(ClientCodecTest, ResetBeforeAnythingWasSentKeepsTheConnection) {
  open();
  sender_->reset(http::ResetReason::LocalReset);
  EXPECT_EQ(ended_, 1);
  EXPECT_TRUE(codec().can_take_stream());
  EXPECT_FALSE(wire_.closed());
}

TEST_F(ClientCodecTest, ResetOfARequestUnderWayClosesTheConnection) {
  get();
  sender_->reset(http::ResetReason::LocalReset);
  EXPECT_TRUE(wire_.closed());
  EXPECT_EQ(ended_, 1);
  EXPECT_EQ(drained_, 1);
  EXPECT_EQ(response_->reset, "") << "who resets is not called";
}

TEST_F(ClientCodecTest, StopsDeliveringWhilePaused) {
  get();
  receive("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab");
  sender_->pause_receiving();
  EXPECT_TRUE(wire_.connection().reading_paused());
  receive("cd");
  EXPECT_EQ(response_->body, "ab");
  sender_->resume_receiving();
  EXPECT_FALSE(wire_.connection().reading_paused());
  EXPECT_TRUE(receive("ef"));
  EXPECT_EQ(response_->body, "abcdef");
}

TEST_F(ClientCodecTest, DeliversWhatCameBeforeTheEndAfterAPause) {
  get();
  receive("HTTP/1.1 200 OK\r\n\r\nab");
  sender_->pause_receiving();
  EXPECT_TRUE(receive("cd", true));
  EXPECT_FALSE(response_->ended);
  sender_->resume_receiving();
  EXPECT_FALSE(receive(""));
  EXPECT_EQ(response_->body, "abcd");
  EXPECT_TRUE(response_->ended);
}

TEST_F(ClientCodecTest, PassesBackPressureOfTheServerOn) {
  get();
  codec().on_write_high_water();
  EXPECT_TRUE(response_->send_blocked);
  codec().on_write_low_water();
  EXPECT_FALSE(response_->send_blocked);
}

TEST_F(ClientCodecTest, CountsBytesOfTheStream) {
  get();
  EXPECT_EQ(sender_->wire_bytes_sent(), std::string("GET / HTTP/1.1\r\nhost: h\r\n\r\n").size());
  uint64_t received = 0;
  response_->then_on_data = [&](bool) { received = sender_->wire_bytes_received(); };
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  receive(answer);
  EXPECT_EQ(received, answer.size());
}

/// Responses whose meaning must not depend on how they arrive.
TEST_F(ClientCodecTest, MeansTheSameSplitAnywhere) {
  for (const std::string& bytes :
       {std::string("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: "
                    "y\r\n\r\nhello"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n3;e\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"),
        std::string("HTTP/1.0 200\r\n\r\nuntil the end")}) {
    std::string whole;
    for (size_t i = 0; i < bytes.size(); ++i) {
      codec_.reset();
      wire_.input().clear();
      get();
      if (receive(bytes.substr(0, i)) && codec().active_streams() > 0) {
        if (receive(bytes.substr(i)) && codec().active_streams() > 0) receive("", true);
      }
      if (i == 0) whole = response_->all();
      EXPECT_EQ(response_->all(), whole) << bytes << "\nsplit at " << i;
    }
  }
}

}  // namespace
}  // namespace remora::http1
