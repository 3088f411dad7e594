// Both codecs on real connections and the event loop: pipelining, pauses, and no allocation in the
// steady state.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>

#include "proxy/http1/client_codec.h"
#include "proxy/http1/server_codec.h"
#include "proxy/net/connection.h"

namespace {
size_t allocations = 0;
}  // namespace

// Out of line, so that the compiler pairs new with delete and not with free.
__attribute__((noinline)) void* operator new(size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* p) noexcept { std::free(p); }
__attribute__((noinline)) void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace remora::http1 {
namespace {

constexpr size_t kAnswerBytes = 2048;

/// One end of a message: keeps the body's bytes and the arena.
class StreamEnd : public http::StreamReceiver {
 public:
  explicit StreamEnd(BlockPool& pool) : arena_(pool), body(pool) {}
  Arena& arena() override { return arena_; }
  void on_headers(http::HeaderMap&, bool end_stream) override { ended = end_stream; }
  void on_data(Buffer& data, bool end_stream) override {
    body.append(std::move(data));
    ended = end_stream;
  }
  void on_trailers(http::HeaderMap&) override { ended = true; }
  void on_reset(http::ResetReason, std::string_view) override { reset = true; }
  void clear() {
    body.clear();
    arena_.reset();
    ended = false;
  }

 private:
  Arena arena_;

 public:
  Buffer body;
  bool ended = false;
  bool reset = false;
};

/// Answers each request with kAnswerBytes in chunks, at once or when told.
class Server : private ConnectionHandler, private http::ServerCodecHandler {
 public:
  Server(EventLoop& loop, int fd)
      : connection_(loop, Socket(fd), raw_transport_factory()->make(fd, {}), ConnectionLimits()),
        stream_(loop.blocks()),
        answer_(loop.blocks()),
        codec_(connection_, *this, options_) {
    connection_.set_handler(*this);
    connection_.begin();
  }

  bool at_once = true;
  size_t served = 0;
  bool closed = false;
  Connection& connection() { return connection_; }
  bool request_waits() const { return stream_.ended; }
  void answer() {
    http::HeaderMap headers(stream_.arena());
    headers.add(http::HeaderId::Status, "200");
    headers.add(http::HeaderId::Server, "test");
    const std::span<char> room = answer_.reserve(kAnswerBytes);
    std::fill_n(room.begin(), kAnswerBytes, 'b');
    answer_.commit(kAnswerBytes);
    http::StreamSender& sender = *sender_;
    sender.send_headers(headers, false);
    stream_.clear();
    ++served;
    sender.send_data(answer_, true);
    if (codec_.wants_close()) connection_.close(CloseHow::Flush);
  }

 private:
  void on_connected() override {}
  void on_data(Buffer& data, bool end_stream) override {
    const bool open = codec_.dispatch(data, end_stream);
    if (at_once && stream_.ended) answer();
    if (!open) connection_.close(CloseHow::Flush);
  }
  void on_closed(CloseCause) override {
    closed = true;
    codec_.on_connection_closed();
  }
  void on_write_high_water() override { codec_.on_write_high_water(); }
  void on_write_low_water() override { codec_.on_write_low_water(); }
  http::StreamReceiver& on_new_stream(http::StreamSender& response) override {
    sender_ = &response;
    return stream_;
  }
  void on_codec_error(uint16_t, std::string_view) override {
    sender_->reset(http::ResetReason::LocalReset);
  }

  Connection connection_;
  StreamEnd stream_;
  Buffer answer_;
  Options options_;
  ServerCodec codec_;
  http::StreamSender* sender_ = nullptr;
};

class Client : private ConnectionHandler, private http::ClientCodecHandler {
 public:
  Client(EventLoop& loop, int fd)
      : connection_(loop, Socket(fd), raw_transport_factory()->make(fd, {}), ConnectionLimits()),
        stream_(loop.blocks()),
        codec_(connection_, *this, {}) {
    connection_.set_handler(*this);
    connection_.begin();
  }

  bool can_send() const { return codec_.can_take_stream(); }
  StreamEnd& stream() { return stream_; }
  void send_request() {
    stream_.clear();
    http::StreamSender& sender = codec_.new_stream(stream_);
    http::HeaderMap headers(stream_.arena());
    headers.add(http::HeaderId::Method, "GET");
    headers.add(http::HeaderId::Path, "/some/path?with=query");
    headers.add(http::HeaderId::Authority, "test.example");
    headers.add(http::HeaderId::UserAgent, "test");
    headers.add("x-custom", "value");
    sender.send_headers(headers, true);
  }

 private:
  void on_connected() override {}
  void on_data(Buffer& data, bool end_stream) override {
    if (!codec_.dispatch(data, end_stream)) connection_.close(CloseHow::NoFlush);
  }
  void on_closed(CloseCause) override {
    codec_.on_connection_closed(http::ResetReason::ConnectionClosed, "");
  }
  void on_write_high_water() override { codec_.on_write_high_water(); }
  void on_write_low_water() override { codec_.on_write_low_water(); }
  void on_codec_draining() override {}
  void on_stream_ended() override {}
  void on_codec_error(std::string_view) override {}

  Connection connection_;
  StreamEnd stream_;
  ClientCodec codec_;
};

class ConnectionReuseTest : public ::testing::Test {
 protected:
  ConnectionReuseTest() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_), 0);
  }
  void turns(int count) {
    for (int i = 0; i < count; ++i) loop_.run_once(0);
  }
  std::string read_all(int fd) {
    std::string text(100000, '\0');
    const ssize_t got = ::read(fd, text.data(), text.size());
    text.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return text;
  }
  static size_t count(const std::string& text, std::string_view what) {
    size_t found = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
      ++found;
    return found;
  }

  EventLoop loop_;
  int fds_[2];
};

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

TEST_F(ConnectionReuseTest, AllocatesNothingInTheSteadyState) {
  Server server(loop_, fds_[0]);
  Client client(loop_, fds_[1]);
  size_t before = 0;
  for (int i = 0; i < 300; ++i) {
    if (i == 100) before = allocations;
    ASSERT_TRUE(client.can_send());
    client.send_request();
    for (int turn = 0; turn < 10 && !client.stream().ended; ++turn) loop_.run_once(0);
    ASSERT_TRUE(client.stream().ended) << i;
    ASSERT_EQ(client.stream().body.size(), kAnswerBytes);
  }
  EXPECT_EQ(allocations - before, 0u) << "in 200 requests";
  EXPECT_EQ(server.served, 300u);
  client.stream().clear();
  EXPECT_EQ(loop_.blocks().blocks_in_use(), 0u) << "idle connections hold no block";
}

TEST_F(ConnectionReuseTest, AnswersWhatWasPipelinedInOneWrite) {
  Server server(loop_, fds_[0]);
  std::string pipeline;
  for (int i = 0; i < 5; ++i) pipeline += kGet;
  ASSERT_EQ(::write(fds_[1], pipeline.data(), pipeline.size()),
            static_cast<ssize_t>(pipeline.size()));
  turns(12);
  EXPECT_EQ(server.served, 5u);
  EXPECT_EQ(count(read_all(fds_[1]), "HTTP/1.1 200 OK\r\n"), 5u);
  ::close(fds_[1]);
}

TEST_F(ConnectionReuseTest, AnswersWhatWasPipelinedOneAfterTheOther) {
  Server server(loop_, fds_[0]);
  server.at_once = false;
  const std::string pipeline = std::string(kGet) + std::string(kGet);
  ASSERT_EQ(::write(fds_[1], pipeline.data(), pipeline.size()),
            static_cast<ssize_t>(pipeline.size()));
  turns(3);
  ASSERT_TRUE(server.request_waits());
  EXPECT_TRUE(server.connection().reading_paused());
  server.answer();
  ASSERT_FALSE(server.request_waits()) << "nothing is delivered inside the call";
  turns(3);
  ASSERT_TRUE(server.request_waits());
  server.answer();
  turns(3);
  EXPECT_EQ(count(read_all(fds_[1]), "HTTP/1.1 200 OK\r\n"), 2u);
  EXPECT_FALSE(server.connection().reading_paused());
  ::close(fds_[1]);
}

TEST_F(ConnectionReuseTest, AnswersAClientThatEndedSendingAndThenCloses) {
  Server server(loop_, fds_[0]);
  const std::string pipeline = std::string(kGet) + std::string(kGet);
  ASSERT_EQ(::write(fds_[1], pipeline.data(), pipeline.size()),
            static_cast<ssize_t>(pipeline.size()));
  ::shutdown(fds_[1], SHUT_WR);
  turns(12);
  const std::string answers = read_all(fds_[1]);
  EXPECT_EQ(count(answers, "HTTP/1.1 200 OK\r\n"), 2u);
  EXPECT_EQ(count(answers, "connection: close\r\n"), 1u);
  EXPECT_TRUE(server.closed);
  ::close(fds_[1]);
}

}  // namespace
}  // namespace remora::http1
