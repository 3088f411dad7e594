#include "proxy/connection_manager/client_cert.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace remora::connection_manager {
namespace {

using http::HeaderId;
using Mode = HttpConfig::ClientCert;

struct FakeTls final : TlsFacts {
  std::string peer_pem() const override { return "PEM"; }
  std::string peer_chain_pem() const override { return "PEM%0APEM2"; }
};

class ClientCertTest : public testing::Test {
 protected:
  ClientCertTest() : request_(arena_) {
    peer_->subject = "CN=client,O=Acme\\, Inc";
    peer_->sha256_fingerprint = "abcd";
    peer_->uri_sans = {"spiffe://td/ns/a/sa/b", "spiffe://td/other"};
    peer_->dns_sans = {"client.local"};
    auto local = std::make_shared<CertificateIdentity>();
    local->uri_sans = {"spiffe://td/ns/a/sa/server"};
    tls_.peer = peer_;
    tls_.local = local;
    tls_.peer_verified = true;
  }
  void arrived(std::string_view value) { request_.add(HeaderId::XForwardedClientCert, value); }
  std::string after(Mode mode) { return after(mode, &tls_); }
  std::string after(Mode mode, const TlsFacts* tls) {
    config_.client_cert = mode;
    apply_client_cert(config_, tls, request_);
    EXPECT_LE(request_.count(HeaderId::XForwardedClientCert), 1u);
    return request_.has(HeaderId::XForwardedClientCert)
               ? std::string(request_.get(HeaderId::XForwardedClientCert))
               : "(none)";
  }
  static constexpr const char* kOurs = "By=spiffe://td/ns/a/sa/server;Hash=abcd";

  BlockPool pool_;
  Arena arena_{pool_};
  HttpConfig config_;
  FakeTls tls_;
  std::shared_ptr<CertificateIdentity> peer_ = std::make_shared<CertificateIdentity>();
  http::HeaderMap request_;
};

TEST_F(ClientCertTest, SanitizeTakesItAwayWhoeverSentIt) {
  arrived("By=a");
  EXPECT_EQ(after(Mode::Sanitize), "(none)");
}

TEST_F(ClientCertTest, ForwardOnlyBelievesAVerifiedClientAndAddsNothing) {
  arrived("By=a");
  EXPECT_EQ(after(Mode::ForwardOnly), "By=a");
}

TEST_F(ClientCertTest, SeveralHeadersAreForwardedAsOneList) {
  arrived("By=a");
  arrived("By=c");
  EXPECT_EQ(after(Mode::ForwardOnly), "By=a,By=c");
}

TEST_F(ClientCertTest, NobodyIsBelievedOverAPlainConnection) {
  for (Mode mode : {Mode::ForwardOnly, Mode::AppendForward, Mode::SanitizeSet}) {
    arrived("By=a");
    EXPECT_EQ(after(mode, nullptr), "(none)");
  }
}

TEST_F(ClientCertTest, ACertificateThatWasNotVerifiedSpeaksForNothing) {
  tls_.peer_verified = false;
  for (Mode mode : {Mode::ForwardOnly, Mode::AppendForward, Mode::SanitizeSet}) {
    arrived("By=a");
    EXPECT_EQ(after(mode), "(none)");
  }
}

TEST_F(ClientCertTest, AlwaysForwardOnlyAsksForNoProof) {
  arrived("By=a");
  EXPECT_EQ(after(Mode::AlwaysForwardOnly, nullptr), "By=a");
}

TEST_F(ClientCertTest, AppendForwardAddsItsOwnElement) {
  arrived("By=a");
  EXPECT_EQ(after(Mode::AppendForward), std::string("By=a,") + kOurs);
}

TEST_F(ClientCertTest, SanitizeSetPutsItsOwnElementInPlace) {
  arrived("By=a");
  EXPECT_EQ(after(Mode::SanitizeSet), kOurs);
}

TEST_F(ClientCertTest, DetailsComeInEnvoysOrder) {
  config_.client_cert_details = {true, true, true, true, true};
  EXPECT_EQ(after(Mode::SanitizeSet),
            std::string(kOurs) +
                ";Cert=\"PEM\";Chain=\"PEM%0APEM2\";Subject=\"CN=client,O=Acme\\, Inc\""
                ";URI=spiffe://td/ns/a/sa/b;URI=spiffe://td/other;DNS=client.local");
}

TEST_F(ClientCertTest, AnAbsentUriIsSaidToBeEmpty) {
  config_.client_cert_details = {.uri = true};
  peer_->uri_sans.clear();
  EXPECT_EQ(after(Mode::SanitizeSet), std::string(kOurs) + ";URI=");
}

TEST_F(ClientCertTest, ANameCannotPassForAnotherElement) {
  config_.client_cert_details = {.uri = true};
  peer_->uri_sans = {"x;URI=spiffe://td/admin", "y,By=\"z\""};
  EXPECT_EQ(after(Mode::SanitizeSet),
            std::string(kOurs) + ";URI=\"x;URI=spiffe://td/admin\";URI=\"y,By=\\\"z\\\"\"");
}

TEST_F(ClientCertTest, ANameWithALineEndIsToldToNobody) {
  config_.client_cert_details = {.dns = true};
  peer_->dns_sans = {"a\r\nx-admin: yes"};
  arrived("By=a");
  EXPECT_EQ(after(Mode::AppendForward), "(none)");
}

}  // namespace
}  // namespace remora::connection_manager
