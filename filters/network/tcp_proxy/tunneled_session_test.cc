// Sessions whose way to the server leads through another proxy.
#include <string>
#include <utility>

#include "filters/network/tcp_proxy/session_test_support.h"

namespace remora::tcp_proxy {
namespace {

using telemetry::LogFormat;

constexpr std::string_view kHead = "CONNECT target:443 HTTP/1.1\r\nhost: target:443\r\n\r\n";

class TunneledSessionTest : public SessionTest {
 protected:
  /// A session whose request has come to `proxy`.
  void reach(const Server& proxy, std::string_view early = {}) {
    config.tunneling = std::make_shared<const TunnelConfig>(tunnel);
    set_cluster({proxy.address()});
    open();
    if (!early.empty()) send(client, early);
    turn_until([&] { return bool(server = proxy.accept()); });
  }
  void open_tunnel(const Server& proxy) {
    reach(proxy);
    expect_receives(server, kHead);
    send(server, "HTTP/1.1 200 OK\r\n\r\n");
    turn_until([&] { return !session->connection().reading_paused(); });
  }

  TunnelConfig tunnel{.host = *LogFormat::text("target:443"), .post_path = {}, .headers = {}};
};

TEST_F(TunneledSessionTest, NothingIsForwardedBeforeTheProxyAgrees) {
  const Server proxy = listen();
  reach(proxy, "early");
  expect_receives(server, kHead);
  turn();
  EXPECT_EQ(receive(server), "");
  send(server, "HTTP/1.1 200 OK\r\n\r\nahead");
  expect_receives(client, "ahead");
  expect_receives(server, "early");
  send(client, "more");
  expect_receives(server, "more");
  EXPECT_EQ(stat(Stat::downstream_cx_rx_bytes_total), 9u);
  EXPECT_EQ(stat(Stat::downstream_cx_tx_bytes_total), 5u);
}

TEST_F(TunneledSessionTest, ARefusalFailsTheAttempt) {
  const Server proxy = listen();
  config.max_connect_attempts = 2;
  reach(proxy);
  for (int attempt = 0; attempt < 2; ++attempt) {
    expect_receives(server, kHead);
    send(server, "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    if (attempt == 0) turn_until([&] { return bool(server = proxy.accept()); });
  }
  turn_until_closed();
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_cx_connect_attempts_exceeded), 1u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_rq_total), 2u);
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_rq_active), 0u);
}

TEST_F(TunneledSessionTest, EachSideEndsForItself) {
  const Server proxy = listen();
  open_tunnel(proxy);
  send(client, "question");
  end(client);
  EXPECT_EQ(receive_all(server, 100), "question<FIN>");
  send(server, "answer");
  end(server);
  EXPECT_EQ(receive_all(client, 100), "answer<FIN>");
  turn_until_closed();
  turn_until([&] { return cluster_stat(ClusterStat::upstream_cx_active) == 0; });
}

TEST_F(TunneledSessionTest, AResetReachesTheOtherSide) {
  const Server proxy = listen();
  open_tunnel(proxy);
  reset(server);
  EXPECT_EQ(receive_all(client, 100), "<RESET>");
  turn_until_closed();
}

TEST_F(TunneledSessionTest, AClientThatLeavesClosesTheTunnel) {
  const Server proxy = listen();
  open_tunnel(proxy);
  reset(client);
  turn_until_closed();
  turn_until([&] { return receive(server).ends_with(">"); });
  EXPECT_EQ(cluster_stat(ClusterStat::upstream_rq_active), 0u);
}

TEST_F(TunneledSessionTest, TheRequestMayCarryFactsOfTheSession) {
  const Server proxy = listen();
  tunnel.host = *LogFormat::text("%UPSTREAM_CLUSTER%:1");
  tunnel.headers.push_back(
      {.name = "x-cluster", .value = *LogFormat::text("<%UPSTREAM_CLUSTER%>")});
  tunnel.headers.push_back(
      {.name = "x-none",
       .value = *LogFormat::text("%REQUESTED_SERVER_NAME%", telemetry::Missing::Empty)});
  reach(proxy);
  expect_receives(server, "CONNECT app:1 HTTP/1.1\r\nhost: app:1\r\nx-cluster: <app>\r\n\r\n");
}

TEST_F(TunneledSessionTest, APostCarriesTheBytesAsItsBody) {
  const Server proxy = listen();
  tunnel.post_path = "/tunnel";
  reach(proxy);
  expect_receives(
      server, "POST /tunnel HTTP/1.1\r\nhost: target:443\r\ntransfer-encoding: chunked\r\n\r\n");
  send(server, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n");
  expect_receives(client, "hi");
  send(client, "hello");
  end(client);
  expect_receives(server, "5\r\nhello\r\n0\r\n\r\n");
}

}  // namespace
}  // namespace remora::tcp_proxy
