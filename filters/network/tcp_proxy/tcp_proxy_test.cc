// Sessions: connecting, relaying, back-pressure, deadlines. How they end is in session_end_test.cc.
#include "filters/network/tcp_proxy/tcp_proxy.h"

#include <map>
#include <string>
#include <utility>

#include "filters/network/tcp_proxy/session_test_support.h"

namespace remora::tcp_proxy {
namespace {

using testing::AllOf;
using testing::Gt;
using testing::Lt;

// --- the choice of a cluster ---

TEST(Config, WeightsShareTheRandomNumbers) {
  Config config;
  config.weighted = {{"heavy", 3, nullptr}, {"light", 1, nullptr}};
  config.total_weight = 4;
  std::map<std::string, int> chosen;
  for (uint64_t random = 0; random < 400; ++random) ++chosen[config.destination(random).cluster];
  EXPECT_EQ(chosen["heavy"], 300);
  EXPECT_EQ(chosen["light"], 100);
}

// --- relaying ---

TEST_F(SessionTest, BytesGoBothWaysAndAreCounted) {
  const Server app = listen();
  set_cluster({app.address()});
  relay(app);
  send(client, "question");
  expect_receives(server, "question");
  send(server, "answer");
  expect_receives(client, "answer");
  EXPECT_EQ(stat(Stat::downstream_cx_total), 1u);
  EXPECT_EQ(stat(Stat::downstream_cx_rx_bytes_total), 8u);
  EXPECT_EQ(stat(Stat::downstream_cx_tx_bytes_total), 6u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_tx_bytes_total), 8u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_rx_bytes_total), 6u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_active), 1u);
}

TEST_F(SessionTest, TheServerMaySpeakFirst) {
  const Server app = listen();
  set_cluster({app.address()});
  open();
  turn_until([&] { return bool(server = app.accept()); });
  send(server, "220 ready");
  expect_receives(client, "220 ready");
}

TEST_F(SessionTest, WhatTheClientSendsBeforeTheUpstreamIsThereWaitsInTheKernel) {
  const Server app = listen();
  set_cluster({app.address()});
  prepare();
  send(client, "early");
  session->begin();
  EXPECT_TRUE(session->connection().reading_paused());
  EXPECT_EQ(session->connection().bytes_read(), 0u);
  turn_until([&] { return bool(server = app.accept()); });
  expect_receives(server, "early");
}

TEST_F(SessionTest, BytesThatAnotherFilterReadBeforeAreNotLostNorIsTheEnd) {
  const Server app = listen();
  set_cluster({app.address()});
  prepare().hold_back = true;
  send(client, "early");
  end(client);
  session->begin();
  turn_until([&] { return session->connection().peer_ended(); });
  session->let_go();
  turn_until([&] { return bool(server = app.accept()); });
  expect_receives(server, "early<FIN>");
}

TEST_F(SessionTest, AnEndWithoutBytesThatCameBeforeTheUpstreamIsPassedOn) {
  const Server app = listen();
  set_cluster({app.address()});
  prepare().hold_back = true;
  end(client);
  session->begin();
  turn_until([&] { return session->connection().peer_ended(); });
  session->let_go();
  turn_until([&] { return bool(server = app.accept()); });
  expect_receives(server, "<FIN>");
}

TEST_F(SessionTest, AnOriginalDestinationIsWhereItConnects) {
  const Server app = listen();
  set_cluster({}, [](upstream::ClusterConfig& cluster) {
    cluster.discovery = upstream::Discovery::OriginalDst;
  });
  prepare();
  session->facts().local = app.address();
  session->facts().local_restored = true;
  session->begin();
  turn_until([&] { return bool(server = app.accept()); });
}

// --- back-pressure ---

TEST_F(SessionTest, AServerThatDoesNotReadStopsTheReadingFromTheClient) {
  limits.buffer_bytes = 256 * 1024;
  const Server app = listen();
  set_cluster({app.address()}, [](upstream::ClusterConfig& cluster) {
    cluster.per_connection_buffer_limit = 256 * 1024;
  });
  relay(app);
  const size_t sent = fill(client);
  EXPECT_TRUE(session->connection().reading_paused());
  EXPECT_EQ(stat(Stat::downstream_flow_control_paused_reading_total),
            stat(Stat::downstream_flow_control_resumed_reading_total) + 1);
  EXPECT_LT(session->connection().read_buffer().size(), size_t{512} * 1024);
  EXPECT_EQ(receive_all(server, sent).size(), sent);
  EXPECT_FALSE(session->connection().reading_paused());
  EXPECT_EQ(stat(Stat::downstream_flow_control_paused_reading_total),
            stat(Stat::downstream_flow_control_resumed_reading_total));
}

TEST_F(SessionTest, AClientThatDoesNotReadStopsTheReadingFromTheServer) {
  limits.buffer_bytes = 256 * 1024;
  const Server app = listen();
  set_cluster({app.address()});
  relay(app);
  const size_t sent = fill(server);
  EXPECT_THAT(session->connection().write_buffer().size(), AllOf(Gt(0u), Lt(768u * 1024)));
  EXPECT_GT(stat(Stat::downstream_cx_tx_bytes_buffered), 0u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_flow_control_paused_reading_total),
            cluster_stat(ClusterStat::upstream_flow_control_resumed_reading_total) + 1);
  EXPECT_EQ(receive_all(client, sent).size(), sent);
  EXPECT_EQ(stat(Stat::downstream_cx_tx_bytes_buffered), 0u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_flow_control_paused_reading_total),
            cluster_stat(ClusterStat::upstream_flow_control_resumed_reading_total));
}

// --- no upstream ---

TEST_F(SessionTest, WithoutTheClusterTheClientIsClosed) {
  open();
  EXPECT_EQ(session->closed, CloseCause::LocalClose);
  EXPECT_EQ(stat(Stat::downstream_cx_no_route), 1u);
}

TEST_F(SessionTest, WithoutAHostTheClientIsClosed) {
  set_cluster({});
  open();
  EXPECT_EQ(session->closed, CloseCause::LocalClose);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_none_healthy), 1u);
}

TEST_F(SessionTest, ADestinationThatWasNotRestoredIsNoDestination) {
  set_cluster({}, [](upstream::ClusterConfig& cluster) {
    cluster.discovery = upstream::Discovery::OriginalDst;
  });
  prepare();
  session->facts().local = *Address::from_ip("127.0.0.1", 9);
  session->begin();
  EXPECT_EQ(session->closed, CloseCause::LocalClose);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_none_healthy), 1u);
}

TEST_F(SessionTest, AFullClusterClosesTheClient) {
  set_cluster({refusing()}, [](upstream::ClusterConfig& cluster) {
    cluster.default_thresholds.max_connections = 0;
  });
  open();
  EXPECT_EQ(session->closed, CloseCause::LocalClose);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_overflow), 1u);
}

TEST_F(SessionTest, ARefusalClosesTheClientAfterAsManyAttemptsAsAllowed) {
  config.max_connect_attempts = 3;
  set_cluster({refusing()});
  open();
  turn_until_closed();
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_connect_fail), 3u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_connect_attempts_exceeded), 1u);
}

TEST_F(SessionTest, AnotherAttemptTakesAnotherHost) {
  config.max_connect_attempts = 2;
  const Server app = listen();
  set_cluster({refusing(), app.address()});
  for (int i = 0; i < 2; ++i) {  // round robin begins with either
    relay(app);
    send(client, "question");
    expect_receives(server, "question");
  }
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_connect_attempts_exceeded), 0u);
}

TEST_F(SessionTest, AClientThatLeavesWhileConnectingEndsTheAttempt) {
  const Server app = listen();
  set_cluster({app.address()});
  open();
  session->connection().close(CloseHow::NoFlush);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_rq_cancelled), 1u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_active), 0u);
}

// --- deadlines ---

TEST_F(SessionTest, AnIdleSessionIsClosed) {
  config.idle_timeout_ms = 100;
  const Server app = listen();
  set_cluster({app.address()});
  relay(app);
  turn_until_closed();
  EXPECT_EQ(session->closed, CloseCause::LocalClose);
  EXPECT_EQ(stat(Stat::idle_timeout), 1u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_active), 0u);
  expect_receives(server, "<FIN>");
}

TEST_F(SessionTest, BytesInEitherDirectionKeepASession) {
  config.idle_timeout_ms = 300;
  const Server app = listen();
  set_cluster({app.address()});
  relay(app);
  const MonotonicMs begun = monotonic_now_ms();
  MonotonicMs last = begun;
  bool from_client = true;
  while (last < begun + 600) {
    send(from_client ? client : server, ".");
    from_client = !from_client;
    loop.run_once(5);
    const MonotonicMs now = monotonic_now_ms();
    if (now - std::exchange(last, now) > 200) GTEST_SKIP() << "the machine is too busy to tell";
    ASSERT_FALSE(session->closed) << "after " << now - begun << " ms";
  }
  turn_until_closed();
  EXPECT_EQ(stat(Stat::idle_timeout), 1u);
}

TEST_F(SessionTest, ASessionLivesNoLongerThanItMay) {
  config.max_connection_duration_ms = 200;
  const Server app = listen();
  set_cluster({app.address()});
  relay(app);
  turn_until_closed();
  EXPECT_EQ(stat(Stat::max_downstream_connection_duration), 1u);
  expect_receives(server, "<FIN>");
}

}  // namespace
}  // namespace remora::tcp_proxy
