// The client codec over a socket pair, against nghttp2's own server side.
#include "proxy/http2/client_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <optional>
#include <utility>

#include "proxy/http2/test_peer.h"

namespace remora::http2 {
namespace {

using http::ResetReason;

struct Response final : http::StreamReceiver {
  explicit Response(EventLoop& loop) : arena_(loop.blocks()) {}
  Arena& arena() override { return arena_; }
  void on_headers(http::HeaderMap& headers, bool end) override {
    status = headers.status();
    ended |= end;
  }
  void on_data(Buffer& data, bool end) override {
    bytes += data.size();
    data.clear();
    ended |= end;
  }
  void on_trailers(http::HeaderMap&) override { ended = true; }
  void on_reset(ResetReason reason, std::string_view) override { reset = reason; }
  void on_send_high_water() override { ++high; }
  void on_send_low_water() override { ++low; }

  Arena arena_;
  uint16_t status = 0;
  size_t bytes = 0;
  int high = 0, low = 0;
  bool ended = false;
  std::optional<ResetReason> reset;
};

struct ClientCodecTest : testing::Test, ConnectionHandler, http::ClientCodecHandler {
  ClientCodecTest() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    peer_fd = fds[1];
    connection.emplace(loop, Socket(fds[0]), raw_transport_factory()->make(fds[0], {}),
                       ConnectionLimits());
    connection->set_handler(*this);
    connection->begin();
    http::ClientCodecHandler& handler = *this;
    codec.emplace(*connection, handler, SessionOptions(), 1024 * 1024);
  }
  ~ClientCodecTest() override {
    if (!connection->closed()) connection->close(CloseHow::NoFlush);
    if (peer_fd >= 0) ::close(peer_fd);
  }

  // ConnectionHandler
  void on_connected() override {}
  void on_data(Buffer& data, bool end_stream) override {
    if (!codec->dispatch(data, end_stream)) connection->close(CloseHow::Flush);
  }
  void on_closed(CloseCause) override {
    codec->on_connection_closed(ResetReason::ConnectionClosed, "gone");
  }
  void on_write_high_water() override { codec->on_write_high_water(); }
  void on_write_low_water() override { codec->on_write_low_water(); }
  // http::ClientCodecHandler
  void on_codec_draining() override { ++draining; }
  void on_stream_failed(ResetReason reason) override { failed = reason; }
  void on_stream_ended() override { ++ended; }
  void on_codec_error(std::string_view detail) override { error = detail; }
  void on_max_streams(uint32_t max) override { max_streams = max; }

  http::StreamSender& get(Response& response) {
    http::HeaderMap headers(response.arena());
    headers.add(http::HeaderId::Method, "GET");
    headers.add(http::HeaderId::Path, "/");
    headers.add(http::HeaderId::Scheme, "http");
    headers.add(http::HeaderId::Authority, "a");
    http::StreamSender& sender = codec->new_stream(response);
    sender.send_headers(headers, true);
    return sender;
  }
  void turn() {
    loop.run_once(0);
    char bytes[65536];
    for (ssize_t n; peer_fd >= 0 && (n = read(peer_fd, bytes, sizeof(bytes))) > 0;) {
      peer.receive({bytes, static_cast<size_t>(n)});
    }
    to_client += peer.output();
    const ssize_t sent = peer_fd < 0 ? 0 : write(peer_fd, to_client.data(), to_client.size());
    if (sent > 0) to_client.erase(0, static_cast<size_t>(sent));
  }
  template <class F>
  void run_until(F done) {
    for (int i = 0; i < 10'000 && !done(); ++i) turn();
    EXPECT_TRUE(done());
  }

  EventLoop loop;
  TestPeer peer{{{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 7}}};
  int peer_fd = -1;
  std::string to_client;
  std::deque<Response> responses;  // outlive the codec
  std::optional<Connection> connection;
  std::optional<ClientCodec> codec;
  int draining = 0, ended = 0;
  uint32_t max_streams = 0;
  std::optional<ResetReason> failed;
  std::string error;
};

TEST_F(ClientCodecTest, CarriesStreamsSideBySide) {
  Response &one = responses.emplace_back(loop), &two = responses.emplace_back(loop);
  get(one);
  get(two);
  run_until([&] { return peer.requests[3].ended && max_streams > 0; });
  EXPECT_EQ(codec->active_streams(), 2u);
  EXPECT_EQ(max_streams, 7u);
  peer.headers(3, {{":status", "200"}}, false);
  peer.headers(1, {{":status", "404"}}, true);
  peer.data(3, std::string(3'000'000, 'x'), true);
  run_until([&] { return one.ended && two.ended; });
  EXPECT_EQ(one.status, 404);
  EXPECT_EQ(two.bytes, 3'000'000u);
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(codec->active_streams(), 0u);
}

TEST_F(ClientCodecTest, WritesOfATurnLeaveTogether) {
  Response &one = responses.emplace_back(loop), &two = responses.emplace_back(loop);
  get(one);
  get(two);
  EXPECT_EQ(connection->write_buffer().size(), 0u) << "nothing before the end of the turn";
  turn();
  EXPECT_EQ(peer.requests.size(), 2u);
}

TEST_F(ClientCodecTest, SlowsTheSenderToThePaceOfTheSocket) {
  Response& response = responses.emplace_back(loop);
  http::HeaderMap headers(response.arena());
  headers.add(http::HeaderId::Method, "POST");
  headers.add(http::HeaderId::Path, "/");
  headers.add(http::HeaderId::Scheme, "http");
  headers.add(http::HeaderId::Authority, "a");
  http::StreamSender& sender = codec->new_stream(response);
  sender.send_headers(headers, false);
  Buffer body(loop.blocks());
  body.append(std::string(8'000'000, 'b'));
  sender.send_data(body, true);
  loop.run_once(0);
  EXPECT_LE(connection->write_buffer().size(), 1024u * 1024 + 20'000);
  EXPECT_EQ(response.high, 1);
  run_until([&] { return peer.requests[1].ended; });
  EXPECT_EQ(peer.requests[1].body.size(), 8'000'000u);
  run_until([&] { return response.low == 1; });
}

TEST_F(ClientCodecTest, TellsStreamsThatTheConnectionIsGone) {
  Response& response = responses.emplace_back(loop);
  get(response);
  turn();
  ::close(std::exchange(peer_fd, -1));
  run_until([&] { return response.reset.has_value(); });
  EXPECT_EQ(response.reset, ResetReason::ConnectionClosed);
  EXPECT_EQ(error, "");
}

TEST_F(ClientCodecTest, TakesNoNewStreamAfterGoaway) {
  Response& response = responses.emplace_back(loop);
  get(response);
  turn();
  peer.goaway(1, NGHTTP2_NO_ERROR);
  run_until([&] { return draining == 1; });
  EXPECT_FALSE(codec->can_take_stream());
  peer.headers(1, {{":status", "200"}}, true);
  run_until([&] { return response.ended; });
}

TEST_F(ClientCodecTest, TellsWhichStreamsTheServerFailed) {
  Response &reset = responses.emplace_back(loop), &wrong = responses.emplace_back(loop);
  get(reset);
  get(wrong);
  turn();
  peer.reset(1, NGHTTP2_INTERNAL_ERROR);
  run_until([&] { return reset.reset.has_value(); });
  EXPECT_EQ(failed, ResetReason::RemoteReset);
  peer.headers(3, {{":status", "200"}, {"content-length", "9"}}, false);
  peer.data(3, "short", true);
  run_until([&] { return wrong.reset.has_value(); });
  EXPECT_EQ(failed, ResetReason::ProtocolError);
  EXPECT_EQ(ended, 2);
}

TEST_F(ClientCodecTest, ReportsAPeerThatSpeaksSomethingElseAndCloses) {
  Response& response = responses.emplace_back(loop);
  get(response);
  to_client = "HTTP/1.1 400 Bad Request\r\n\r\n";
  peer.output();  // its SETTINGS get lost
  run_until([&] { return !error.empty(); });
  EXPECT_THAT(error, testing::HasSubstr("protocol"));
  EXPECT_EQ(response.reset, ResetReason::ProtocolError);
  EXPECT_FALSE(codec->can_take_stream());
}

}  // namespace
}  // namespace remora::http2
