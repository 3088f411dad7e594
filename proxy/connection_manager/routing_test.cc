// The router seen through a connection manager: what clients and upstreams get to see of it.
#include "proxy/connection_manager/test_support.h"
#include "proxy/router/retry_extras.h"

namespace remora::connection_manager {
namespace {

using stats::ClusterStat;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TestClient;
using upstream::testing::TestPeer;

class RoutingTest : public testing::HttpTest {
 protected:
  router::RetryPolicy& retry_on(std::string_view words, uint32_t times = 1) {
    router::RetryPolicy policy;
    policy.on = router::parse_retry_on(words);
    policy.num_retries = times;
    policy.back_off_base_ms = 1;
    policy.back_off_max_ms = 1;
    action().retry = policy;
    return *action().retry;
  }
  /// The answer to GET when nothing upstream takes part.
  std::string answer() {
    TestClient& client = connect();
    client.send(kGet);
    expect(client, "\r\n\r\n");
    settle();
    return client.received();
  }
};

// -----------------------------------------------------------------------------------------------
// no upstream at all

TEST_F(RoutingTest, AClusterThatIsNotThereIs503) {
  no_cluster = true;
  EXPECT_THAT(answer(), StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_EQ(router_stat(stats::RouterStat::no_cluster), 1u);
}

TEST_F(RoutingTest, AClusterWithoutHostsHasNoHealthyUpstream) {
  apply({});
  EXPECT_THAT(answer(), HasSubstr("\r\n\r\nno healthy upstream"));
  EXPECT_EQ(stat(ClusterStat::upstream_cx_none_healthy), 1u);
}

TEST_F(RoutingTest, AHostThatRefusesIsSaidToHaveFailedTheConnection) {
  server.stop();
  const std::string said = answer();
  EXPECT_THAT(said, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(
      said,
      HasSubstr("upstream connect error or disconnect/reset before headers. reset reason: remote "
                "connection failure"));
}

TEST_F(RoutingTest, ACircuitBreakerOverflows) {
  config.default_thresholds.max_pending_requests = 0;
  const std::string said = answer();
  EXPECT_THAT(said, HasSubstr("x-envoy-overloaded: true\r\n"));
  EXPECT_THAT(said, HasSubstr("reset reason: overflow"));
}

TEST_F(RoutingTest, DirectResponsesAndRedirectsNeedNoCluster) {
  no_cluster = true;
  route.action = router::DirectAction{200, "hello"};
  EXPECT_THAT(answer(), HasSubstr("content-type: text/plain\r\n"));
  router::RedirectAction redirect;
  redirect.https = true;
  route.action = redirect;
  EXPECT_THAT(answer(), HasSubstr("location: https://a.com/x\r\n"));
}

TEST_F(RoutingTest, AnAnswerToHeadHasNoBody) {
  no_cluster = true;
  route.action = router::DirectAction{200, "hello"};
  TestClient& client = connect();
  client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
  expect(client, "content-length: 5\r\n");
  settle();
  EXPECT_THAT(client.received(), Not(HasSubstr("hello")));
}

TEST_F(RoutingTest, GrpcIsAnsweredInItsOwnWords) {
  apply({});
  TestClient& client = connect();
  client.send("POST /s/m HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n\r\n");
  expect(client, "\r\n\r\n");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("grpc-status: 14\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("grpc-message: no healthy upstream\r\n"));
}

// -------------------------------------------------------------------------------------------------
// misbehaviour

TEST_F(RoutingTest, AnUpstreamThatClosesIs503) {
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.close();
  expect(client, "reset reason: connection termination");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 503"));
  EXPECT_FALSE(client.ended());
}

TEST_F(RoutingTest, AnUpstreamThatSpeaksNonsenseIs502) {
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.write("SSH-2.0-OpenSSH\r\n\r\n");
  expect(client, "reset reason: protocol error");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 502 Bad Gateway\r\n"));
  EXPECT_EQ(stat(ClusterStat::upstream_cx_protocol_error), 1u);
}

TEST_F(RoutingTest, AResponseThatBreaksOffBreaksOffForTheClientToo) {
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
  expect(client, "abc");
  peer.close();
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), Not(HasSubstr("upstream connect error")));
  EXPECT_EQ(router_stat(stats::RouterStat::rq_reset_after_downstream_response_started), 1u);
}

TEST_F(RoutingTest, AnAnswerBeforeTheRequestEndedEndsBoth) {
  TestClient& client = connect();
  TestPeer peer = request(client, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
  peer.read_until("abc");
  peer.answer("enough");
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), HasSubstr("connection: close\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("enough"));
  EXPECT_TRUE(peer.ended()) << "a connection with half a request is never used again";
}

// ------------------------------------------------------------------------------------------------------
// timeouts

TEST_F(RoutingTest, AnUpstreamHasToAnswerInTime) {
  action().timeout_ms = 20;
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  expect(client, "upstream request timeout");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 504 Gateway Timeout\r\n"));
  EXPECT_EQ(stat(ClusterStat::upstream_rq_timeout), 1u);
  peer.read_head();
  run_until([&] { return peer.ended(); });
}

TEST_F(RoutingTest, ATimeoutAfterTheResponseBeganBreaksItOff) {
  action().timeout_ms = 100;
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
  run_until([&] { return client.ended(); });
  EXPECT_THAT(client.received(), Not(HasSubstr("504")));
}

TEST_F(RoutingTest, TheTimeoutRunsFromTheEndOfTheRequest) {
  action().timeout_ms = 20;
  TestClient& client = connect();
  TestPeer peer = request(client, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na");
  const uint64_t until = monotonic_now_ms() + 40;
  while (monotonic_now_ms() < until) loop.run_once(5);
  EXPECT_EQ(client.received(), "");
  client.send("b");
  expect(client, "upstream request timeout");
}

// -------------------------------------------------------------------------------------------------------
// retries

TEST_F(RoutingTest, ABadAnswerIsAskedForAgainWithTheSameBody) {
  retry_on("5xx");
  vhost.include_request_attempt_count = true;
  vhost.include_attempt_count_in_response = true;
  TestClient& client = connect();
  TestPeer peer = request(client, "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
  EXPECT_THAT(peer.read_until("body"), HasSubstr("x-envoy-attempt-count: 1\r\n"));
  peer.write("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
  run_until([&] { return upstream::testing::wait_readable(peer.fd(), 0); });
  EXPECT_THAT(peer.read_until("body"), HasSubstr("x-envoy-attempt-count: 2\r\n"));
  peer.answer("fine");
  expect(client, "fine");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("x-envoy-attempt-count: 2\r\n"));
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry_success), 1u);
  EXPECT_EQ(in_use(upstream::Resource::Retries), 0u);
}

TEST_F(RoutingTest, TheLastBadAnswerIsPassedOn) {
  retry_on("5xx");
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.write("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
  run_until([&] { return upstream::testing::wait_readable(peer.fd(), 0); });
  peer.read_head();
  peer.write("HTTP/1.1 503 No\r\ncontent-length: 5\r\n\r\nsorry");
  expect(client, "sorry");
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry_limit_exceeded), 1u);
}

TEST_F(RoutingTest, ABadAnswerWithABodyIsNotWaitedFor) {
  retry_on("5xx");
  TestClient& client = connect();
  TestPeer first = request(client, kGet);
  first.read_head();
  first.write("HTTP/1.1 503 No\r\ncontent-length: 5\r\n\r\nsor");
  run_until([&] { return server.has_waiting(); });
  EXPECT_TRUE(first.ended());
  settle();
  TestPeer second = server.accept();
  settle();
  second.read_head();
  second.answer("fine");
  expect(client, "fine");
}

TEST_F(RoutingTest, WithoutAPolicyNothingIsSentTwice) {
  TestClient& client = connect();
  TestPeer peer = request(client, "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
  peer.read_until("body");
  peer.close();
  expect(client, "reset reason");
  settle();
  EXPECT_FALSE(server.has_waiting());
}

TEST_F(RoutingTest, AFailedConnectIsRetriedAndSaidSo) {
  server.stop();
  retry_on("connect-failure", 2);
  const std::string said = answer();
  EXPECT_THAT(said, HasSubstr("retried and the latest reset reason: remote connection failure"));
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry), 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry_limit_exceeded), 1u);
}

TEST_F(RoutingTest, RetriesHaveABreakerOfTheirOwn) {
  config.default_thresholds.max_retries = 0;
  retry_on("5xx", 3);
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.write("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
  expect(client, "503");
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry_overflow), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry), 0u);
}

TEST_F(RoutingTest, ABodyOverTheLimitIsSentOnceOnly) {
  retry_on("5xx");
  TestClient& client = connect();
  constexpr size_t kBody = 2 * 1024 * 1024;
  client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: " + std::to_string(kBody) +
              "\r\n\r\n");
  run_until([&] { return server.has_waiting(); });
  TestPeer peer = server.accept();
  const std::string piece(32 * 1024, 'x');
  std::string seen;
  size_t sent = 0;
  char bytes[64 * 1024];
  run_until([&] {
    if (sent < kBody) {
      client.send(piece);
      sent += piece.size();
    }
    for (int i = 0; i < 4; ++i) loop.run_once(0);
    const ssize_t got = ::recv(peer.fd(), bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got > 0) seen.append(bytes, static_cast<size_t>(got));
    return seen.size() >= kBody + seen.find("\r\n\r\n");
  });
  peer.write("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
  expect(client, "503");
  EXPECT_EQ(stat(ClusterStat::retry_or_shadow_abandoned), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry), 0u);
}

TEST_F(RoutingTest, ATryHasToAnswerInItsOwnTime) {
  retry_on("5xx").per_try_timeout_ms = 50;
  TestClient& client = connect();
  TestPeer first = request(client, kGet);
  first.read_head();
  run_until([&] { return server.has_waiting(); });
  settle();
  TestPeer second = server.accept();
  settle();
  second.read_head();
  second.answer("fine");
  expect(client, "fine");
  EXPECT_EQ(stat(ClusterStat::upstream_rq_per_try_timeout), 1u);
}

TEST_F(RoutingTest, OfTwoAttemptsTheFirstGoodAnswerCounts) {
  retry_on("5xx").per_try_timeout_ms = 50;
  action().hedges = true;
  for (const bool late_wins : {true, false}) {
    TestClient& client = connect();
    TestPeer late = request(client, kGet);
    late.read_head();
    run_until([&] { return server.has_waiting(); });
    TestPeer second = server.accept();
    settle();
    second.read_head();
    EXPECT_FALSE(late.ended());
    (late_wins ? late : second).answer(late_wins ? "late" : "second");
    expect(client, late_wins ? "late" : "second");
    TestPeer& other = late_wins ? second : late;
    run_until([&] { return other.ended(); });
    client.leave();
    settle();
  }
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry), 2u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry_success), 1u);
  EXPECT_EQ(stat(ClusterStat::upstream_rq_per_try_timeout), 0u);
  EXPECT_EQ(in_use(upstream::Resource::Retries), 0u);
}

TEST_F(RoutingTest, ABadAnswerIsNotTakenWhileAnotherMayCome) {
  retry_on("5xx").per_try_timeout_ms = 50;
  action().hedges = true;
  TestClient& client = connect();
  TestPeer late = request(client, kGet);
  late.read_head();
  run_until([&] { return server.has_waiting(); });
  TestPeer second = server.accept();
  late.write("HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\n");
  run_until([&] { return late.ended(); });
  EXPECT_EQ(client.received(), "");
  second.close();
  expect(client, "503");
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry_limit_exceeded), 1u);
}

TEST_F(RoutingTest, ATryHasToGoOn) {
  router::RetryExtras extras;
  extras.per_try_idle_ms = 50;
  retry_on("5xx").extras = std::make_shared<const router::RetryExtras>(extras);
  TestClient& client = connect();
  TestPeer first = request(client, kGet);
  first.read_head();
  run_until([&] { return server.has_waiting(); });
  settle();
  TestPeer second = server.accept();
  settle();
  second.read_head();
  second.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun");
  expect(client, "begun");
  run_until([&] { return client.ended(); });
  EXPECT_EQ(stat(ClusterStat::upstream_rq_per_try_idle_timeout), 2u);
}

TEST_F(RoutingTest, WhoHasBegunToSpeakIsNotReplaced) {
  retry_on("5xx");
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.write(
      "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
  expect(client, "HTTP/1.1 503");
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry), 0u);
}

TEST_F(RoutingTest, AClientThatLeavesWhileARetryWaitsLeavesNothingBehind) {
  retry_on("5xx").back_off_base_ms = 60'000;
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.write("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
  run_until([&] { return in_use(upstream::Resource::Retries) == 1; });
  EXPECT_EQ(stat(ClusterStat::upstream_rq_retry), 0u) << "counted when it is made";
  client.leave();
  run_until([&] { return in_use(upstream::Resource::Retries) == 0; });
}

// ---------------------------------------------------------------------------------------------------------
// edits

TEST_F(RoutingTest, EditsOfTheRouteReachTheUpstreamAndTheClient) {
  action().rewrites.edit().prefix_rewrite = "/new";
  action().rewrites.edit().has_prefix_rewrite = true;
  router::HeaderEdit edit;
  edit.name = "x-route";
  edit.value = "yes";
  route.request_edits.add = {edit};
  route.response_edits.add = {edit};
  route.response_edits.remove = {"x-secret"};
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  const std::string sent = peer.read_head();
  EXPECT_THAT(sent, StartsWith("GET /newx HTTP/1.1\r\n"));
  EXPECT_THAT(sent, HasSubstr("x-route: yes\r\n"));
  EXPECT_THAT(sent, HasSubstr("x-envoy-original-path: /x\r\n"));
  peer.answer("ok", "x-secret: 1\r\n");
  expect(client, "ok");
  EXPECT_THAT(client.received(), HasSubstr("x-route: yes\r\n"));
  EXPECT_THAT(client.received(), Not(HasSubstr("x-secret")));
}

TEST_F(RoutingTest, EditsOfTheRouteReachLocalAnswersToo) {
  apply({});
  router::HeaderEdit edit;
  edit.name = "x-route";
  edit.value = "yes";
  route.response_edits.add = {edit};
  EXPECT_THAT(answer(), HasSubstr("x-route: yes\r\n"));
}

}  // namespace
}  // namespace remora::connection_manager
