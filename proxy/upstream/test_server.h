// A TCP server on loopback for tests, driven by hand: the test accepts, reads and writes. Its calls
// wait for at most kPatienceMs. Same thread as the code under test: whatever the loop should do
// first must have run.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/net/address.h"
#include "proxy/net/socket.h"

namespace remora::upstream::testing {

constexpr int kPatienceMs = 10'000;

inline bool wait_readable(int fd, int patience_ms) {
  pollfd poll_fd = {fd, POLLIN, 0};
  return ::poll(&poll_fd, 1, patience_ms) == 1;
}

/// The server's end of a connection.
class TestPeer {
 public:
  TestPeer() = default;
  explicit TestPeer(int fd) : socket_(fd) {}

  /// What has come, up to and including `end`.
  std::string read_until(std::string_view end) {
    std::string text;
    char byte;
    while (!text.ends_with(end)) {
      if (!wait_readable(socket_.fd(), kPatienceMs) || ::recv(socket_.fd(), &byte, 1, 0) != 1) {
        ADD_FAILURE() << "the connection ended after: " << text;
        break;
      }
      text += byte;
    }
    return text;
  }
  /// What has come so far.
  std::string read_available() {
    std::string text;
    char bytes[4096];
    for (;;) {
      const ssize_t got = ::recv(socket_.fd(), bytes, sizeof(bytes), MSG_DONTWAIT);
      if (got <= 0) return text;
      text.append(bytes, static_cast<size_t>(got));
    }
  }
  std::string read_head() { return read_until("\r\n\r\n"); }
  void write(std::string_view text) {
    EXPECT_EQ(::send(socket_.fd(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  /// Answers 200 with `body`.
  void answer(std::string_view body, std::string_view more_headers = {}) {
    write("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n" +
          std::string(more_headers) + "\r\n" + std::string(body));
  }
  /// Whether the other side has closed (FIN or RST), nothing being left to read.
  int fd() const { return socket_.fd(); }
  bool ended() {
    char byte;
    return wait_readable(socket_.fd(), 0) &&
           ::recv(socket_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
  }
  void end_sending() { ::shutdown(socket_.fd(), SHUT_WR); }
  void close() { socket_.close(); }
  void abort() {
    set_abortive_close(socket_.fd());
    socket_.close();
  }

 private:
  Socket socket_;
};

class TestServer {
 public:
  explicit TestServer(int backlog = 128)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in any = {};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(socket_.fd(), reinterpret_cast<sockaddr*>(&any), sizeof(any)), 0);
    EXPECT_EQ(::listen(socket_.fd(), backlog), 0);
    address_ = local_address_of(socket_.fd());
  }

  const Address& address() const { return address_; }
  bool has_waiting() const { return wait_readable(socket_.fd(), 0); }
  TestPeer accept() {
    EXPECT_TRUE(wait_readable(socket_.fd(), kPatienceMs)) << "nobody connects";
    const int fd = ::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    set_no_delay(fd);  // small writes leave at once, acknowledged or not
    return TestPeer(fd);
  }
  /// Nobody listens there any more: connects are refused.
  void stop() { socket_.close(); }
  /// Fills the accept queue, so that the next connect stays unanswered.
  void fill_queue() {
    for (int i = 0; i < 16; ++i) {
      int error = 0;
      fillers_.push_back(connect_to(address_, {}, &error));
      pollfd poll_fd = {fillers_.back().fd(), POLLOUT, 0};
      if (error != 0 && ::poll(&poll_fd, 1, 100) == 0) return;
    }
    ADD_FAILURE() << "the accept queue has no end";
  }

 private:
  Socket socket_;
  Address address_;
  std::vector<Socket> fillers_;
};

}  // namespace remora::upstream::testing
