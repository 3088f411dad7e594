// Sessions that come back: faster, and never past a rule that has changed since.
#include "proxy/tls/tls_test_support.h"

namespace remora::tls::test {
namespace {

class ResumptionTest : public TlsTest, public testing::WithParamInterface<Version> {
 protected:
  ResumptionTest() {
    client_settings.max_version = GetParam();
    server_settings.require_client_certificate = true;
  }
  /// A first connection, whose session the client keeps.
  void have_session() {
    connect();
    ASSERT_TRUE(both_connected()) << server.failure() << client.failure();
    exchange();
  }
  void connect_again_and(bool resumed, TransportOptions options = {}) {
    connect_again(options);
    ASSERT_TRUE(both_connected()) << server.failure() << client.failure();
    EXPECT_EQ(server.facts()->resumed, resumed);
    EXPECT_EQ(client.facts()->resumed, resumed);
    EXPECT_TRUE(server.facts()->peer_verified);
    EXPECT_TRUE(client.facts()->peer_verified);
    EXPECT_THAT(server.facts()->peer->uri_sans, testing::ElementsAre("spiffe://mesh/client"));
    EXPECT_THAT(client.facts()->peer->uri_sans, testing::ElementsAre("spiffe://mesh/server"));
    exchange();
  }
  static TicketKeys keys(std::initializer_list<char> fill) {
    TicketKeys keys;
    for (const char c : fill) keys.keys.emplace_back(std::string(80, c));
    return keys;
  }
};

INSTANTIATE_TEST_SUITE_P(Versions, ResumptionTest, testing::Values(Version::Tls12, Version::Tls13),
                         [](const auto& version) {
                           return version.param == Version::Tls12 ? "Tls12" : "Tls13";
                         });

TEST_P(ResumptionTest, TheSecondConnectionResumesAndTheThirdToo) {
  have_session();
  connect_again_and(true);
  connect_again_and(true);
  EXPECT_EQ(at_server(Stat::session_reused), 2u);
  EXPECT_EQ(at_client(Stat::session_reused), 2u);
  EXPECT_EQ(at_server(Stat::handshake), 3u);
}

TEST_P(ResumptionTest, WithoutTicketsTheServerRemembers) {
  server_settings.session_tickets = false;
  have_session();
  connect_again_and(true);
}

TEST_P(ResumptionTest, WithoutTicketsAndMemoryEveryHandshakeIsAFullOne) {
  server_settings.session_tickets = false;
  server_settings.session_cache = false;
  have_session();
  connect_again_and(false);
}

TEST_P(ResumptionTest, AClientMayKeepNoSessions) {
  client_settings.max_session_keys = 0;
  have_session();
  connect_again_and(false);
}

TEST_P(ResumptionTest, ATicketUnderGivenKeysOpensAfterTheServersCertificateWasRenewed) {
  ticket_keys = keys({'a'});
  have_session();
  server_certificate =
      root.issue({.common_name = "server", .sans = "DNS:server.test,URI:spiffe://mesh/server"});
  renew_server();
  connect_again_and(true);
}

TEST_P(ResumptionTest, TicketKeysRotate) {
  ticket_keys = keys({'a'});
  have_session();
  ticket_keys = keys({'b', 'a'});
  renew_server();
  connect_again_and(true);
  ticket_keys = keys({'c', 'b'});
  renew_server();
  connect_again_and(true);  // it was sealed again under b
  ticket_keys = keys({'d'});
  renew_server();
  connect_again_and(false);
}

TEST_P(ResumptionTest, ANewRootMeansAFullHandshake) {
  ticket_keys = keys({'a'});
  have_session();
  server_trusts.ca_pem += Issued::stranger().pem();
  renew_server();
  connect_again_and(false);
}

TEST_P(ResumptionTest, ARootTakenAwayMeansRefusal) {
  ticket_keys = keys({'a'});
  have_session();
  server_trusts = trusting(Issued::stranger());
  renew_server();
  disconnect();
  expect_refused_by_server();
  EXPECT_EQ(at_server(Stat::fail_verify_error), 1u);
}

TEST_P(ResumptionTest, ANewRuleOnNamesIsAskedOfOldPeers) {
  ticket_keys = keys({'a'});
  have_session();
  server_trusts.sans = {exactly(SanMatch::Type::Uri, "spiffe://mesh/other")};
  renew_server();
  disconnect();
  expect_refused_by_server();
  EXPECT_EQ(at_server(Stat::fail_verify_san), 1u);
}

TEST_P(ResumptionTest, ARevokedPeerDoesNotComeBack) {
  ticket_keys = keys({'a'});
  have_session();
  server_trusts.crl_pem = root.crl({&client_certificate});
  renew_server();
  disconnect();
  expect_refused_by_server();
}

TEST_P(ResumptionTest, AnotherFilterChainMakesAFullHandshake) {
  ticket_keys = keys({'a'});
  have_session();
  server_settings.session_scope = "another";
  renew_server();
  connect_again_and(false);
}

TEST_P(ResumptionTest, AClientsChangeOfTrustMakesAFullHandshake) {
  have_session();
  client_trusts.sans = {exactly(SanMatch::Type::Dns, "server.test")};
  renew_client();
  connect_again_and(false);
  client_trusts.sans = {exactly(SanMatch::Type::Dns, "other.test")};
  renew_client();
  disconnect();
  expect_refused_by_client();
}

TEST_P(ResumptionTest, ARequiredNameIsAskedOfAResumedServer) {
  have_session();
  connect_again_and(true, {.required_san = "server.test"});
  disconnect();
  expect_refused_by_client({.required_san = "other.test"});
  EXPECT_EQ(at_client(Stat::fail_verify_san), 1u);
}

TEST_P(ResumptionTest, SessionsOfOneServerNameAreNotOfferedUnderAnother) {
  have_session();
  connect_again_and(false, {.server_name = "b.test"});
  connect_again_and(true, {.server_name = "b.test"});
}

TEST_P(ResumptionTest, TheChainOfTheFirstHandshakeIsRemembered) {
  const Issued middle = root.issue({.common_name = "middle", .authority = true});
  client_certificate = middle.issue({.common_name = "client", .sans = "URI:spiffe://mesh/client"});
  client_chain = middle.pem();
  have_session();
  const std::string chain = server.facts()->peer_chain_pem();
  const std::string first = "-----BEGIN%20CERTIFICATE-----";
  EXPECT_NE(chain.find(first, 1), std::string::npos) << "two certificates";
  connect_again_and(true);
  EXPECT_EQ(server.facts()->peer_chain_pem(), chain);
}

TEST_P(ResumptionTest, ASessionEndsWithItsPeersCertificate) {
  // Let in although expired, which the note in the session remembers as "for ever"; the same peer
  // under rules that look at the time has another session context.
  client_certificate = root.issue({.common_name = "client",
                                   .sans = "URI:spiffe://mesh/client",
                                   .starts_in_s = -99,
                                   .ends_in_s = -9});
  server_trusts.allow_expired = true;
  ticket_keys = keys({'a'});
  have_session();
  connect_again_and(true);
  server_trusts.allow_expired = false;
  renew_server();
  disconnect();
  expect_refused_by_server();
}

TEST_P(ResumptionTest, AnonymousClientsResumeToo) {
  server_settings.require_client_certificate = false;
  client_shows = false;
  connect();
  ASSERT_TRUE(both_connected());
  EXPECT_EQ(server.facts()->peer, nullptr);
  EXPECT_FALSE(server.facts()->peer_verified);
  exchange();
  connect_again();
  ASSERT_TRUE(both_connected());
  EXPECT_TRUE(server.facts()->resumed);
  EXPECT_EQ(server.facts()->peer, nullptr);
  EXPECT_EQ(at_server(Stat::no_certificate), 2u);
}

TEST_P(ResumptionTest, AnAnonymousSessionDoesNotComeBackOnceCertificatesAreDemanded) {
  server_settings.require_client_certificate = false;
  client_shows = false;
  ticket_keys = keys({'a'});
  connect();
  ASSERT_TRUE(both_connected());
  exchange();
  server_settings.require_client_certificate = true;
  renew_server();
  disconnect();
  expect_refused_by_server();
  EXPECT_EQ(at_server(Stat::fail_verify_no_cert), 1u);
}

}  // namespace
}  // namespace remora::tls::test
