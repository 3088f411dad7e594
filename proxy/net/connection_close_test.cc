// How connections begin and end.
#include <algorithm>
#include <string>
#include <vector>

#include "proxy/net/connection.h"
#include "proxy/net/connection_test_support.h"

namespace remora {
namespace {

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

TEST_F(ConnectionTest, AResetThatAWriteComesUponIsNotTakenForAnEnd) {
  open_tcp();
  turn();
  connection->pause_reading(kPauseByFilter);
  set_abortive_close(peer.fd());
  peer.close();
  write("the rest of a large body");
  connection->flush();
  connection->resume_reading(kPauseByFilter);
  turn_until_closed();
  EXPECT_EQ(handler.ends, 0);
  EXPECT_EQ(handler.closed, CloseCause::RemoteReset);
}

TEST_F(ConnectionTest, AnEndBeforeTheResetThatAWriteComesUponIsDelivered) {
  open_tcp();
  turn();
  connection->pause_reading(kPauseByFilter);
  peer_sends("all there is");
  peer.close();  // answers what is written from now on with a reset
  write("the rest of a large body");
  connection->flush();
  write("and the end of it");
  connection->flush();
  connection->resume_reading(kPauseByFilter);
  turn_until_closed();
  EXPECT_EQ(handler.received, "all there is");
  EXPECT_EQ(handler.ends, 1);
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
