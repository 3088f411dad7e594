// What the tests of connections share: a recording handler and a peer at the other end of a socket
// pair or loopback TCP, with the loop turned by hand.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/net/connection.h"

namespace remora {

/// Records what a connection tells; behaviour per test is set through the functions.
class Handler : public ConnectionHandler {
 public:
  void on_connected() override {
    ++connected;
    if (when_connected) when_connected();
  }
  void on_data(Buffer& data, bool end_stream) override {
    ++deliveries;
    if (end_stream) ++ends;
    if (when_data) {
      when_data(data, end_stream);
      return;
    }
    received += data.to_string();
    data.clear();
  }
  void on_closed(CloseCause cause) override {
    EXPECT_FALSE(closed.has_value()) << "closed twice";
    closed = cause;
    if (when_closed) when_closed();
  }
  void on_write_high_water() override { ++high_water; }
  void on_write_low_water() override { ++low_water; }
  void on_written(size_t bytes) override { written += bytes; }

  int connected = 0;
  int deliveries = 0;
  int ends = 0;
  int high_water = 0;
  int low_water = 0;
  size_t written = 0;
  std::string received;
  std::optional<CloseCause> closed;
  std::function<void()> when_connected;
  std::function<void(Buffer&, bool)> when_data;
  std::function<void()> when_closed;
};

class ConnectionTest : public testing::Test {
 protected:
  void open(ConnectionLimits limits = {}) {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    adopt(Socket(fds[0]), limits);
    peer = Socket(fds[1]);
    connection->begin();
  }
  /// The same over loopback TCP, where resets exist.
  void open_tcp(ConnectionLimits limits = {}) {
    auto listening = listen_on(*Address::from_ip("127.0.0.1", 0), {});
    int error = 0;
    peer = connect_to(local_address_of(listening->fd()), {}, &error);
    Socket accepted;
    while (!accepted) accepted = accept_one(listening->fd(), nullptr);
    adopt(std::move(accepted), limits);
    connection->begin();
  }
  void adopt(Socket socket, ConnectionLimits limits) {
    const int fd = socket.fd();
    connection = std::make_unique<Connection>(loop, std::move(socket),
                                              raw_transport_factory()->make(fd, {}), limits);
    connection->set_handler(handler);
    handler.when_closed = [this] { loop.defer_delete(std::move(connection)); };
  }

  void turn() { loop.run_once(0); }
  template <class Condition>
  void turn_until(Condition condition) {
    const MonotonicMs give_up = monotonic_now_ms() + 5000;
    while (!condition() && monotonic_now_ms() < give_up) loop.run_once(10);
    ASSERT_TRUE(condition());
  }
  void turn_until_closed() {
    turn_until([&] { return handler.closed.has_value(); });
  }

  void peer_sends(std::string_view text) {
    ASSERT_EQ(::send(peer.fd(), text.data(), text.size(), MSG_NOSIGNAL), ssize_t(text.size()));
  }
  void peer_ends() { shutdown(peer.fd(), SHUT_WR); }
  /// What waits at the peer; "<FIN>" and "<RESET>" mark the end.
  std::string peer_reads() {
    std::string text(1 << 20, '\0');
    std::string all;
    for (;;) {
      const ssize_t got = ::recv(peer.fd(), text.data(), text.size(), MSG_DONTWAIT);
      if (got > 0) {
        all.append(text, 0, static_cast<size_t>(got));
        continue;
      }
      if (got == 0) all += "<FIN>";
      if (got < 0 && errno == ECONNRESET) all += "<RESET>";
      return all;
    }
  }
  void write(std::string_view text, bool end_stream = false) {
    Buffer data(loop.blocks());
    data.append(text);
    connection->write(data, end_stream);
  }

  EventLoop loop;
  Handler handler;
  std::unique_ptr<Connection> connection;
  Socket peer;
};

}  // namespace remora
