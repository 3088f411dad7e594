#include "proxy/upstream/health_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "proxy/upstream/test_cluster.h"

namespace remora::upstream {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TestPeer;
using Kind = CheckResult::Kind;

class HealthProbeTest : public testing::ClusterTestBase {
 protected:
  HealthProbeTest() { check.path = "/health"; }
  ~HealthProbeTest() override { probe.reset(); }

  void start() {
    if (probe == nullptr) {
      config.health_check = std::make_shared<HealthCheckConfig>(check);
      EndpointConfig endpoint = testing::endpoint_at(server.address());
      EndpointExtras& extras = endpoint.extras.edit();
      extras.check_hostname = hostname;
      extras.check_address = asked;
      extras.check_port = ask_port;
      auto host = std::make_shared<Host>(std::make_shared<EndpointConfig>(endpoint), nullptr, 0);
      probe = std::make_unique<ConnectionProbe>(worker, std::make_shared<ClusterConfig>(config),
                                                std::move(host),
                                                [this](CheckResult got) { result = got; });
    }
    result.reset();
    probe->start();
  }
  TestPeer connected() {
    start();
    run_until([&] { return server.has_waiting(); });
    TestPeer peer = server.accept();
    settle();
    return peer;
  }
  Kind wait() {
    run_until([&] { return result.has_value(); });
    return result ? result->kind : Kind::Timeout;
  }
  Kind http(std::string_view answer) {
    TestPeer peer = connected();
    head = peer.read_head();
    peer.write(answer);
    return wait();
  }

  HealthCheckConfig check;
  std::string hostname;
  Address asked;
  uint16_t ask_port = 0;
  std::string head;
  std::unique_ptr<ConnectionProbe> probe;
  std::optional<CheckResult> result;
};

TEST_F(HealthProbeTest, AsksByHttp) {
  check.headers = {{"x-why", "health"}};
  EXPECT_EQ(http("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Kind::Healthy);
  EXPECT_EQ(head,
            "GET /health HTTP/1.1\r\nhost: test\r\nuser-agent: Envoy/HC\r\nx-why: health\r\n\r\n");
}

TEST_F(HealthProbeTest, TheHostsOwnNameIsFirst) {
  check.host = "check.example";
  hostname = "host.example";
  check.headers_to_remove = {"user-agent"};
  http("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("host: host.example\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("user-agent")));
}

TEST_F(HealthProbeTest, HeadersAreEditedAsTheyAreSaidToBe) {
  using Action = CheckHeader::Action;
  check.headers_to_remove = {"user-agent"};
  check.headers = {{"user-agent", "mine"},
                   {"x-a", "1"},
                   {"x-a", "2", Action::AddIfAbsent},
                   {"x-b", "1", Action::AddIfAbsent},
                   {"x-d", "1"},
                   {"x-d", "2", Action::Set},
                   {"x-c", "1", Action::SetIfPresent}};
  http("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(head,
            "GET /health HTTP/1.1\r\nhost: test\r\nx-d: 2\r\nuser-agent: mine\r\nx-a: 1\r\nx-a: "
            "2\r\nx-b: "
            "1\r\nx-d: 1\r\n\r\n");
}

TEST_F(HealthProbeTest, AHostOfAnotherServiceIsIll) {
  check.service_name.emplace().text = "payments";
  const auto says = [this](const std::string& header, int status = 200) {
    probe.reset();
    return http("HTTP/1.1 " + std::to_string(status) + " X\r\ncontent-length: 0\r\n" + header +
                "\r\n");
  };
  EXPECT_EQ(says("x-envoy-upstream-healthchecked-cluster: payments\r\n"), Kind::Healthy);
  EXPECT_TRUE(result->asked_service);
  EXPECT_EQ(says("x-envoy-upstream-healthchecked-cluster: orders\r\n"), Kind::Failed);
  EXPECT_TRUE(result->asked_service);
  EXPECT_EQ(says(""), Kind::Failed);
  EXPECT_EQ(says("", 500), Kind::Failed);
  EXPECT_FALSE(result->asked_service) << "its status was enough";
}

TEST_F(HealthProbeTest, StatusesDecide) {
  check.expected = {{200, 205}};
  check.retriable = {{500, 501}};
  const auto with = [this](int status, const char* more = "") {
    probe.reset();
    return http("HTTP/1.1 " + std::to_string(status) + " X\r\ncontent-length: 0\r\n" + more +
                "\r\n");
  };
  EXPECT_EQ(with(201), Kind::Healthy);
  EXPECT_EQ(with(205), Kind::Failed);
  EXPECT_EQ(with(500), Kind::Retriable);
  EXPECT_EQ(with(200, "x-envoy-degraded: 1\r\n"), Kind::Degraded);
  EXPECT_FALSE(result->excludes);
  EXPECT_EQ(with(503, "x-envoy-immediate-health-check-fail: 1\r\n"), Kind::Failed);
  EXPECT_TRUE(result->excludes);
}

TEST_F(HealthProbeTest, TheBodyMustHoldWhatIsExpected) {
  check.receive = {"al", "ive"};
  EXPECT_EQ(http("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nall alive"), Kind::Healthy);
  probe.reset();
  EXPECT_EQ(http("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndead"), Kind::Failed);
}

TEST_F(HealthProbeTest, AConnectionIsUsedAgain) {
  TestPeer peer = connected();
  peer.read_head();
  peer.answer("");
  EXPECT_EQ(wait(), Kind::Healthy);
  start();
  settle();
  peer.read_head();
  peer.answer("");
  EXPECT_EQ(wait(), Kind::Healthy);
  peer.close();
  settle();
  TestPeer second = connected();
  second.read_head();
  second.answer("", "connection: close\r\n");
  EXPECT_EQ(wait(), Kind::Healthy);
  TestPeer third = connected();
  third.read_head();
}

TEST_F(HealthProbeTest, ItMayBeClosedAfterEveryCheck) {
  check.reuse_connection = false;
  TestPeer peer = connected();
  peer.read_head();
  peer.answer("");
  EXPECT_EQ(wait(), Kind::Healthy);
  settle();
  EXPECT_TRUE(peer.ended());
}

TEST_F(HealthProbeTest, ABrokenConnectionIsAFailureOfTheNetwork) {
  TestPeer peer = connected();
  peer.read_head();
  peer.abort();
  EXPECT_EQ(wait(), Kind::Network);
}

TEST_F(HealthProbeTest, GivingUpIsSilent) {
  TestPeer peer = connected();
  peer.read_head();
  probe->give_up();
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_FALSE(result);
}

TEST_F(HealthProbeTest, AConnectionIsEnoughForTcp) {
  check.kind = HealthCheckConfig::Kind::Tcp;
  start();
  EXPECT_EQ(wait(), Kind::Healthy);
}

TEST_F(HealthProbeTest, TcpPayloadsMatchInOrderAndFuzzily) {
  check.kind = HealthCheckConfig::Kind::Tcp;
  check.send = "PING";
  check.receive = {"PO", "NG"};
  TestPeer peer = connected();
  EXPECT_EQ(peer.read_until("PING"), "PING");
  peer.write("x P");
  settle();
  EXPECT_FALSE(result);
  peer.write("O and NG");
  EXPECT_EQ(wait(), Kind::Healthy);
  start();
  settle();
  peer.read_until("PING");
  peer.close();
  EXPECT_EQ(wait(), Kind::Network);
}

TEST_F(HealthProbeTest, AHostThatClosesAfterItsAnswerByTcpFails) {
  check.kind = HealthCheckConfig::Kind::Tcp;
  check.receive = {"PONG"};
  TestPeer peer = connected();
  peer.write("PONG");
  peer.close();
  EXPECT_EQ(wait(), Kind::Healthy);
  result.reset();
  EXPECT_EQ(wait(), Kind::Network);
  TestPeer next = connected();
  next.write("PONG");
  EXPECT_EQ(wait(), Kind::Healthy);
}

TEST_F(HealthProbeTest, APortOfItsOwnIsAsked) {
  ask_port = server.address().port();
  asked = server.address().with_port(1);
  EXPECT_EQ(http("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Kind::Healthy);
}

TEST_F(HealthProbeTest, TcpChecksMayBeginWithAProxyHeader) {
  check.kind = HealthCheckConfig::Kind::Tcp;
  check.proxy_protocol.emplace();
  check.send = "PING";
  check.receive = {"PONG"};
  TestPeer peer = connected();
  EXPECT_THAT(peer.read_until("PING"), StartsWith("PROXY TCP4 127.0.0.1 127.0.0.1 "));
  peer.write("PONG");
  EXPECT_EQ(wait(), Kind::Healthy);
}

TEST(HasInOrder, PartsDoNotOverlap) {
  EXPECT_TRUE(has_in_order("", {}));
  EXPECT_TRUE(has_in_order("abcabd", {"ab", "abd"}));
  EXPECT_FALSE(has_in_order("abd", {"ab", "bd"}));
  EXPECT_FALSE(has_in_order("ba", {"a", "b"}));
}

}  // namespace
}  // namespace remora::upstream
