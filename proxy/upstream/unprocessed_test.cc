// Against the kernel: what it says of a request that the end of its connection has crossed.
#include "proxy/upstream/unprocessed.h"

#include <gtest/gtest.h>

#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/upstream/http_pool.h"
#include "proxy/upstream/test_cluster.h"
#include "proxy/upstream/test_server.h"

namespace remora::upstream {
namespace {

using stats::ClusterStat;
using testing::TestPeer;
using testing::TestRequest;
using testing::TestServer;
using CrossedRequestTest = testing::HttpPoolTestBase;

constexpr std::string_view kRequest = "POST / HTTP/1.1\r\n\r\n";

/// A connection that has carried an exchange.
class UnprocessedTest : public ::testing::Test {
 protected:
  UnprocessedTest() {
    int error = 0;
    Socket socket = connect_to(server_.address(), {}, &error);
    fd_ = socket.fd();
    ours_ = TestPeer(socket.release());
    peer_ = server_.accept();
    send_one(ours_, peer_);
    send_one(peer_, ours_);
  }
  static void send_one(TestPeer& from, TestPeer& to) {
    from.write("x");
    EXPECT_EQ(to.read_until("x"), "x");
  }
  void send_request() { ours_.write(kRequest); }
  void read_end() {
    char byte;
    ASSERT_TRUE(testing::wait_readable(fd_, testing::kPatienceMs));
    EXPECT_EQ(::recv(fd_, &byte, 1, 0), 0);
  }
  Fate fate() const { return fate_after_end(fd_, kRequest.size()); }
  Fate fate_at_last() const {
    const uint64_t deadline = monotonic_now_ms() + testing::kPatienceMs;
    while (fate() == Fate::Open && monotonic_now_ms() < deadline) ::poll(nullptr, 0, 1);
    return fate();
  }

  TestServer server_;
  TestPeer ours_, peer_;
  int fd_ = -1;
};

TEST_F(UnprocessedTest, ARequestThatFindsTheConnectionClosedIsRefused) {
  peer_.close();
  send_request();
  read_end();
  EXPECT_EQ(fate_at_last(), Fate::Refused);
}

TEST_F(UnprocessedTest, UntilTheRequestHasArrivedNothingIsKnown) {
  peer_.close();
  read_end();
  EXPECT_EQ(fate_after_end(fd_, 0), Fate::Open);
}

TEST_F(UnprocessedTest, APeerThatEndsItsOwnDirectionOnlyMayReadTheRequest) {
  peer_.end_sending();
  send_request();
  read_end();
  EXPECT_EQ(fate_at_last(), Fate::Unclear);
  EXPECT_EQ(peer_.read_available(), kRequest);
}

TEST_F(UnprocessedTest, WhatWasReadBeforeTheEndIsAcknowledged) {
  send_request();
  peer_.read_until("\r\n\r\n");
  peer_.close();
  read_end();
  EXPECT_EQ(fate(), Fate::Unclear);
}

TEST_F(UnprocessedTest, SoIsAPartOfIt) {
  ours_.write(kRequest.substr(0, 4));
  peer_.read_until("POST");
  peer_.close();
  ours_.write(kRequest.substr(4));
  read_end();
  EXPECT_EQ(fate_at_last(), Fate::Unclear);
}

TEST_F(UnprocessedTest, SocketsThatTellNothingLeaveItUnclear) {
  EXPECT_EQ(fate_after_end(-1, 1), Fate::Unclear);
  EXPECT_EQ(fate(), Fate::Unclear) << "not ended";
}

// --- of a pool ---

TEST_F(CrossedRequestTest, ARequestThatTheEndCrossedIsKnownToBeUnprocessed) {
  one_host();
  for (const bool sent : {false, true}) {
    TestPeer peer;
    exchange(&peer);
    TestRequest crossed(loop);
    crossed.start(cluster(), host());
    ASSERT_TRUE(crossed.immediate);
    peer.close();
    if (sent) crossed.connection->connection().flush();
    run_until([&] { return crossed.done(); });
    EXPECT_EQ(crossed.reset_reason, http::ResetReason::ConnectionClosed);
    EXPECT_TRUE(crossed.unprocessed) << sent;
    settle();
  }
}

TEST_F(CrossedRequestTest, ARequestThatMayHaveBeenReadIsNot) {
  one_host();
  for (const bool reset : {false, true}) {
    for (const bool read : {false, true}) {
      TestPeer peer;
      exchange(&peer);
      TestRequest request(loop);
      request.start(cluster(), host());
      ASSERT_TRUE(request.immediate);
      loop.run_once(0);
      if (read) peer.read_head();
      if (reset || !read) {
        peer.abort();
      } else {
        peer.close();
      }
      run_until([&] { return request.done(); });
      EXPECT_FALSE(request.unprocessed) << reset << read;
      settle();
    }
  }
}

TEST_F(CrossedRequestTest, NorIsOneWhosePeerHasOnlyEndedItsOwnDirection) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  TestRequest request(loop);
  request.start(cluster(), host());
  ASSERT_TRUE(request.immediate);
  peer.end_sending();
  request.connection->connection().flush();
  run_until([&] { return request.done(); });
  EXPECT_EQ(request.reset_reason, http::ResetReason::ConnectionClosed);
  EXPECT_FALSE(request.unprocessed);
  EXPECT_NE(peer.read_available(), "");
}

TEST_F(CrossedRequestTest, WhatComesBeforeTheRequestLeavesIsNoAnswerToIt) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  peer.answer("poison");
  TestRequest request(loop);
  request.start(cluster(), host());
  ASSERT_TRUE(request.immediate);
  run_until([&] { return request.done(); });
  EXPECT_EQ(request.body, "");
  EXPECT_TRUE(request.unprocessed);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 1u);
}

TEST_F(CrossedRequestTest, NorIsWhatComesWithTheEnd) {
  one_host();
  TestPeer peer;
  exchange(&peer);
  peer.answer("poison");
  peer.close();
  TestRequest request(loop);
  request.start(cluster(), host());
  ASSERT_TRUE(request.immediate);
  run_until([&] { return request.done(); });
  EXPECT_EQ(request.status, 0);
  EXPECT_TRUE(request.unprocessed);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_destroy_remote_with_active_rq), 1u);
}

}  // namespace
}  // namespace remora::upstream
