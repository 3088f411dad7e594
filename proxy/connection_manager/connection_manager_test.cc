#include "proxy/connection_manager/connection_manager.h"

#include "proxy/connection_manager/test_support.h"

namespace remora::connection_manager {
namespace {

using stats::HttpStat;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TestClient;
using upstream::testing::TestPeer;

class ConnectionManagerTest : public testing::HttpTest {};

TEST_F(ConnectionManagerTest, ARequestGoesUpstreamAndItsResponseComesBack) {
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  const std::string sent = peer.read_head();
  EXPECT_THAT(sent, StartsWith("GET /x HTTP/1.1\r\nhost: a.com\r\n"));
  EXPECT_THAT(sent, HasSubstr("x-forwarded-proto: http\r\n"));
  EXPECT_THAT(sent, HasSubstr("x-request-id: "));
  EXPECT_THAT(sent, HasSubstr("x-envoy-expected-rq-timeout-ms: 15000\r\n"));
  peer.answer("hello", "x-from: server\r\nserver: nginx\r\nkeep-alive: timeout=5\r\n");
  expect(client, "hello");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("x-from: server\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("server: envoy\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("date: "));
  EXPECT_THAT(client.received(), HasSubstr("x-envoy-upstream-service-time: "));
  EXPECT_THAT(client.received(), Not(HasSubstr("keep-alive")));
  EXPECT_FALSE(client.ended());
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_2xx), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_active), 0u);
  EXPECT_EQ(stat(stats::ClusterStat::upstream_rq_total), 1u);
}

TEST_F(ConnectionManagerTest, BothConnectionsAreUsedAgain) {
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  for (int i = 0; i < 3; ++i) {
    peer.read_head();
    peer.answer("number " + std::to_string(i));
    expect(client, "number " + std::to_string(i));
    client.send(kGet);
    settle();
  }
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_total), 1u);
  EXPECT_EQ(stat(stats::ClusterStat::upstream_cx_total), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_total), 4u);
}

TEST_F(ConnectionManagerTest, BodiesGoBothWays) {
  TestClient& client = connect();
  TestPeer peer = request(
      client, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
  peer.read_until("hello\r\n");
  client.send("0\r\n\r\n");
  settle();
  peer.read_until("0\r\n\r\n");
  peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
  expect(client, "3\r\nabc\r\n");
  peer.write("0\r\n\r\n");
  expect(client, "0\r\n\r\n");
}

TEST_F(ConnectionManagerTest, PipelinedRequestsAreServedInOrder) {
  TestClient& client = connect();
  TestPeer peer = request(client, std::string(kGet) + "GET /second HTTP/1.1\r\nhost: a\r\n\r\n");
  peer.read_head();
  peer.answer("one");
  expect(client, "one");
  settle();
  EXPECT_THAT(peer.read_head(), StartsWith("GET /second"));
  peer.answer("two");
  expect(client, "two");
}

TEST_F(ConnectionManagerTest, ARequestWithoutHostIsRefusedAndTheConnectionClosed) {
  TestClient& client = connect();
  client.send("GET / HTTP/1.1\r\n\r\n");
  expect(client, "\r\n\r\n");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("connection: close\r\n"));
  run_until([&] { return client.ended(); });
}

TEST_F(ConnectionManagerTest, NonsenseIsAnsweredOnceAndNothingBehindItIsServed) {
  TestClient& client = connect();
  client.send("GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n" + std::string(kGet));
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 400 Bad Request\r\ncontent-length: 11\r\n"));
  EXPECT_THAT(client.received().substr(10), Not(HasSubstr("HTTP/1.1")));
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_protocol_error), 1u);
  EXPECT_FALSE(server.has_waiting());
}

TEST_F(ConnectionManagerTest, AnHttp2PrefaceInPiecesIsNotTakenForARequest) {
  TestClient& client = connect();
  client.send("PRI * HT");
  settle();
  EXPECT_FALSE(client.ended()) << "it may still be HTTP/1";
  client.send("TP/2.0\r\n\r\nSM\r\n\r\n");
  settle();
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_http2_total), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_total), 0u);
}

TEST_F(ConnectionManagerTest, AFragmentInThePathIsRefused) {
  TestClient& client = connect();
  client.send("GET /x#y HTTP/1.1\r\nhost: a\r\n\r\n");
  expect(client, "\r\n\r\n");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 400"));
}

TEST_F(ConnectionManagerTest, AnAsteriskIsNoPathToRoute) {
  TestClient& client = connect();
  client.send("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
  expect(client, "\r\n\r\n");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 404"));
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_non_relative_path), 1u);
  EXPECT_FALSE(client.ended());
}

TEST_F(ConnectionManagerTest, OnlyOneExpectationCanBeMet) {
  TestClient& client = connect();
  client.send("GET / HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\n\r\n");
  expect(client, "\r\n\r\n");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 417"));
}

TEST_F(ConnectionManagerTest, AClientThatExpects100IsToldToGoOnAndTheUpstreamIsNotAsked) {
  TestClient& client = connect();
  TestPeer peer = request(
      client, "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
  expect(client, "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_THAT(peer.read_head(), Not(HasSubstr("expect:")));
  client.send("ok");
  settle();
  peer.read_until("ok");
  peer.answer("done");
  expect(client, "done");
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_1xx), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_2xx), 1u);
}

TEST_F(ConnectionManagerTest, TheUpstreamDecidesAbout100WhenConfigured) {
  http.proxy_100_continue = true;
  TestClient& client = connect();
  TestPeer peer = request(
      client, "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
  EXPECT_THAT(peer.read_head(), HasSubstr("expect: 100-continue\r\n"));
  EXPECT_EQ(client.received(), "");
  peer.write("HTTP/1.1 100 Continue\r\n\r\n");
  expect(client, "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST_F(ConnectionManagerTest, ConnectionNeverNamesAwayWhatOthersRelyOn) {
  TestClient& client = connect();
  TestPeer peer =
      request(client,
              "GET / HTTP/1.1\r\nhost: a\r\nconnection: host, x-hop, authorization\r\nx-hop: 1\r\n"
              "authorization: secret\r\nte: trailers, gzip\r\n\r\n");
  const std::string sent = peer.read_head();
  EXPECT_THAT(sent, HasSubstr("host: a\r\n"));
  EXPECT_THAT(sent, HasSubstr("authorization: secret\r\n"));
  EXPECT_THAT(sent, HasSubstr("te: trailers\r\n"));
  EXPECT_THAT(sent, Not(HasSubstr("x-hop")));
  EXPECT_THAT(sent, Not(HasSubstr("connection")));
}

TEST_F(ConnectionManagerTest, AnEarlyAnswerClosesTheConnection) {
  route.match.path = "/only";
  TestClient& client = connect();
  client.send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("connection: close\r\n"));
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_response_before_rq_complete), 1u);
  EXPECT_EQ(router_stat(stats::RouterStat::no_route), 1u);
}

TEST_F(ConnectionManagerTest, ADrainingConnectionEndsWithItsNextResponse) {
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  client.drain();
  peer.read_head();
  peer.answer("bye");
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), HasSubstr("connection: close\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("bye"));
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_drain_close), 1u);
  client.leave();
  run_until([&] { return http_stat(HttpStat::downstream_cx_active) == 0; });
}

TEST_F(ConnectionManagerTest, AConnectionServesOnlySoManyRequests) {
  http.max_requests_per_connection = 2;
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.answer("one");
  expect(client, "one");
  client.send(kGet);
  settle();
  peer.read_head();
  peer.answer("two");
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), HasSubstr("connection: close\r\n"));
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_max_requests_reached), 1u);
}

TEST_F(ConnectionManagerTest, AnIdleConnectionDrainsAndThenCloses) {
  http.idle_timeout_ms = 300;
  http.drain_timeout_ms = 5;
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.answer("ok");
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), HasSubstr("ok"));
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_idle_timeout), 1u);
  client.leave();
  run_until([&] { return http_stat(HttpStat::downstream_cx_destroy_local) == 1; });
}

TEST_F(ConnectionManagerTest, AClientThatNeverSpeaksIsClosedAfterTheIdleTimeout) {
  http.idle_timeout_ms = 5;
  TestClient& client = connect();
  run_until([&] { return client.ended(); });
  EXPECT_EQ(client.received(), "");
}

TEST_F(ConnectionManagerTest, AClientThatLeavesEndsItsRequestUpstream) {
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  client.leave();
  run_until([&] { return peer.ended(); });
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_rx_reset), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_cx_destroy_remote_active_rq), 1u);
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_active), 0u);
}

TEST_F(ConnectionManagerTest, AStreamWithNothingHappeningIsGivenUp) {
  http.stream_idle_timeout_ms = 10;
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  expect(client, "stream timeout");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 504 Gateway Timeout\r\n"));
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_idle_timeout), 1u);
}

TEST_F(ConnectionManagerTest, ARequestHasToBeCompleteInTime) {
  http.request_timeout_ms = 10;
  TestClient& client = connect();
  TestPeer peer = request(client, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
  expect(client, "request timeout");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 408 Request Timeout\r\n"));
  EXPECT_EQ(http_stat(HttpStat::downstream_rq_timeout), 1u);
}

TEST_F(ConnectionManagerTest, HeadersHaveToBeCompleteInTime) {
  http.request_headers_timeout_ms = 10;
  TestClient& client = connect();
  client.send("GET / HTTP/1.1\r\nhost:");
  expect(client, "request header timeout");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 408"));
  run_until([&] { return client.ended(); });
}

TEST_F(ConnectionManagerTest, RoutesMayComeLaterAndChangeForTheNextRequest) {
  http.rds_name = "table";
  TestClient& client = connect();
  client.send(kGet);
  expect(client, "HTTP/1.1 404 Not Found\r\n");
  settle();
  route_tables.update(*router::RouteTable::build(table_input()));
  TestPeer peer = request(client, kGet);
  route_tables.remove("table");
  peer.read_head();
  peer.answer("still served");
  expect(client, "still served");
}

TEST_F(ConnectionManagerTest, ASlowReaderStopsTheUpstream) {
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  constexpr size_t kBody = 16 * 1024 * 1024;
  peer.write("HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(kBody) + "\r\n\r\n");
  ::fcntl(peer.fd(), F_SETFL, O_NONBLOCK);
  const std::string chunk(64 * 1024, 'x');
  size_t written = 0;
  // The client reads nothing: sooner or later the server's socket takes no more.
  for (int quiet = 0; quiet < 20;) {
    const ssize_t sent =
        ::send(peer.fd(), chunk.data(), std::min(chunk.size(), kBody - written), MSG_NOSIGNAL);
    if (sent > 0) {
      written += static_cast<size_t>(sent);
      quiet = 0;
    } else {
      ++quiet;
    }
    loop.run_once(1);
  }
  ASSERT_LT(written, kBody);
  EXPECT_GT(stat(stats::ClusterStat::upstream_flow_control_paused_reading_total), 0u);
  EXPECT_LT(loop.blocks().blocks_in_use() * Block::kBytes, 4u * 1024 * 1024);
  run_until([&] {
    const ssize_t sent =
        ::send(peer.fd(), chunk.data(), std::min(chunk.size(), kBody - written), MSG_NOSIGNAL);
    if (sent > 0) written += static_cast<size_t>(sent);
    return client.received().size() > kBody;
  });
  EXPECT_EQ(written, kBody);
}

}  // namespace
}  // namespace remora::connection_manager
