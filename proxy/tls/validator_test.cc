// Whom a validator trusts: every kind of chain that must fail, and names that must not be mistaken
// for others.
#include "proxy/tls/validator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/tls/test_certificates.h"

namespace remora::tls::test {
namespace {

using testing::HasSubstr;

class ValidatorTest : public testing::Test {
 protected:
  Validation trusting(const Issued& authority) {
    Validation validation;
    validation.ca_pem = authority.pem();
    return validation;
  }
  Verdict judge(const Validation& validation, const Issued& leaf,
                const std::vector<const Issued*>& intermediates = {},
                ValidationRequest request = {}, KnownChains* known = nullptr) {
    absl::StatusOr<Validator> validator = Validator::make(&validation);
    EXPECT_TRUE(validator.ok()) << validator.status();
    const X509Stack chain(sk_X509_new_null());
    for (const Issued* one : intermediates) {
      sk_X509_push(chain.get(), share(one->certificate()).release());
    }
    const ReadCertificate read = read_certificate(*leaf.certificate());
    return validator->verify({leaf.certificate(), chain.get(), &read}, request, known);
  }
  void expect_trusted(const Validation& validation, const Issued& leaf,
                      const std::vector<const Issued*>& intermediates = {}) {
    const Verdict verdict = judge(validation, leaf, intermediates);
    EXPECT_TRUE(verdict.accepted && verdict.verified) << verdict.reason;
    EXPECT_EQ(verdict.failure, Verdict::Failure::None);
  }
  void expect_refused(const Validation& validation, const Issued& leaf, Verdict::Failure why,
                      const std::string& text,
                      const std::vector<const Issued*>& intermediates = {}) {
    const Verdict verdict = judge(validation, leaf, intermediates);
    EXPECT_FALSE(verdict.accepted) << text;
    EXPECT_FALSE(verdict.verified) << text;
    EXPECT_EQ(verdict.failure, why) << text;
    EXPECT_THAT(verdict.reason, HasSubstr(text));
    EXPECT_NE(verdict.x509_error, X509_V_OK);
  }
  std::string refusal(const Validation& validation) {
    return std::string(Validator::make(&validation).status().message());
  }
  static SanMatch rule(SanMatch::Type type, std::string text,
                       StringMatch::Kind kind = StringMatch::Kind::Exact) {
    SanMatch rule;
    rule.type = type;
    rule.match.kind = kind;
    rule.match.text = std::move(text);
    return rule;
  }
  static std::string spiffe(const std::string& id) { return "URI:" + id; }

  Issued root = Issued::root();
  Issued leaf = root.issue({.sans = "URI:spiffe://mesh/ns/a/sa/b,DNS:a.test"});
  Validation rules = trusting(root);
};

constexpr auto kChain = Verdict::Failure::Chain;
constexpr auto kNames = Verdict::Failure::Names;

// --- chains ---

TEST_F(ValidatorTest, ALeafUnderTheRootIsTrusted) { expect_trusted(rules, leaf); }

TEST_F(ValidatorTest, AnotherRootsLeafIsNot) {
  expect_refused(rules, Issued::stranger().issue({}), kChain,
                 "depth 0: unable to get local issuer");
}

TEST_F(ValidatorTest, ASelfSignedLeafIsNot) {
  expect_refused(rules, Issued::root({.common_name = "self"}), kChain, "self-signed certificate");
}

TEST_F(ValidatorTest, AnExpiredLeafIsNotUnlessAllowed) {
  const Issued old = root.issue({.starts_in_s = -7200, .ends_in_s = -60});
  expect_refused(rules, old, kChain, "certificate has expired");
  rules.allow_expired = true;
  expect_trusted(rules, old);
}

TEST_F(ValidatorTest, ALeafFromTheFutureIsNot) {
  expect_refused(rules, root.issue({.starts_in_s = 600}), kChain, "not yet valid");
}

TEST_F(ValidatorTest, ACertificateForServersIsNoneForClients) {
  const Issued for_servers = root.issue({.extended_key_usage = "serverAuth"});
  expect_refused(rules, for_servers, kChain, "unsuitable certificate purpose");
  ValidationRequest request;
  request.role = PeerRole::Server;
  EXPECT_TRUE(judge(rules, for_servers, {}, request).accepted);
  EXPECT_FALSE(
      judge(rules, root.issue({.extended_key_usage = "clientAuth"}), {}, request).accepted);
}

TEST_F(ValidatorTest, AnIntermediateLeadsToTheRoot) {
  const Issued middle = root.issue({.common_name = "middle", .authority = true});
  const Issued below = middle.issue({});
  expect_trusted(rules, below, {&middle});
  expect_refused(rules, below, kChain, "unable to get local issuer");
}

TEST_F(ValidatorTest, AnIntermediateAloneMayBeTheRoot) {
  const Issued middle = root.issue({.common_name = "middle", .authority = true});
  expect_trusted(trusting(middle), middle.issue({}));
}

TEST_F(ValidatorTest, ALeafIsNoAuthority) {
  const Issued not_one =
      root.issue({.common_name = "not one", .basic_constraints = "critical,CA:FALSE"});
  expect_refused(rules, not_one.issue({}), kChain, "invalid CA certificate", {&not_one});
}

TEST_F(ValidatorTest, APathLengthHolds) {
  const Issued last = root.issue({.common_name = "last",
                                  .authority = true,
                                  .basic_constraints = "critical,CA:TRUE,pathlen:0"});
  const Issued more = last.issue({.common_name = "more", .authority = true});
  expect_trusted(rules, last.issue({}), {&last});
  expect_refused(rules, more.issue({}), kChain, "path length constraint", {&last, &more});
}

TEST_F(ValidatorTest, TheDepthCountsTheRoot) {
  const Issued middle = root.issue({.common_name = "middle", .authority = true});
  const Issued below = middle.issue({});
  rules.max_verify_depth = 2;
  expect_trusted(rules, below, {&middle});
  rules.max_verify_depth = 1;
  EXPECT_FALSE(judge(rules, below, {&middle}).accepted);
  expect_trusted(rules, leaf);
}

TEST_F(ValidatorTest, AWeakKeyIsRefused) {
  expect_refused(rules, root.issue({.rsa = true, .rsa_bits = 1024}), kChain, "key too weak");
}

TEST_F(ValidatorTest, ARevokedLeafIsRefused) {
  const Issued other = root.issue({});
  rules.crl_pem = root.crl({&leaf});
  expect_refused(rules, leaf, kChain, "certificate revoked");
  expect_trusted(rules, other);
}

TEST_F(ValidatorTest, AnOldRevocationListIsRefused) {
  rules.crl_pem = root.crl({}, -30);
  expect_refused(rules, leaf, kChain, "CRL has expired");
}

TEST_F(ValidatorTest, RevocationOfAnIntermediateCountsUnlessOnlyTheLeafIsLookedAt) {
  const Issued middle = root.issue({.common_name = "middle", .authority = true});
  const Issued below = middle.issue({});
  rules.crl_pem = root.crl({&middle}) + middle.crl({});
  expect_refused(rules, below, kChain, "certificate revoked", {&middle});
  rules.only_verify_leaf_crl = true;
  expect_trusted(rules, below, {&middle});
}

TEST_F(ValidatorTest, WithoutAListForAnIssuerNobodyPasses) {
  const Issued middle = root.issue({.common_name = "middle", .authority = true});
  rules.crl_pem = root.crl({});
  expect_refused(rules, middle.issue({}), kChain, "unable to get certificate CRL", {&middle});
}

TEST_F(ValidatorTest, TheEarliestEndOfTheChainIsKnown) {
  const Issued middle = root.issue({.common_name = "middle", .authority = true, .ends_in_s = 100});
  const Issued below = middle.issue({.ends_in_s = 3000});
  const Verdict verdict = judge(rules, below, {&middle});
  EXPECT_EQ(verdict.valid_until_s, not_after_s(*middle.certificate()));
}

// --- names ---

TEST_F(ValidatorTest, OneRuleThatIsMetIsEnough) {
  rules.sans = {rule(SanMatch::Type::Uri, "spiffe://mesh/x"),
                rule(SanMatch::Type::Uri, "spiffe://mesh/ns/a/sa/b")};
  expect_trusted(rules, leaf);
}

TEST_F(ValidatorTest, ANameThatOnlyLooksLikeItIsRefused) {
  rules.sans = {rule(SanMatch::Type::Uri, "spiffe://mesh/ns/a/sa/b")};
  for (const char* id :
       {"spiffe://mesh/ns/a/sa/b/", "spiffe://mesh/ns/a/sa/bc", "spiffe://mesh.evil/ns/a/sa/b",
        "SPIFFE://mesh/ns/a/sa/b", "xspiffe://mesh/ns/a/sa/b"}) {
    expect_refused(rules, root.issue({.sans = spiffe(id)}), kNames, "SAN matcher");
  }
}

TEST_F(ValidatorTest, ARuleOnOneTypeIsNotMetByAnother) {
  const std::string id = "spiffe://mesh/ns/a/sa/b";
  rules.sans = {rule(SanMatch::Type::Uri, id)};
  expect_refused(rules, root.issue({.sans = "DNS:" + id}), kNames, "SAN matcher");
  expect_refused(rules, root.issue({.common_name = id}), kNames, "SAN matcher");
  expect_refused(rules, root.issue({.sans = "email:" + id}), kNames, "SAN matcher");
  rules.sans = {rule(SanMatch::Type::Dns, "a.test")};
  expect_refused(rules, root.issue({.common_name = "a.test"}), kNames, "SAN matcher");
  expect_refused(rules, root.issue({.sans = "URI:a.test"}), kNames, "SAN matcher");
  rules.sans = {rule(SanMatch::Type::Ip, "10.0.0.1")};
  expect_refused(rules, root.issue({.sans = "DNS:10.0.0.1"}), kNames, "SAN matcher");
  expect_trusted(rules, root.issue({.sans = "IP:10.0.0.1"}));
}

TEST_F(ValidatorTest, AddressesAreComparedNotTheirSpelling) {
  rules.sans = {rule(SanMatch::Type::Ip, "2001:0db8:0::1")};
  expect_trusted(rules, root.issue({.sans = "IP:2001:db8::1"}));
}

TEST_F(ValidatorTest, OtherNamesAreMetByTheirOid) {
  rules.sans = {rule(SanMatch::Type::OtherName, "user@corp")};
  rules.sans[0].oid = "1.3.6.1.4.1.311.20.2.3";
  expect_trusted(rules, root.issue({.sans = "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:user@corp"}));
  expect_refused(rules, root.issue({.sans = "otherName:1.3.6.1.4.1.311.20.2.4;UTF8:user@corp"}),
                 kNames, "SAN matcher");
}

TEST_F(ValidatorTest, ANulInANameIsRefusedWhateverTheRules) {
  const std::string name("a.test\0.evil.example", 20);
  expect_refused(rules, root.issue({.raw_dns_san = name}), kChain, "names are malformed");
  rules.sans = {rule(SanMatch::Type::Dns, "a.test")};
  expect_refused(rules, root.issue({.raw_dns_san = name}), kChain, "names are malformed");
}

TEST_F(ValidatorTest, ARequiredNameHoldsBesidesTheRules) {
  ValidationRequest request;
  request.required_name = "a.test";
  EXPECT_TRUE(judge(rules, leaf, {}, request).accepted);
  rules.sans = {rule(SanMatch::Type::Dns, "a.test")};
  request.required_name = "b.test";
  EXPECT_EQ(judge(rules, leaf, {}, request).failure, kNames);
  request.instead_of_names = "b.test";
  request.required_name = {};
  EXPECT_EQ(judge(rules, leaf, {}, request).failure, kNames);
  rules.sans = {rule(SanMatch::Type::Dns, "c.test")};
  request.instead_of_names = "a.test";
  EXPECT_TRUE(judge(rules, leaf, {}, request).accepted);
}

TEST_F(ValidatorTest, ANameWithoutRootsProvesNothing) {
  ValidationRequest request;
  request.required_name = "a.test";
  EXPECT_FALSE(judge({}, leaf, {}, request).accepted);
}

// --- hashes ---

TEST_F(ValidatorTest, EitherHashIsEnough) {
  const Issued other = root.issue({});
  rules.certificate_sha256 = {sha256_of(*other.certificate())};
  expect_refused(rules, leaf, Verdict::Failure::Hash, "cert hash and spki");
  rules.spki_sha256 = {spki_sha256_of(*leaf.certificate())};
  expect_trusted(rules, leaf);
  expect_trusted(rules, other);
}

TEST_F(ValidatorTest, AHashCanStandAlone) {
  Validation pins;
  pins.certificate_sha256 = {sha256_of(*leaf.certificate())};
  expect_trusted(pins, leaf);
  expect_refused(pins, root.issue({}), Verdict::Failure::Hash, "cert hash");
}

// --- trusting less, and SPIFFE ---

TEST_F(ValidatorTest, UntrustedPeersMayBeLetInButNotVerified) {
  rules.accept_untrusted = true;
  const Verdict verdict = judge(rules, Issued::stranger().issue({}));
  EXPECT_TRUE(verdict.accepted);
  EXPECT_FALSE(verdict.verified);
  EXPECT_EQ(verdict.failure, kChain);
  rules.sans = {rule(SanMatch::Type::Dns, "b.test")};
  EXPECT_TRUE(judge(rules, leaf).accepted);
  EXPECT_FALSE(judge(rules, leaf).verified);
}

TEST_F(ValidatorTest, WithoutRulesEverybodyIsLetInAndNobodyVerified) {
  EXPECT_TRUE(judge({}, leaf).accepted);
  EXPECT_FALSE(judge({}, leaf).verified);
}

TEST_F(ValidatorTest, TheTrustDomainPicksTheBundle) {
  const Issued other_root = Issued::stranger();
  Validation spiffe_rules;
  spiffe_rules.trust_domains = {{"mesh", root.pem()}, {"other", other_root.pem()}};
  expect_trusted(spiffe_rules, leaf);
  expect_trusted(spiffe_rules, other_root.issue({.sans = "URI:spiffe://other/x"}));
  expect_refused(spiffe_rules, root.issue({.sans = "URI:spiffe://other/x"}), kChain,
                 "unable to get");
  expect_refused(spiffe_rules, root.issue({.sans = "URI:spiffe://third/x"}), kChain,
                 "no trust bundle");
  expect_refused(spiffe_rules, root.issue({.sans = "URI:spiffe://mesh"}), kChain,
                 "no trust bundle");
  expect_refused(spiffe_rules, root.issue({.sans = "URI:spiffe://mesh.other/x"}), kChain,
                 "no trust bundle");
}

TEST_F(ValidatorTest, AnSvidHasOneUriAndIsNoAuthority) {
  Validation spiffe_rules;
  spiffe_rules.trust_domains = {{"mesh", root.pem()}};
  expect_refused(spiffe_rules, root.issue({.sans = "URI:spiffe://mesh/a,URI:spiffe://mesh/b"}),
                 kChain, "not exactly one URI");
  expect_refused(spiffe_rules, root.issue({.sans = "DNS:mesh"}), kChain, "not exactly one URI");
  expect_refused(spiffe_rules, root.issue({.sans = "URI:spiffe://mesh/a", .authority = true}),
                 kChain, "precheck");
  expect_refused(
      spiffe_rules,
      root.issue({.sans = "URI:spiffe://mesh/a", .key_usage = "digitalSignature,cRLSign"}), kChain,
      "precheck");
  const Issued old =
      root.issue({.sans = "URI:spiffe://mesh/a", .starts_in_s = -99, .ends_in_s = -9});
  expect_refused(spiffe_rules, old, kChain, "expired");
  spiffe_rules.allow_expired = true;
  expect_trusted(spiffe_rules, old);
}

// --- chains that were judged before ---

TEST_F(ValidatorTest, AChainJudgedBeforeLetsInNothingElse) {
  const Issued middle = root.issue({.common_name = "middle", .authority = true});
  const Issued below = middle.issue({.extended_key_usage = "clientAuth", .ends_in_s = 300});
  KnownChains known;
  const Verdict first = judge(rules, below, {&middle}, {}, &known);
  ASSERT_TRUE(first.accepted && first.verified) << first.reason;
  const Verdict again = judge(rules, below, {&middle}, {}, &known);
  EXPECT_TRUE(again.accepted && again.verified) << again.reason;
  EXPECT_EQ(again.valid_until_s, first.valid_until_s);

  ValidationRequest as_server;
  as_server.role = PeerRole::Server;
  EXPECT_FALSE(judge(rules, below, {&middle}, as_server, &known).accepted) << "another role";
  EXPECT_FALSE(judge(rules, below, {}, {}, &known).accepted) << "without its intermediate";
  EXPECT_FALSE(judge(rules, Issued::stranger().issue({}), {&middle}, {}, &known).accepted);
  Validation other = trusting(Issued::root({.common_name = "other", .authority = true}));
  EXPECT_FALSE(judge(other, below, {&middle}, {}, &known).accepted) << "other roots";
  other = rules;
  other.crl_pem = root.crl({}) + middle.crl({&below});
  EXPECT_FALSE(judge(other, below, {&middle}, {}, &known).accepted) << "revoked since";
  other = rules;
  other.sans = {rule(SanMatch::Type::Dns, "b.test")};
  EXPECT_EQ(judge(other, below, {&middle}, {}, &known).failure, kNames) << "other names";
}

TEST_F(ValidatorTest, OnlyAcceptedChainsAreKnownAndOnlyUntilTheyEnd) {
  KnownChains known;
  const Issued stranger = Issued::stranger().issue({});
  EXPECT_FALSE(judge(rules, stranger, {}, {}, &known).accepted);
  EXPECT_FALSE(judge(rules, stranger, {}, {}, &known).accepted);
  known.keep("chain", 100);
  EXPECT_EQ(known.valid_until_s("chain", 99), 100);
  EXPECT_EQ(known.valid_until_s("chain", 100), std::nullopt);
  EXPECT_EQ(known.valid_until_s("another", 99), std::nullopt);
  EXPECT_EQ(known.valid_until_s("", 0), std::nullopt) << "no entry is none";
}

// --- what is refused when it is configured ---

TEST_F(ValidatorTest, RulesThatWouldProveNothingAreRefused) {
  Validation none;
  none.sans = {rule(SanMatch::Type::Dns, "a.test")};
  EXPECT_THAT(refusal(none), HasSubstr("match_typed_subject_alt_names: without trusted CA"));
  none = {};
  none.crl_pem = root.crl({});
  EXPECT_THAT(refusal(none), HasSubstr("crl: without trusted CA"));
  none = {};
  none.ca_pem = "not a certificate";
  EXPECT_THAT(refusal(none), HasSubstr("trusted_ca: holds no certificate"));
  none.ca_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  EXPECT_THAT(refusal(none), HasSubstr("trusted_ca: "));
  rules.crl_pem = "x";
  EXPECT_THAT(refusal(rules), HasSubstr("crl: holds no revocation list"));
  rules = trusting(root);
  rules.certificate_sha256 = {"short"};
  EXPECT_THAT(refusal(rules), HasSubstr("verify_certificate_hash: not 32 bytes"));
  none = {};
  none.trust_domains = {{"mesh", root.pem()}, {"mesh", root.pem()}};
  EXPECT_THAT(refusal(none), HasSubstr("more than one bundle"));
  none.trust_domains = {{"mesh", ""}};
  EXPECT_THAT(refusal(none), HasSubstr("trust_domains[mesh].trust_bundle: holds no certificate"));
}

TEST_F(ValidatorTest, TheFingerprintTellsTrustApartNotSpelling) {
  const Issued second = Issued::root({.common_name = "second", .authority = true});
  const auto of = [](const Validation& v) { return Validator::make(&v)->fingerprint(); };
  Validation ab = rules;
  Validation ba = rules;
  ab.ca_pem = root.pem() + second.pem();
  ba.ca_pem = second.pem() + root.pem();
  EXPECT_EQ(of(ab), of(ba));
  EXPECT_NE(of(ab), of(rules));
  Validation other = rules;
  other.sans = {rule(SanMatch::Type::Dns, "a")};
  EXPECT_NE(of(other), of(rules));
  other = rules;
  other.crl_pem = root.crl({});
  EXPECT_NE(of(other), of(rules));
  other = rules;
  other.name = "renamed";
  EXPECT_EQ(of(other), of(rules));
}

}  // namespace
}  // namespace remora::tls::test
