// Which certificate a client gets.
#include "proxy/tls/certificate_choice.h"

#include <gtest/gtest.h>

#include "proxy/tls/test_certificates.h"

namespace remora::tls::test {
namespace {

class CertificateChoiceTest : public testing::Test {
 protected:
  OwnCertificate own(const Wish& wish) {
    absl::StatusOr<OwnCertificate> loaded = load(root.issue(wish).secret());
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return *std::move(loaded);
  }
  void have(std::initializer_list<Wish> wishes) {
    certificates.clear();
    for (const Wish& wish : wishes) certificates.push_back(own(wish));
  }
  size_t chosen(std::string_view server_name, const ClientAbilities& client) {
    return CertificateChoice(certificates, settings).choose(server_name, client, 1000).index;
  }
  StapleAction staple() {
    return CertificateChoice(certificates, settings)
        .choose("", {.ecdsa_curves = {NID_X9_62_prime256v1}, .asks_for_staple = true}, 1000)
        .staple;
  }

  Issued root = Issued::root();
  ServerSettings settings;
  std::vector<OwnCertificate> certificates;
  const ClientAbilities modern{.ecdsa_curves = {NID_X9_62_prime256v1}};
  const ClientAbilities rsa_only;
};

TEST_F(CertificateChoiceTest, TheNameDecidesExactBeforeWildcard) {
  have({{.sans = "DNS:first.test"}, {.sans = "DNS:*.wild.test"}, {.sans = "DNS:exact.wild.test"}});
  EXPECT_EQ(chosen("exact.wild.test", modern), 2u);
  EXPECT_EQ(chosen("EXACT.wild.TEST", modern), 2u);
  EXPECT_EQ(chosen("other.wild.test", modern), 1u);
  EXPECT_EQ(chosen("a.b.wild.test", modern), 0u) << "a star stands for one label";
  EXPECT_EQ(chosen("wild.test", modern), 0u);
  EXPECT_EQ(chosen("unknown.test", modern), 0u);
  EXPECT_EQ(chosen("", modern), 0u);
}

TEST_F(CertificateChoiceTest, TheCommonNameCountsOnlyWithoutAlternativeNames) {
  have({{.sans = "DNS:first.test"},
        {.common_name = "cn.test"},
        {.common_name = "no.test", .sans = "DNS:yes.test"}});
  EXPECT_EQ(chosen("cn.test", modern), 1u);
  EXPECT_EQ(chosen("no.test", modern), 0u);
  EXPECT_EQ(chosen("yes.test", modern), 2u);
}

TEST_F(CertificateChoiceTest, EcdsaForThoseWhoCanVerifyIt) {
  have({{.sans = "DNS:a.test", .rsa = true}, {.sans = "DNS:a.test"}});
  EXPECT_EQ(chosen("a.test", modern), 1u);
  EXPECT_EQ(chosen("a.test", rsa_only), 0u);
  EXPECT_EQ(chosen("a.test", {.ecdsa_curves = {NID_secp384r1}}), 0u) << "another curve: RSA";
  EXPECT_EQ(chosen("", modern), 1u);
}

TEST_F(CertificateChoiceTest, AnUnknownNameGetsTheFirstUnlessAllAreScanned) {
  have({{.sans = "DNS:a.test", .rsa = true}, {.sans = "DNS:b.test"}});
  EXPECT_EQ(chosen("c.test", modern), 0u);
  settings.full_scan_certs_on_sni_mismatch = true;
  EXPECT_EQ(chosen("c.test", modern), 1u);
}

TEST_F(CertificateChoiceTest, StaplesFollowThePolicy) {
  using Policy = ServerSettings::Staple;
  have({{.sans = "DNS:a.test"}});
  EXPECT_EQ(staple(), StapleAction::Omit);
  certificates[0].ocsp_response = "response";
  certificates[0].ocsp_valid_until_s = 2000;
  EXPECT_EQ(staple(), StapleAction::Show);
  settings.ocsp_staple = Policy::Strict;
  certificates[0].ocsp_valid_until_s = 500;
  EXPECT_EQ(staple(), StapleAction::Refuse) << "expired";
  settings.ocsp_staple = Policy::Lenient;
  EXPECT_EQ(staple(), StapleAction::Omit);
  certificates[0].must_staple = true;
  EXPECT_EQ(staple(), StapleAction::Refuse);
  EXPECT_EQ(CertificateChoice(certificates, settings).choose("", modern, 1000).staple,
            StapleAction::NotAsked);
}

}  // namespace
}  // namespace remora::tls::test
