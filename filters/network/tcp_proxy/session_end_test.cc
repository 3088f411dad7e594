// How sessions end: half by half, in resets, with bytes that one side has yet to take.
#include <string>

#include "filters/network/tcp_proxy/session_test_support.h"

namespace remora::tcp_proxy {
namespace {

class SessionEndTest : public SessionTest {
 protected:
  /// A session between `client` and `server`.
  void SetUp() override {
    set_cluster({app.address()});
    relay(app);
  }
  void expect_all_given_back() {
    turn_until([&] { return cluster_stat(ClusterStat::upstream_cx_active) == 0; });
    EXPECT_EQ(cluster_stat(ClusterStat::upstream_rq_active), 0u);
    EXPECT_EQ(stat(Stat::upstream_flush_active), 0u);
    EXPECT_EQ(stat(Stat::downstream_cx_rx_bytes_buffered), 0u);
    EXPECT_EQ(stat(Stat::downstream_cx_tx_bytes_buffered), 0u);
  }

  const Server app = listen();
};

TEST_F(SessionEndTest, TheServerAnswersAfterTheClientEndedItsHalf) {
  send(client, "last words");
  end(client);
  expect_receives(server, "last words<FIN>");
  send(server, "answer");
  expect_receives(client, "answer");
  EXPECT_FALSE(session->closed);
  server.close();
  expect_receives(client, "<FIN>");
  turn_until_closed();
  expect_all_given_back();
}

TEST_F(SessionEndTest, TheClientGoesOnAfterTheServerEndedItsHalf) {
  send(server, "I am done");
  end(server);
  expect_receives(client, "I am done<FIN>");
  send(client, "more");
  expect_receives(server, "more");
  EXPECT_FALSE(session->closed);
  end(client);
  expect_receives(server, "<FIN>");
  turn_until_closed();
  expect_all_given_back();
}

TEST_F(SessionEndTest, AResetByTheServerReachesTheClientAfterTheBytes) {
  send(server, "half an ans");
  expect_receives(client, "half an ans");
  reset(server);
  expect_receives(client, "<RESET>");
  turn_until_closed();
  EXPECT_EQ(session->closed, CloseCause::LocalClose);
  expect_all_given_back();
}

TEST_F(SessionEndTest, AResetByTheClientReachesTheServer) {
  send(client, "half a quest");
  expect_receives(server, "half a quest");
  reset(client);
  expect_receives(server, "<RESET>");
  turn_until_closed();
  expect_all_given_back();
}

TEST_F(SessionEndTest, AServerThatTakesNothingMoreIsNotAResetWhenItHadEnded) {
  send(server, "bye");
  server.close();
  expect_receives(client, "bye<FIN>");
  turn_until([&] {
    send(client, "too late");
    return cluster_stat(ClusterStat::upstream_cx_active) == 0;
  });
  client.close();
  turn_until_closed();
  expect_all_given_back();
}

TEST_F(SessionEndTest, WhatTheClientSentBeforeItLeftReachesASlowServer) {
  const size_t sent = fill(client);
  client.close();
  EXPECT_EQ(receive_all(server, SIZE_MAX).size(), sent + std::string_view("<FIN>").size());
  server.close();
  turn_until_closed();
  expect_all_given_back();
}

TEST_F(SessionEndTest, WhatTheServerSentBeforeItLeftReachesASlowClient) {
  const size_t sent = fill(server);
  server.close();
  for (int i = 0; i < 10; ++i) turn();
  EXPECT_EQ(receive_all(client, SIZE_MAX).size(), sent + std::string_view("<FIN>").size());
  EXPECT_FALSE(session->closed);
  client.close();
  turn_until_closed();
  expect_all_given_back();
}

TEST_F(SessionEndTest, TheEndOfTheSessionsOwnerLeavesNothingBehind) {
  session->connection().close(CloseHow::NoFlush);
  expect_receives(server, "<FIN>");
  session->drop_filter();
  expect_all_given_back();
}

/// Sessions that hold as much for a server as a client sends.
class LeftoverTest : public SessionTest {
 protected:
  void open_and_leave() {
    set_cluster({app.address()},
                [](upstream::ClusterConfig& cluster) { cluster.per_connection_buffer_limit = 0; });
    relay(app);
    fill(client, size_t{16} << 20);
    turn_until([&] { return session->connection().bytes_read() == size_t{16} << 20; });
    reset(client);
    turn_until_closed();
  }

  const Server app = listen();
};

TEST_F(LeftoverTest, BytesLeftForTheServerAreFlushedAndCounted) {
  open_and_leave();
  EXPECT_EQ(stat(Stat::upstream_flush_total), 1u);
  EXPECT_EQ(stat(Stat::upstream_flush_active), 1u);
  EXPECT_EQ(receive_all(server, SIZE_MAX).size(),
            (size_t{16} << 20) + std::string_view("<FIN>").size());
  server.close();
  turn_until([&] { return cluster_stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(stat(Stat::upstream_flush_active), 0u);
}

TEST_F(LeftoverTest, AServerThatTakesNothingIsGivenUpWhenIdle) {
  config.idle_timeout_ms = 700;
  open_and_leave();
  turn_until([&] { return cluster_stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(stat(Stat::upstream_flush_active), 0u);
  EXPECT_EQ(stat(Stat::idle_timeout), 1u);
}

TEST_F(SessionTest, AClientThatTakesNothingIsGivenUpWhenIdle) {
  config.idle_timeout_ms = 300;
  const Server app = listen();
  set_cluster({app.address()});
  relay(app);
  fill(server);
  server.close();
  turn_until_closed();
  EXPECT_EQ(session->closed, CloseCause::LocalClose);
  EXPECT_EQ(stat(Stat::idle_timeout), 1u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_active), 0u);
}

}  // namespace
}  // namespace remora::tcp_proxy
