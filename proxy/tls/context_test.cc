// Secrets and settings that make a context, and those that must not.
#include "proxy/tls/context.h"

#include <openssl/ocsp.h>

#include "proxy/tls/context_internal.h"
#include "proxy/tls/tls_test_support.h"

namespace remora::tls::test {
namespace {

class ContextTest : public TlsTest {
 protected:
  std::string server_refusal() {
    return std::string(
        make_server_context(server_settings, certificates, &server_trusts, ticket_keys)
            .status()
            .message());
  }
  std::string refusal(const Certificate& certificate) {
    return std::string(check(certificate).message());
  }
  std::vector<Certificate> certificates = {server_certificate.secret()};

  /// A response for `about`, signed by the root.
  std::string ocsp(const Issued& about, long next_update_in_s) {
    const Handle<OCSP_BASICRESP, OCSP_BASICRESP_free> basic(OCSP_BASICRESP_new());
    OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), about.certificate(), root.certificate());
    const Handle<ASN1_TIME, ASN1_TIME_free> now(X509_gmtime_adj(nullptr, -60));
    const Handle<ASN1_TIME, ASN1_TIME_free> next(X509_gmtime_adj(nullptr, next_update_in_s));
    OCSP_basic_add1_status(basic.get(), id, V_OCSP_CERTSTATUS_GOOD, 0, nullptr, now.get(),
                           next.get());
    OCSP_CERTID_free(id);
    OCSP_basic_sign(basic.get(), root.certificate(), root.key(), EVP_sha256(), nullptr, 0);
    const Handle<OCSP_RESPONSE, OCSP_RESPONSE_free> response(
        OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
    unsigned char* der = nullptr;
    const int size = i2d_OCSP_RESPONSE(response.get(), &der);
    std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
    return text;
  }
};

TEST_F(ContextTest, AKeyMustMatchItsCertificate) {
  Certificate wrong = server_certificate.secret();
  wrong.key_pem = Sensitive(client_certificate.key_pem());
  EXPECT_EQ(refusal(wrong), "private_key: does not match the certificate");
  wrong.key_pem = Sensitive();
  EXPECT_EQ(refusal(wrong), "private_key: missing");
  wrong.key_pem = Sensitive("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  EXPECT_THAT(refusal(wrong), testing::StartsWith("private_key: "));
  wrong.chain_pem = "nothing";
  EXPECT_THAT(refusal(wrong), testing::StartsWith("certificate_chain: no certificate"));
}

TEST_F(ContextTest, AKeyMayBeEncrypted) {
  Certificate secret = server_certificate.secret();
  secret.key_pem = Sensitive(server_certificate.key_pem("open sesame"));
  EXPECT_THAT(refusal(secret), testing::StartsWith("private_key: "));
  secret.password = Sensitive("wrong");
  EXPECT_THAT(refusal(secret), testing::StartsWith("private_key: "));
  secret.password = Sensitive("open sesame");
  EXPECT_EQ(refusal(secret), "");
}

TEST_F(ContextTest, APkcs12ArchiveHoldsBoth) {
  PKCS12* archive =
      PKCS12_create("secret", "name", server_certificate.key(), server_certificate.certificate(),
                    nullptr, NID_aes_256_cbc, NID_aes_256_cbc, 1000, 1000, 0);
  unsigned char* der = nullptr;
  const int size = i2d_PKCS12(archive, &der);
  Certificate secret;
  secret.pkcs12 = Sensitive(std::string(reinterpret_cast<char*>(der), static_cast<size_t>(size)));
  OPENSSL_free(der);
  PKCS12_free(archive);
  EXPECT_THAT(refusal(secret), testing::StartsWith("pkcs12: "));
  secret.password = Sensitive("secret");
  EXPECT_EQ(refusal(secret), "");
}

TEST_F(ContextTest, WeakKeysOfOurOwnAreRefused) {
  EXPECT_THAT(refusal(root.issue({.rsa = true, .rsa_bits = 1024}).secret()),
              HasSubstr("2048 bits"));
  EXPECT_THAT(refusal(root.issue({.curve = "secp256k1"}).secret()), HasSubstr("P-256"));
}

TEST_F(ContextTest, SettingsThatCannotBeHonouredAreNamed) {
  server_settings.cipher_suites = {"ECDHE-ECDSA-AES128-GCM-SHA256", "NO-SUCH"};
  EXPECT_EQ(server_refusal(), "cipher_suites: Failed to initialize cipher suites: NO-SUCH");
  server_settings.cipher_suites = {"ALL"};
  EXPECT_THAT(server_refusal(), testing::StartsWith("cipher_suites: "));
  server_settings.cipher_suites = {"[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
                                   "ECDHE-RSA-AES128-SHA"};
  EXPECT_EQ(server_refusal(), "");
  server_settings.curves = {"P-999"};
  EXPECT_THAT(server_refusal(), testing::StartsWith("ecdh_curves: "));
  server_settings.curves = {"P-256", "P-384", "X25519"};
  server_settings.signature_algorithms = {"nonsense"};
  EXPECT_THAT(server_refusal(), testing::StartsWith("signature_algorithms: "));
  server_settings.signature_algorithms = {"ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256"};
  server_settings.min_version = Version::Tls13;
  server_settings.max_version = Version::Tls12;
  EXPECT_THAT(server_refusal(), testing::StartsWith("tls_minimum_protocol_version: "));
  server_settings.min_version = Version::Tls12;
  server_settings.alpn = {""};
  EXPECT_THAT(server_refusal(), testing::StartsWith("alpn_protocols: "));
  server_settings.alpn = {"h2"};
  EXPECT_EQ(server_refusal(), "");
  ticket_keys.keys.emplace_back(std::string(48, 'x'));
  EXPECT_THAT(server_refusal(), HasSubstr("session_ticket_keys: "));
}

TEST_F(ContextTest, ARequiredCertificateNeedsSomethingToVerifyItAgainst) {
  server_trusts = {};
  server_settings.require_client_certificate = true;
  EXPECT_THAT(server_refusal(), testing::StartsWith("require_client_certificate: "));
  certificates.clear();
  EXPECT_THAT(server_refusal(), testing::StartsWith("tls_certificates: "));
}

TEST_F(ContextTest, ANameIsNotValidatedWithoutRoots) {
  client_settings.auto_sni_san_validation = true;
  EXPECT_THAT(
      std::string(make_client_context(client_settings, nullptr, nullptr).status().message()),
      testing::StartsWith("auto_sni_san_validation: "));
}

TEST_F(ContextTest, AStapleMustBelongToItsCertificate) {
  certificates[0].ocsp_staple = "junk";
  EXPECT_THAT(server_refusal(), testing::StartsWith("ocsp_staple: does not parse"));
  certificates[0].ocsp_staple = ocsp(client_certificate, 600);
  EXPECT_THAT(server_refusal(), HasSubstr("does not match"));
  certificates[0].ocsp_staple.clear();
  server_settings.ocsp_staple = ServerSettings::Staple::Must;
  EXPECT_THAT(server_refusal(), HasSubstr("ocsp_staple: Required OCSP response is missing"));
  certificates[0].ocsp_staple = ocsp(server_certificate, 600);
  EXPECT_EQ(server_refusal(), "");
  server_settings.ocsp_staple = ServerSettings::Staple::Lenient;
  certificates = {root.issue({.more = {{NID_tlsfeature, "status_request"}}}).secret()};
  EXPECT_THAT(server_refusal(), HasSubstr("must-staple"));
}

TEST_F(ContextTest, TheReportNamesWhatIsUsed) {
  server_trusts.name = "ROOTCA";
  certificates[0].name = "default";
  const ContextPtr context =
      *make_server_context(server_settings, certificates, &server_trusts, {});
  ASSERT_EQ(report(*context).own.size(), 1u);
  EXPECT_EQ(report(*context).own[0].name, "default");
  EXPECT_EQ(report(*context).own[0].path, "<inline>");
  EXPECT_THAT(report(*context).own[0].identity.dns_sans, testing::ElementsAre("server.test"));
  ASSERT_EQ(report(*context).ca.size(), 1u);
  EXPECT_EQ(report(*context).ca[0].name, "ROOTCA");
  EXPECT_EQ(report(*context).ca[0].identity.subject, "CN=root");
}

TEST_F(ContextTest, TheCertificateShownFollowsTheNameAskedFor) {
  make_factories();
  const Issued other = root.issue({.sans = "DNS:other.test"});
  server_slots->set(
      0, *make_server_context(server_settings, {certificates[0], other.secret()}, nullptr, {}));
  connect({.server_name = "other.test"});
  ASSERT_TRUE(both_connected()) << server.failure() << client.failure();
  EXPECT_THAT(client.facts()->peer->dns_sans, testing::ElementsAre("other.test"));
  EXPECT_THAT(server.facts()->local->dns_sans, testing::ElementsAre("other.test"));
  connect_again({.server_name = "elsewhere.test"});
  ASSERT_TRUE(both_connected());
  EXPECT_THAT(client.facts()->peer->dns_sans, testing::ElementsAre("server.test"));
}

TEST_F(ContextTest, RsaIsShownToClientsThatCannotVerifyEcdsa) {
  make_factories();
  const Issued rsa = root.issue({.common_name = "rsa", .sans = "DNS:server.test", .rsa = true});
  server_slots->set(
      0, *make_server_context(server_settings, {certificates[0], rsa.secret()}, nullptr, {}));
  client_settings.signature_algorithms = {"rsa_pss_rsae_sha256"};
  client_trusts = {};
  for (const Version version : {Version::Tls13, Version::Tls12}) {
    client_settings.max_version = version;
    client_settings.cipher_suites = {"ECDHE-RSA-AES128-GCM-SHA256"};
    client_shows = false;
    renew_client();
    connect_again();
    ASSERT_TRUE(both_connected()) << server.failure() << client.failure();
    EXPECT_EQ(client.facts()->peer->subject, "CN=rsa");
  }
}

TEST_F(ContextTest, SecretsAreWipedWhenTheyMove) {
  Sensitive key("short key");
  const std::string_view before = key.view();
  Sensitive other = std::move(key);
  EXPECT_EQ(other.view(), "short key");
  EXPECT_EQ(std::string(before.data(), 9), std::string(9, '\0'));
}

}  // namespace
}  // namespace remora::tls::test
