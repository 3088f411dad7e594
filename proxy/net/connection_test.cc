// Connections over socket pairs and loopback TCP, with the loop turned by hand.
#include "proxy/net/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>

namespace remora {
namespace {

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
                                              raw_transport_factory()->make(fd), limits);
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

// --- reading ---

TEST_F(ConnectionTest, DeliversWhatArrivesAndKeepsNoBlockWhenIdle) {
  open();
  EXPECT_EQ(handler.connected, 1);
  peer_sends("hello");
  turn();
  peer_sends(" again");
  turn();
  EXPECT_EQ(handler.received, "hello again");
  EXPECT_EQ(handler.deliveries, 2);
  EXPECT_EQ(connection->bytes_read(), 11u);
  EXPECT_EQ(loop.blocks().blocks_in_use(), 0u);
}

TEST_F(ConnectionTest, UnconsumedBytesComeAgainWithTheNext) {
  open();
  std::string seen;
  handler.when_data = [&](Buffer& data, bool) { seen = data.to_string(); };
  peer_sends("GET /");
  turn();
  peer_sends(" HTTP/1.1");
  turn();
  EXPECT_EQ(seen, "GET / HTTP/1.1");
}

TEST_F(ConnectionTest, DataBeforeAFinIsNotLostAndTheEndComesOnce) {
  open();
  peer_sends("last words");
  peer_ends();
  turn();
  turn();
  EXPECT_EQ(handler.received, "last words");
  EXPECT_EQ(handler.ends, 1);
  EXPECT_TRUE(connection->peer_ended());
  EXPECT_FALSE(handler.closed);
}

TEST_F(ConnectionTest, AHandlerGetsTheFinWithNoBytes) {
  open();
  turn();
  peer_ends();
  turn();
  EXPECT_EQ(handler.deliveries, 1);
  EXPECT_EQ(handler.ends, 1);
}

TEST_F(ConnectionTest, BigInputArrivesWholeAndInTurns) {
  open_tcp();
  std::string sent;
  size_t most_per_delivery = 0;
  handler.when_data = [&](Buffer& data, bool) {
    most_per_delivery = std::max(most_per_delivery, data.size());
    handler.received += data.to_string();
    data.clear();
  };
  const std::string piece(100'000, 'x');
  for (int i = 0; i < 50; ++i) {
    size_t done = 0;
    while (done < piece.size()) {
      const ssize_t n = ::send(peer.fd(), piece.data() + done, piece.size() - done, MSG_NOSIGNAL);
      if (n > 0) {
        done += static_cast<size_t>(n);
      } else {
        loop.run_once(1);
      }
    }
  }
  turn_until([&] { return handler.received.size() == 5'000'000; });
  EXPECT_LE(most_per_delivery, 256u * 1024);
}

TEST_F(ConnectionTest, NothingIsReadWhilePausedAndAllComesAfterwards) {
  open();
  turn();
  connection->pause_reading(kPauseByCodec);
  peer_sends("later");
  peer_ends();
  turn();
  turn();
  EXPECT_EQ(handler.deliveries, 0);
  connection->resume_reading(kPauseByCodec);
  EXPECT_EQ(handler.deliveries, 0) << "not inside the call";
  turn();
  EXPECT_EQ(handler.received, "later");
  EXPECT_EQ(handler.ends, 1);
}

TEST_F(ConnectionTest, EveryReasonToPauseHasToGo) {
  open();
  connection->pause_reading(kPauseByCodec);
  connection->pause_reading(kPauseByFilter);
  peer_sends("x");
  turn();
  connection->resume_reading(kPauseByCodec);
  turn();
  EXPECT_EQ(handler.deliveries, 0);
  connection->resume_reading(kPauseByFilter);
  turn();
  EXPECT_EQ(handler.received, "x");
}

TEST_F(ConnectionTest, PausingInsideOnDataKeepsTheRestForLater) {
  open();
  std::vector<std::string> requests;
  handler.when_data = [&](Buffer& data, bool) {
    char request[3];
    data.copy_out(0, 3, request);
    data.consume(3);
    requests.emplace_back(request, 3);
    connection->pause_reading(kPauseByCodec);
  };
  peer_sends("oneTWO");
  peer_ends();
  turn();
  EXPECT_EQ(handler.ends, 1);
  EXPECT_THAT(requests, testing::ElementsAre("one"));
  connection->resume_reading(kPauseByCodec);
  turn();
  EXPECT_THAT(requests, testing::ElementsAre("one", "TWO"));
  EXPECT_EQ(handler.ends, 1) << "the end is told once";
  connection->resume_reading(kPauseByCodec);
  turn();
  EXPECT_EQ(handler.deliveries, 2) << "nothing left to hand out";
}

TEST_F(ConnectionTest, PauseAndResumeInsideOnDataHandsOutTheRestNextTurn) {
  open();
  handler.when_data = [&](Buffer& data, bool) {
    connection->pause_reading(kPauseByCodec);
    handler.received += data.to_string().substr(0, 2);
    data.consume(2);
    connection->resume_reading(kPauseByCodec);
  };
  peer_sends("aabbcc");
  turn();
  EXPECT_EQ(handler.received, "aa");
  turn();
  EXPECT_EQ(handler.received, "aabb");
  turn();
  turn();
  EXPECT_EQ(handler.received, "aabbcc");
  EXPECT_EQ(handler.deliveries, 3);
}

TEST_F(ConnectionTest, StopsReadingAtTheLimitUntilTheHandlerConsumes) {
  ConnectionLimits limits;
  limits.buffer_bytes = 64 * 1024;
  open_tcp(limits);
  size_t most = 0;
  handler.when_data = [&](Buffer& data, bool) { most = std::max(most, data.size()); };
  const std::string flood(1 << 20, 'f');
  size_t sent = 0;
  for (int i = 0; i < 50; ++i) {
    const ssize_t n = ::send(peer.fd(), flood.data(), flood.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) sent += static_cast<size_t>(n);
    turn();
  }
  EXPECT_GT(sent, limits.buffer_bytes);
  EXPECT_EQ(most, limits.buffer_bytes);
  EXPECT_TRUE(connection->reading_paused());

  handler.when_data = nullptr;
  handler.received = connection->read_buffer().to_string();
  connection->read_buffer().clear();
  connection->resume_reading(kPauseByReadLimit);
  turn_until([&] { return handler.received.size() == sent; });
}

TEST_F(ConnectionTest, ACodecMayAskForALargerWindowThanTheLimit) {
  ConnectionLimits limits;
  limits.buffer_bytes = 1024;
  open_tcp(limits);
  connection->set_min_read_limit(200'000);
  size_t most = 0;
  handler.when_data = [&](Buffer& data, bool) { most = std::max(most, data.size()); };
  peer_sends(std::string(100'000, 'h'));
  turn_until([&] { return most == 100'000; });
  EXPECT_FALSE(connection->reading_paused());
}

// --- writing ---

TEST_F(ConnectionTest, WritesLeaveTogetherAtTheEndOfTheTurn) {
  open();
  write("one ");
  write("two");
  EXPECT_EQ(peer_reads(), "");
  turn();
  EXPECT_EQ(peer_reads(), "one two");
  EXPECT_EQ(handler.written, 7u);
  EXPECT_EQ(connection->bytes_written(), 7u);
  write("now");
  connection->flush();
  EXPECT_EQ(peer_reads(), "now");
}

TEST_F(ConnectionTest, EndingTheWriteSideLeavesTheOtherOpen) {
  open();
  write("bye", true);
  turn();
  EXPECT_EQ(peer_reads(), "bye<FIN>");
  EXPECT_TRUE(connection->write_ended());
  peer_sends("still here");
  turn();
  EXPECT_EQ(handler.received, "still here");
  EXPECT_FALSE(handler.closed);
  peer_ends();
  turn();
  EXPECT_EQ(handler.closed, CloseCause::RemoteClose) << "both directions are done";
}

TEST_F(ConnectionTest, ClosesWhenThePeerEndedFirstAndTheWriteSideFollows) {
  open();
  peer_ends();
  turn();
  EXPECT_FALSE(handler.closed);
  write("", true);
  turn();
  turn();
  EXPECT_EQ(handler.closed, CloseCause::RemoteClose);
  EXPECT_EQ(peer_reads(), "<FIN>");
}

TEST_F(ConnectionTest, ASlowReaderRaisesAndLowersTheWaterMarks) {
  ConnectionLimits limits;
  limits.buffer_bytes = 256 * 1024;
  open_tcp(limits);
  size_t total = 0;
  const std::string piece(64 * 1024, 'w');
  while (handler.high_water == 0) {
    write(piece);
    total += piece.size();
    turn();
    ASSERT_LT(total, 100u << 20);
  }
  EXPECT_EQ(handler.low_water, 0);
  size_t read = 0;
  turn_until([&] {
    read += peer_reads().size();
    return read == total;
  });
  EXPECT_EQ(handler.high_water, 1);
  EXPECT_EQ(handler.low_water, 1);
  EXPECT_EQ(connection->bytes_written(), total);
}

// --- closing ---

TEST_F(ConnectionTest, FlushSendsWhatIsBufferedAndCloses) {
  open();
  write("answer");
  connection->close(CloseHow::Flush);
  EXPECT_TRUE(connection->closing());
  EXPECT_FALSE(handler.closed);
  turn();
  EXPECT_EQ(handler.closed, CloseCause::LocalClose);
  EXPECT_EQ(peer_reads(), "answer<FIN>");
}

TEST_F(ConnectionTest, NothingIsDeliveredAfterClose) {
  open();
  write("answer");
  peer_sends("more");
  connection->close(CloseHow::FlushAndWait);
  turn();
  peer_sends("and more");
  turn();
  EXPECT_EQ(handler.deliveries, 0);
}

TEST_F(ConnectionTest, NoFlushDropsWhatIsBuffered) {
  open();
  write("dropped");
  connection->close(CloseHow::NoFlush);
  EXPECT_EQ(handler.closed, CloseCause::LocalClose);
  turn();
  EXPECT_EQ(peer_reads(), "<FIN>");
}

TEST_F(ConnectionTest, AbortResets) {
  open_tcp();
  turn();
  connection->close(CloseHow::Abort);
  turn();
  EXPECT_EQ(peer_reads(), "<RESET>");
}

TEST_F(ConnectionTest, FlushAndWaitProtectsTheAnswerFromAReset) {
  open_tcp();
  peer_sends("a body that nobody wants");
  write("413");
  connection->close(CloseHow::FlushAndWait);
  turn();
  EXPECT_FALSE(handler.closed);
  peer_sends("more of that body");
  turn();
  EXPECT_EQ(peer_reads(), "413<FIN>");
  EXPECT_FALSE(handler.closed);
  peer_ends();
  turn_until_closed();
  EXPECT_EQ(handler.closed, CloseCause::LocalClose);
}

TEST_F(ConnectionTest, FlushAndWaitGivesUpInTime) {
  ConnectionLimits limits;
  limits.delayed_close_ms = 20;
  open(limits);
  write("bye");
  connection->close(CloseHow::FlushAndWait);
  turn_until_closed();
  EXPECT_EQ(peer_reads(), "bye<FIN>");
}

TEST_F(ConnectionTest, FlushToAPeerThatNeverReadsGivesUpInTime) {
  ConnectionLimits limits;
  limits.delayed_close_ms = 20;
  open(limits);
  write(std::string(8 << 20, 'z'));
  connection->close(CloseHow::Flush);
  turn_until_closed();
}

TEST_F(ConnectionTest, FlushAndWaitEndsAtOnceWhenThePeerHasEnded) {
  open();
  peer_sends("request");
  peer_ends();
  turn();
  write("answer");
  connection->close(CloseHow::FlushAndWait);
  turn();
  EXPECT_EQ(handler.closed, CloseCause::LocalClose);
  EXPECT_EQ(peer_reads(), "answer<FIN>");
}

TEST_F(ConnectionTest, AHandlerMayCloseInsideOnData) {
  open();
  handler.when_data = [&](Buffer& data, bool) {
    data.clear();
    connection->close(CloseHow::NoFlush);
  };
  peer_sends("x");
  peer_ends();
  turn();
  EXPECT_EQ(handler.closed, CloseCause::LocalClose);
  EXPECT_EQ(handler.deliveries, 1);
  EXPECT_EQ(connection, nullptr);
}

TEST_F(ConnectionTest, AHandlerMayCloseInsideOnConnected) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  peer = Socket(fds[1]);
  adopt(Socket(fds[0]), {});
  handler.when_connected = [&] { connection->close(CloseHow::Flush); };
  connection->begin();
  turn();
  EXPECT_EQ(handler.closed, CloseCause::LocalClose);
}

TEST_F(ConnectionTest, WithoutHalfCloseAFinEndsTheConnection) {
  open();
  connection->set_half_close(false);
  peer_sends("request");
  peer_ends();
  turn();
  EXPECT_EQ(handler.received, "request");
  EXPECT_EQ(handler.ends, 0);
  EXPECT_EQ(handler.closed, CloseCause::RemoteClose);
}

TEST_F(ConnectionTest, WithoutHalfCloseAnAnswerThatIsReadyStillLeaves) {
  open();
  connection->set_half_close(false);
  handler.when_data = [&](Buffer& data, bool) {
    data.clear();
    write("answer");
  };
  peer_sends("request");
  peer_ends();
  turn();
  EXPECT_EQ(handler.closed, CloseCause::RemoteClose);
  EXPECT_EQ(peer_reads(), "answer<FIN>");
}

TEST_F(ConnectionTest, AClientThatLeavesWhileItsRequestIsServedIsNoticed) {
  open();
  connection->set_half_close(false);
  connection->set_detect_early_close(true);
  connection->pause_reading(kPauseByCodec);
  turn();
  peer.close();
  turn();
  EXPECT_EQ(handler.closed, CloseCause::RemoteClose);
}

TEST_F(ConnectionTest, AResetWhilePausedIsNoticedToo) {
  open_tcp();
  connection->set_half_close(false);
  connection->set_detect_early_close(true);
  connection->pause_reading(kPauseByCodec);
  turn();
  set_abortive_close(peer.fd());
  peer.close();
  turn_until_closed();
  EXPECT_EQ(handler.closed, CloseCause::RemoteReset);
}

TEST_F(ConnectionTest, LackOfRoomDoesNotLoseThePeersLastBytes) {
  open();
  connection->set_half_close(false);
  connection->set_detect_early_close(true);
  connection->pause_reading(kPauseByPeerBuffer);
  peer_sends("the end of an upload");
  peer_ends();
  turn();
  EXPECT_FALSE(handler.closed);
  connection->resume_reading(kPauseByPeerBuffer);
  turn();
  EXPECT_EQ(handler.received, "the end of an upload");
}

TEST_F(ConnectionTest, AResetEndsTheConnectionAfterItsData) {
  open_tcp();
  turn();
  set_abortive_close(peer.fd());
  peer.close();
  turn_until_closed();
  EXPECT_EQ(handler.closed, CloseCause::RemoteReset);
}

TEST_F(ConnectionTest, AnAnswerSentBeforeThePeerStoppedReadingIsStillDelivered) {
  open_tcp();
  turn();
  connection->pause_reading(kPauseByFilter);
  peer_sends("413 too large");
  set_abortive_close(peer.fd());
  peer.close();
  connection->resume_reading(kPauseByFilter);
  write("the rest of a large body");
  turn_until_closed();
  EXPECT_EQ(handler.received, "413 too large");
  EXPECT_EQ(handler.closed, CloseCause::RemoteReset);
}

TEST_F(ConnectionTest, DestroyingAnOpenConnectionSaysNothing) {
  open();
  write("x");
  connection.reset();
  turn();
  EXPECT_FALSE(handler.closed);
}

// --- connecting ---

class ConnectingTest : public ConnectionTest {
 protected:
  void connect(const Address& to, uint64_t timeout_ms) {
    int error = 0;
    Socket socket = connect_to(to, {}, &error);
    adopt(std::move(socket), {});
    connection->begin_connecting(error, timeout_ms);
    EXPECT_FALSE(handler.closed) << "never inside the call";
    EXPECT_EQ(handler.connected, 0);
  }
};

TEST_F(ConnectingTest, ConnectsAndSendsWhatWasWrittenMeanwhile) {
  auto listening = listen_on(*Address::from_ip("127.0.0.1", 0), {});
  connect(local_address_of(listening->fd()), 1000);
  write("early");
  turn_until([&] { return handler.connected == 1; });
  turn();
  peer = accept_one(listening->fd(), nullptr);
  EXPECT_EQ(peer_reads(), "early");
  EXPECT_EQ(connection->local_address(), peer_address_of(peer.fd()));
}

TEST_F(ConnectingTest, ServerFirstBytesAreNotLost) {
  auto listening = listen_on(*Address::from_ip("127.0.0.1", 0), {});
  connect(local_address_of(listening->fd()), 1000);
  while (!peer) peer = accept_one(listening->fd(), nullptr);
  peer_sends("220 hello");
  turn_until([&] { return !handler.received.empty(); });
  EXPECT_EQ(handler.received, "220 hello");
}

TEST_F(ConnectingTest, ARefusalIsToldInALaterTurn) {
  Address nobody;
  {
    auto listening = listen_on(*Address::from_ip("127.0.0.1", 0), {});
    nobody = local_address_of(listening->fd());
  }
  connect(nobody, 1000);
  handler.when_closed = [&] {
    EXPECT_EQ(connection->failure_detail(), "Connection refused");
    loop.defer_delete(std::move(connection));
  };
  turn_until_closed();
  EXPECT_EQ(handler.closed, CloseCause::ConnectFailed);
  EXPECT_EQ(handler.connected, 0);
}

TEST_F(ConnectingTest, ASocketThatCouldNotEvenTryFailsInTheNextTurn) {
  adopt(Socket(), {});
  connection->begin_connecting(ENETUNREACH, 1000);
  EXPECT_FALSE(handler.closed);
  turn();
  EXPECT_EQ(handler.closed, CloseCause::ConnectFailed);
}

TEST_F(ConnectingTest, ConnectsToUnixSocketsToo) {
  const Address address = *Address::from_unix_path("@connection_test." + std::to_string(getpid()));
  auto listening = listen_on(address, {});
  ASSERT_TRUE(listening.ok());
  connect(address, 1000);
  turn();
  EXPECT_EQ(handler.connected, 1);
}

TEST_F(ConnectingTest, GivesUpAfterTheTimeout) {
  // A full backlog drops further attempts.
  ListenOptions options;
  options.backlog = 0;
  auto listening = listen_on(*Address::from_ip("127.0.0.1", 0), options);
  const Address full = local_address_of(listening->fd());
  int ignored;
  Socket first = connect_to(full, {}, &ignored);
  Socket second = connect_to(full, {}, &ignored);
  connect(full, 20);
  turn_until_closed();
  EXPECT_EQ(handler.closed, CloseCause::ConnectTimeout);
}

}  // namespace
}  // namespace remora
