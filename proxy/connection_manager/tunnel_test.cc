// Upgrades and tunnels through a connection manager and its router: who may, what opens one, and
// how bytes and ends travel through it.
#include "proxy/connection_manager/test_support.h"

namespace remora::connection_manager {
namespace {

using stats::ClusterStat;
using stats::HttpStat;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TestClient;
using upstream::testing::TestPeer;

constexpr std::string_view kAsk =
    "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
constexpr std::string_view kConnect = "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\n\r\n";

class TunnelTest : public testing::HttpTest {
 protected:
  TunnelTest() { http.upgrades = {{"websocket", true}, {"CONNECT", true}}; }

  /// An upgrade that the server has agreed to.
  TestPeer open(TestClient& client) {
    TestPeer peer = request(client, kAsk);
    peer.read_head();
    peer.write(kSwitch);
    expect(client, "\r\n\r\n");
    settle();
    return peer;
  }
};

TEST_F(TunnelTest, CarriesBytesBothWaysOnceTheServerAgrees) {
  TestClient& client = connect();
  TestPeer peer = request(client, std::string(kAsk) + "early");
  EXPECT_THAT(peer.read_head(), HasSubstr("connection: Upgrade\r\nupgrade: websocket\r\n"));
  EXPECT_FALSE(upstream::testing::wait_readable(peer.fd(), 0))
      << "nothing is forwarded before the answer";
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_upgrades_active), 1u);
  peer.write(std::string(kSwitch) + "ahead");
  expect(client, "ahead");
  EXPECT_THAT(client.received(),
              StartsWith("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: "
                         "websocket\r\n"));
  EXPECT_THAT(client.received(), Not(HasSubstr("transfer-encoding")));
  settle();
  peer.read_until("early");
  client.send("GET / HTTP/1.1\r\n\r\n");
  settle();
  peer.read_until("GET / HTTP/1.1\r\n\r\n");
  peer.write("pong");
  expect(client, "pong");
  peer.close();
  run_until([&] { return client.ended(); });
  client.leave();
  run_until([&] { return http_stat(HttpStat::downstream_cx_upgrades_active) == 0; });
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_upgrades_total), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
}

TEST_F(TunnelTest, TheClientMayEndFirst) {
  TestClient& client = connect();
  TestPeer peer = open(client);
  client.send("last words");
  client.end_sending();
  settle();
  peer.read_until("last words");
  run_until([&] { return peer.ended(); });
  peer.write("an answer to them");
  peer.close();
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), EndsWith("an answer to them"));
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
}

TEST_F(TunnelTest, TheServerMayEndFirst) {
  TestClient& client = connect();
  TestPeer peer = open(client);
  peer.write("last words");
  peer.end_sending();
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), EndsWith("last words"));
  client.send("an answer to them");
  settle();
  peer.read_until("an answer to them");
  client.leave();
  settle();
  run_until([&] { return peer.ended(); });
  run_until([&] { return stat(ClusterStat::upstream_rq_active) == 0; });
}

TEST_F(TunnelTest, AResetOfEitherSideReachesTheOther) {
  TestClient& client = connect();
  TestPeer peer = open(client);
  peer.abort();
  run_until([&] { return client.ended(); });
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_upgrades_active), 0u);
}

TEST_F(TunnelTest, AnyOtherAnswerIsAnOrdinaryOne) {
  TestClient& client = connect();
  TestPeer peer = request(client, std::string(kAsk) + "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n");
  peer.read_head();
  peer.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain");
  expect(client, "plain");
  EXPECT_THAT(client.received(), HasSubstr("connection: close\r\n"));
  run_until([&] { return client.ended(); });
  EXPECT_FALSE(server.has_waiting()) << "what followed is no request";
}

TEST_F(TunnelTest, A101MustBeTheOneThatWasAskedFor) {
  const std::string_view answers[] = {
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: "
      "websocket\r\ncontent-length: 3\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: "
      "websocket\r\ntransfer-encoding: chunked\r\n\r\n"};
  for (const std::string_view answer : answers) {
    TestClient& client = connect();
    TestPeer peer = request(client, kAsk);
    peer.read_head();
    peer.write(answer);
    expect(client, "protocol error");
    EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 502 Bad Gateway\r\n"));
  }
}

TEST_F(TunnelTest, WhatTheRouteForbidsIsRefused) {
  action().upgrades = {{"websocket", false}};
  TestClient& client = connect();
  client.send(kAsk);
  expect(client, "\r\n\r\n");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("connection: close\r\n"));
  EXPECT_FALSE(server.has_waiting());
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_ws_on_non_ws_route), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_upgrades_total), 0u);
}

TEST_F(TunnelTest, AProtocolThatNobodyNamesIsNotAskedFor) {
  http.upgrades.clear();
  TestClient& client = connect();
  TestPeer peer = request(client, kAsk);
  const std::string head = peer.read_head();
  EXPECT_THAT(head, Not(HasSubstr("upgrade")));
  peer.answer("plain");
  expect(client, "plain");
  EXPECT_FALSE(client.ended());
  client.send(kGet);
  settle();
  EXPECT_THAT(peer.read_head(), StartsWith("GET /x ")) << "the connection is as good as before";
  peer.answer("again");
  expect(client, "again");
}

TEST_F(TunnelTest, IsNeverOpenedTwice) {
  router::RetryPolicy retry;
  retry.on = router::RetryPolicy::k5xx | router::RetryPolicy::kReset;
  retry.num_retries = 3;
  action().retry = retry;
  TestClient& client = connect();
  TestPeer peer = request(client, kAsk);
  peer.read_head();
  peer.write("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
  expect(client, "\r\n\r\n");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry), 0u);
}

TEST_F(TunnelTest, TheRoutesTimeoutEndsWithTheAnswer) {
  constexpr uint64_t kTimeoutMs = 250;
  action().timeout_ms = kTimeoutMs;
  http.request_timeout_ms = kTimeoutMs;
  TestClient& client = connect();
  TestPeer peer = open(client);
  const MonotonicMs later = loop.now_ms() + kTimeoutMs + 50;
  run_until([&] { return loop.now_ms() > later; });
  client.send("still there");
  settle();
  peer.read_until("still there");
  EXPECT_FALSE(client.ended());
}

TEST_F(TunnelTest, AConnectIsPassedOn) {
  route.match.kind = router::RouteMatch::Kind::Connect;
  TestClient& client = connect();
  TestPeer peer = request(client, std::string(kConnect) + "early");
  EXPECT_THAT(peer.read_head(), StartsWith("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n"));
  EXPECT_FALSE(upstream::testing::wait_readable(peer.fd(), 0));
  peer.write(std::string(kOk) + "ahead");
  expect(client, "ahead");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client.received(), Not(HasSubstr("chunked")));
  settle();
  peer.read_until("early");
}

TEST_F(TunnelTest, AConnectThatIsNotConfiguredIsRefused) {
  http.upgrades.clear();
  route.match.kind = router::RouteMatch::Kind::Connect;
  TestClient& client = connect();
  client.send(kConnect);
  expect(client, "\r\n\r\n");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_FALSE(server.has_waiting());
}

TEST_F(TunnelTest, AConnectWithoutARouteIsNotFound) {
  TestClient& client = connect();
  client.send(kConnect);
  expect(client, "\r\n\r\n");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 404 Not Found\r\n"));
}

// -------------------------------------------------------------------------------------------------
// tunnels that end here

class TunnelEndTest : public TunnelTest {
 protected:
  TunnelEndTest() {
    route.match.kind = router::RouteMatch::Kind::Connect;
    set_connect(router::ConnectConfig());
  }
  void set_connect(const router::ConnectConfig& config) {
    action().connect = std::make_shared<const router::ConnectConfig>(config);
  }
  TestPeer reached(TestClient& client, std::string_view bytes) {
    client.send(bytes);
    run_until([&] { return server.has_waiting(); });
    return server.accept();
  }
};

TEST_F(TunnelEndTest, CarryTheirBytesAsTheyAre) {
  TestClient& client = connect();
  TestPeer peer = reached(client, std::string(kConnect) + "early");
  peer.write("220 hi");
  expect(client, "220 hi");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client.received(), Not(HasSubstr("transfer-encoding")));
  settle();
  EXPECT_EQ(peer.read_until("early"), "early");
  client.send("bye");
  client.end_sending();
  settle();
  peer.read_until("bye");
  run_until([&] { return peer.ended(); });
  peer.write("after");
  peer.close();
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), EndsWith("after"));
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
  EXPECT_EQ(stat(ClusterStat::upstream_rq_active), 0u);
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_upgrades_active), 0u);
}

TEST_F(TunnelEndTest, AreBrokenOffByAReset) {
  TestClient& client = connect();
  TestPeer peer = reached(client, kConnect);
  expect(client, "\r\n\r\n");
  peer.abort();
  run_until([&] { return client.ended(); });
  EXPECT_EQ(stat(ClusterStat::upstream_cx_active), 0u);
}

TEST_F(TunnelEndTest, LetGoOfTheServerWhenTheClientLeaves) {
  TestClient& client = connect();
  TestPeer peer = reached(client, kConnect);
  expect(client, "\r\n\r\n");
  client.leave();
  run_until([&] { return peer.ended(); });
  peer.close();
  run_until([&] { return stat(ClusterStat::upstream_cx_active) == 0; });
}

TEST_F(TunnelEndTest, SayWhoTheClientIsWhereAsked) {
  set_connect({.allow_post = false, .proxy_protocol = ProxyProtocolSettings()});
  TestClient& client = connect();
  TestPeer peer = reached(client, kConnect);
  settle();
  EXPECT_EQ(peer.read_until("\r\n"), "PROXY TCP4 10.1.1.1 10.2.2.2 40000 8080\r\n");
}

TEST_F(TunnelEndTest, AreRefusedWhenNobodyIsThere) {
  TestClient& client = connect();
  server.stop();
  client.send(kConnect);
  expect(client, "remote connection failure");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
}

TEST_F(TunnelEndTest, MayBeBodiesOfPostRequests) {
  route.match.kind = router::RouteMatch::Kind::Prefix;
  set_connect({.allow_post = true, .proxy_protocol = {}});
  TestClient& client = connect();
  TestPeer peer = reached(client, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nping");
  settle();
  EXPECT_EQ(peer.read_until("ping"), "ping");
  run_until([&] { return peer.ended(); });
  peer.write("pong");
  peer.close();
  expect(client, "4\r\npong\r\n0\r\n\r\n");
}

}  // namespace
}  // namespace remora::connection_manager
