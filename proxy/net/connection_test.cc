// Reading and writing; the rest is in connection_close_test.cc.
#include "proxy/net/connection.h"

#include <algorithm>
#include <string>
#include <vector>

#include "proxy/net/connection_test_support.h"

namespace remora {
namespace {

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

}  // namespace
}  // namespace remora
