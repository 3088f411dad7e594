// Handshakes that a rule on certificates must end, and what is counted and said then; open
// connections held against newer rules.
#include "proxy/tls/tls_test_support.h"

namespace remora::tls::test {
namespace {

using VerificationTest = TlsTest;

TEST_F(VerificationTest, AClientWithoutCertificateIsRefusedWhereOneIsRequired) {
  server_settings.require_client_certificate = true;
  client_shows = false;
  expect_refused_by_server();
  EXPECT_EQ(at_server(Stat::fail_verify_no_cert), 1u);
  EXPECT_EQ(at_server(Stat::connection_error), 0u);
  EXPECT_THAT(server.detail, HasSubstr("PEER_DID_NOT_RETURN_A_CERTIFICATE"));
  EXPECT_THAT(server.detail, HasSubstr("peer did not provide required client certificate"));
}

TEST_F(VerificationTest, AClientWithoutCertificateIsLetInWhereNoneIsRequired) {
  client_shows = false;
  connect();
  ASSERT_TRUE(both_connected());
  EXPECT_EQ(server.facts()->peer, nullptr);
  EXPECT_EQ(at_server(Stat::no_certificate), 1u);
}

TEST_F(VerificationTest, RulesOnNamesRequireACertificate) {
  server_trusts.sans = {exactly(SanMatch::Type::Uri, "spiffe://mesh/client")};
  client_shows = false;
  expect_refused_by_server();
  EXPECT_EQ(at_server(Stat::fail_verify_no_cert), 1u);
}

TEST_F(VerificationTest, AWrongCaIsNamedAndCounted) {
  server_trusts = trusting(Issued::stranger());
  expect_refused_by_server();
  EXPECT_EQ(at_server(Stat::fail_verify_error), 1u);
  EXPECT_EQ(at_server(Stat::connection_error), 0u);
  EXPECT_THAT(
      server.detail,
      HasSubstr("CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate "
                "verification error at depth 0: unable to get local issuer certificate"));
  EXPECT_EQ(at_server(Stat::handshake), 0u);
}

TEST_F(VerificationTest, AWrongNameIsNamedAndCounted) {
  server_trusts.sans = {exactly(SanMatch::Type::Uri, "spiffe://mesh/somebody")};
  expect_refused_by_server();
  EXPECT_EQ(at_server(Stat::fail_verify_san), 1u);
  EXPECT_THAT(server.detail, HasSubstr("certificate SANs are [spiffe://mesh/client]"));
}

TEST_F(VerificationTest, AWrongHashIsCounted) {
  server_trusts.certificate_sha256 = {std::string(32, 'x')};
  expect_refused_by_server();
  EXPECT_EQ(at_server(Stat::fail_verify_cert_hash), 1u);
}

TEST_F(VerificationTest, TheClientVerifiesTheServer) {
  client_trusts = trusting(Issued::stranger());
  expect_refused_by_client();
  EXPECT_EQ(at_client(Stat::fail_verify_error), 1u);
  EXPECT_THAT(client.detail, HasSubstr("CERTIFICATE_VERIFY_FAILED"));
}

TEST_F(VerificationTest, TheServerNameIsVerifiedWhenAskedFor) {
  client_settings.sni = "server.test";
  client_settings.auto_sni_san_validation = true;
  connect();
  EXPECT_TRUE(both_connected());
  disconnect();
  expect_refused_by_client({.server_name = "other.test"});
  EXPECT_EQ(at_client(Stat::fail_verify_san), 1u);
}

TEST_F(VerificationTest, AnRsaKeyThatMayNotSignDoesNotServe) {
  server_certificate =
      root.issue({.sans = "DNS:server.test", .key_usage = "keyEncipherment", .rsa = true});
  expect_refused_by_client();
  EXPECT_THAT(client.detail, HasSubstr("KEY_USAGE"));
  client_settings.enforce_rsa_key_usage = false;
  renew_client();
  connect();
  EXPECT_TRUE(both_connected());
}

TEST_F(VerificationTest, UntrustedClientsAreLetInUnverifiedWhereThatIsAllowed) {
  server_trusts = trusting(Issued::stranger());
  server_trusts.accept_untrusted = true;
  connect();
  ASSERT_TRUE(both_connected());
  ASSERT_NE(server.facts()->peer, nullptr);
  EXPECT_FALSE(server.facts()->peer_verified);
}

TEST_F(VerificationTest, AServerThatVerifiesNobodyAsksForNoCertificate) {
  server_verifies = false;
  connect();
  ASSERT_TRUE(both_connected());
  EXPECT_EQ(server.facts()->peer, nullptr);
}

// --- open connections ---

TEST_F(VerificationTest, RenewedCertificatesDisturbNobody) {
  server_settings.require_client_certificate = true;
  connect();
  ASSERT_TRUE(both_connected());
  server_certificate = root.issue({.sans = "DNS:server.test"});
  renew_server();
  renew_client();
  EXPECT_TRUE(still_trusted(server.transport(), 0));
  EXPECT_TRUE(still_trusted(client.transport(), 0));
}

TEST_F(VerificationTest, APeerThatWouldNowBeRefusedIsFound) {
  server_settings.require_client_certificate = true;
  connect();
  ASSERT_TRUE(both_connected());
  const Validation before = server_trusts;
  server_trusts.sans = {exactly(SanMatch::Type::Uri, "spiffe://mesh/other")};
  renew_server();
  EXPECT_FALSE(still_trusted(server.transport(), 0));
  server_trusts = before;
  server_trusts.crl_pem = root.crl({&client_certificate});
  renew_server();
  EXPECT_FALSE(still_trusted(server.transport(), 0));
  server_trusts = trusting(Issued::stranger());
  renew_server();
  EXPECT_FALSE(still_trusted(server.transport(), 0));
  server_trusts = before;
  server_trusts.ca_pem += Issued::stranger().pem();
  renew_server();
  EXPECT_TRUE(still_trusted(server.transport(), 0)) << "one root more";
  server_slots->set(0, nullptr);
  EXPECT_FALSE(still_trusted(server.transport(), 0)) << "no secrets";
  client_trusts = trusting(Issued::stranger());
  renew_client();
  EXPECT_FALSE(still_trusted(client.transport(), 0));
}

TEST_F(VerificationTest, AnAnonymousPeerIsFoundOnceCertificatesAreRequired) {
  client_shows = false;
  connect();
  ASSERT_TRUE(both_connected());
  server_trusts.ca_pem += Issued::stranger().pem();
  renew_server();
  EXPECT_TRUE(still_trusted(server.transport(), 0));
  server_settings.require_client_certificate = true;
  renew_server();
  EXPECT_FALSE(still_trusted(server.transport(), 0));
}

TEST_F(VerificationTest, TheIntermediatesOfAResumedPeerAreStillKnown) {
  const Issued middle = root.issue({.common_name = "middle", .authority = true});
  client_certificate = middle.issue({.sans = "URI:spiffe://mesh/client"});
  client_chain = middle.pem();
  server_settings.require_client_certificate = true;
  connect();
  ASSERT_TRUE(both_connected());
  exchange();
  connect_again();
  ASSERT_TRUE(both_connected());
  ASSERT_TRUE(server.facts()->resumed);
  server_trusts.ca_pem += Issued::stranger().pem();
  renew_server();
  EXPECT_TRUE(still_trusted(server.transport(), 0));
  server_trusts = trusting(Issued::stranger());
  renew_server();
  EXPECT_FALSE(still_trusted(server.transport(), 0));
}

TEST_F(VerificationTest, HandshakesUnderRotatingSecretsLeaveNothingBehind) {
  server_settings.require_client_certificate = true;
  ticket_keys.keys.emplace_back(std::string(80, 'k'));
  const char* asked = getenv("REMORA_TLS_HANDSHAKES");
  const int count = asked == nullptr ? 60 : atoi(asked);
  for (int i = 0; i < count; ++i) {
    if (i % 7 == 3) {
      client_certificate = root.issue({.sans = "URI:spiffe://mesh/client"});
      make_factories();
      renew_client();
    }
    if (i % 5 == 2) {
      server_certificate = root.issue({.sans = "DNS:server.test"});
      renew_server();
    }
    connect();
    ASSERT_TRUE(both_connected()) << i << server.failure() << client.failure();
    exchange();
    disconnect();
  }
  EXPECT_EQ(at_server(Stat::handshake), uint64_t(count));
}

}  // namespace
}  // namespace remora::tls::test
