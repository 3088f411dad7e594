// What few routes have, seen through a connection manager: mirrors and internal redirects.
#include "proxy/router/route_extras.h"

#include "proxy/connection_manager/test_support.h"

namespace remora::connection_manager {
namespace {

using stats::ClusterStat;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TestClient;
using upstream::testing::TestPeer;

class RouteExtrasTest : public testing::HttpTest {
 protected:
  void mirror(std::string cluster = "test", uint32_t fraction_per_million = 1'000'000) {
    router::MirrorPolicy policy;
    policy.cluster = std::move(cluster);
    policy.fraction_per_million = fraction_per_million;
    policy.forwarded_for = "10.9.9.9";
    router::RouteExtras extras;
    extras.mirrors.push_back(std::move(policy));
    route.extras = std::make_shared<const router::RouteExtras>(std::move(extras));
  }
  void follow_redirects() {
    router::RouteExtras extras;
    extras.redirects.emplace();
    route.extras = std::make_shared<const router::RouteExtras>(std::move(extras));
    route.match.path = "/";
  }
  /// Where a request and its copy came, after their heads; in what order they come is not said.
  struct Both {
    TestPeer own, copy;
    std::string own_head, copy_head;
  };
  Both both(TestClient& client, std::string_view bytes) {
    Both out;
    out.own = request(client, bytes);
    out.copy = next_peer();
    out.own_head = out.own.read_head();
    out.copy_head = out.copy.read_head();
    if (out.own_head.find("-shadow") != std::string::npos) {
      std::swap(out.own, out.copy);
      std::swap(out.own_head, out.copy_head);
    }
    return out;
  }
  TestPeer next_peer() {
    run_until([&] { return server.has_waiting(); });
    TestPeer peer = server.accept();
    settle();
    return peer;
  }
};

// -------------------------------------------------------------------------------------------------
// mirrors

TEST_F(RouteExtrasTest, ACopyGoesToTheMirrorAndItsAnswerToNobody) {
  mirror();
  TestClient& client = connect();
  Both peers = both(client, "GET /x HTTP/1.1\r\nhost: a.com:80\r\nx-a: 1\r\n\r\n");
  EXPECT_THAT(peers.own_head, HasSubstr("host: a.com:80\r\n"));
  EXPECT_THAT(peers.copy_head, StartsWith("GET /x HTTP/1.1\r\n"));
  EXPECT_THAT(peers.copy_head, HasSubstr("host: a.com-shadow:80\r\n"));
  EXPECT_THAT(peers.copy_head, HasSubstr("x-a: 1\r\n"));
  EXPECT_THAT(peers.copy_head, HasSubstr("x-envoy-internal: true\r\n"));
  EXPECT_THAT(peers.copy_head, HasSubstr("x-forwarded-for: 10.9.9.9\r\n"));
  peers.copy.write("HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nbad");
  settle();
  EXPECT_FALSE(client.got("HTTP/1.1"));
  peers.own.answer("good");
  expect(client, "good");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(RouteExtrasTest, ACopyOutlivesItsRequest) {
  mirror();
  TestClient& client = connect();
  Both peers = both(client, kGet);
  peers.own.answer("good");
  expect(client, "good");
  client.leave();
  settle();
  EXPECT_FALSE(peers.copy.ended());
  peers.copy.answer("late");
  settle();
  EXPECT_FALSE(peers.copy.ended()) << "its connection is kept for others";
}

TEST_F(RouteExtrasTest, TheBodyGoesOutAsItComes) {
  mirror();
  TestClient& client = connect();
  Both peers =
      both(client, "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
  peers.own.read_until("abc\r\n");
  peers.copy.read_until("abc\r\n");
  client.send("0\r\n\r\n");
  settle();
  peers.own.read_until("0\r\n\r\n");
  peers.copy.read_until("0\r\n\r\n");
}

TEST_F(RouteExtrasTest, ACopyThatIsNotCompleteEndsWithItsRequest) {
  mirror();
  TestClient& client = connect();
  Both peers = both(client, "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc");
  peers.copy.read_until("abc");
  client.leave();
  run_until([&] { return peers.copy.ended(); });
}

TEST_F(RouteExtrasTest, AMirrorThatTakesNothingIsGivenUpAndHoldsUpNobody) {
  mirror();
  action().timeout_ms = 0;
  TestClient& client = connect();
  Both peers = both(client, "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n");
  const std::string piece(size_t{64} * 1024, 'x');
  size_t got = 0;
  const auto pump = [&] {
    client.try_send(piece);
    got += peers.own.read_available().size();
  };
  run_until([&] {
    pump();
    return stat(ClusterStat::retry_or_shadow_abandoned) == 1;
  });
  const size_t before = got;
  run_until([&] {
    pump();
    return got > before + 10 * piece.size();
  });
}

TEST_F(RouteExtrasTest, WhatAMirrorMissesIsCountedInItsClusterOnly) {
  mirror();
  server.stop();
  TestClient& client = connect();
  client.send(kGet);
  expect(client, "HTTP/1.1 503");
  settle();
  run_until([&] { return stat(ClusterStat::upstream_rq_pending_failure_eject) >= 2; });
  EXPECT_EQ(http_stat(stats::HttpStat::downstream_rq_5xx), 1u);
}

TEST_F(RouteExtrasTest, CopiesEndBeforeTheirClustersDo) {
  mirror();
  TestClient& client = connect();
  Both peers = both(client, kGet);
  peers.own.answer("good");
  expect(client, "good");
  route_tables.end_background();
  run_until([&] { return peers.copy.ended(); });
}

TEST_F(RouteExtrasTest, AMirrorThatIsNotThereOrNotMeantGetsNothing) {
  mirror("nobody");
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  settle();
  EXPECT_FALSE(server.has_waiting());
  mirror("test", 0);
  TestClient& other = connect();
  other.send(kGet);
  settle();
  peer.read_head();
  EXPECT_EQ(stat(ClusterStat::upstream_rq_pending_total), 2u);
}

// -------------------------------------------------------------------------------------------------
// redirects

constexpr std::string_view kFound =
    "HTTP/1.1 302 Found\r\nlocation: http://a/y\r\ncontent-length: 3\r\n\r\nwas";

TEST_F(RouteExtrasTest, ARedirectIsFollowedInsideWithTheBody) {
  follow_redirects();
  TestClient& client = connect();
  TestPeer peer = request(client, "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
  peer.read_until("abc");
  peer.write(kFound);
  TestPeer second = next_peer();
  const std::string again = second.read_until("abc");
  EXPECT_THAT(again, StartsWith("POST /y HTTP/1.1\r\n"));
  EXPECT_THAT(again, HasSubstr("x-envoy-original-url: http://a/x\r\n"));
  second.answer("there");
  expect(client, "there");
  EXPECT_THAT(client.received(), Not(HasSubstr("302")));
  EXPECT_EQ(stat(ClusterStat::upstream_internal_redirect_succeeded_total), 1u);
}

TEST_F(RouteExtrasTest, ARedirectTooManyIsPassedOn) {
  follow_redirects();
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.write(kFound);
  TestPeer second = next_peer();
  second.read_head();
  second.write(kFound);
  expect(client, "was");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 302 Found\r\n"));
  EXPECT_EQ(stat(ClusterStat::upstream_internal_redirect_failed_total), 1u);
  EXPECT_EQ(router_stat(stats::RouterStat::passthrough_internal_redirect_too_many_redirects), 1u);
}

TEST_F(RouteExtrasTest, ARedirectBeforeTheBodyIsThereIsPassedOn) {
  follow_redirects();
  TestClient& client = connect();
  TestPeer peer = request(client, "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na");
  peer.read_until("\r\n\r\na");
  peer.write(kFound);
  expect(client, "HTTP/1.1 302 Found");
}

TEST_F(RouteExtrasTest, AClientThatLeavesAsTheRedirectComesIsForgotten) {
  follow_redirects();
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.write(kFound);
  client.leave();
  settle();
  EXPECT_EQ(http_stat(stats::HttpStat::downstream_rq_active), 0u);
}

}  // namespace
}  // namespace remora::connection_manager
