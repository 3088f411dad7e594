#include "xds/translate/secret.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <fstream>

#include "xds/translate/test_pem.h"
#include "xds/translate/test_support.h"

namespace remora::xds::translate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using SecretProto = envoy::extensions::transport_sockets::tls::v3::Secret;

class SecretTest : public TranslateTest {
 protected:
  static SecretProto pair(std::string_view chain, std::string_view key) {
    SecretProto proto;
    proto.set_name("own");
    proto.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_string(
        std::string(chain));
    proto.mutable_tls_certificate()->mutable_private_key()->set_inline_string(std::string(key));
    return proto;
  }

  static SecretProto roots(std::string_view pem) {
    SecretProto proto;
    proto.set_name("roots");
    proto.mutable_validation_context()->mutable_trusted_ca()->set_inline_string(std::string(pem));
    return proto;
  }

  absl::StatusOr<tls::Validation> rules(std::string_view yaml) {
    auto proto = from_yaml<SecretProto>(yaml);
    if (proto.validation_context().has_trusted_ca()) {
      proto.mutable_validation_context()->mutable_trusted_ca()->set_inline_string(kRootPem);
    }
    auto compiled = secret(proto, context);
    if (!compiled.ok()) return compiled.status();
    return validation(compiled->validation, "roots", context, Path("validation_context"));
  }

  std::string write(std::string_view name, std::string_view content) {
    std::string path = testing::TempDir() + std::string(name);
    std::ofstream(path) << content;
    return path;
  }
};

TEST_F(SecretTest, ACertificateAndItsKeyAreRead) {
  auto compiled = secret(pair(kLeafPem, kLeafKey), context);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  EXPECT_EQ(compiled->kind, SecretKind::Certificate);
  EXPECT_EQ(compiled->certificate.name, "own");
  EXPECT_EQ(compiled->certificate.source, "<inline>");
  EXPECT_EQ(compiled->certificate.chain_pem, kLeafPem);
  EXPECT_EQ(compiled->certificate.key_pem.view(), kLeafKey);
}

TEST_F(SecretTest, AKeyThatDoesNotMatchIsRefusedAtItsField) {
  auto compiled = secret(pair(kLeafPem, kOtherKey), context);
  EXPECT_THAT(std::string(compiled.status().message()),
              StartsWith("tls_certificate.private_key: "));
  EXPECT_THAT(std::string(compiled.status().message()), testing::Not(HasSubstr("BEGIN")));
}

TEST_F(SecretTest, WhatACertificateNeedsIsRequired) {
  SecretProto proto = pair(kLeafPem, kLeafKey);
  proto.mutable_tls_certificate()->clear_private_key();
  EXPECT_EQ(secret(proto, context).status().message(), "tls_certificate.private_key: is required");
  proto = pair(kLeafPem, kLeafKey);
  proto.mutable_tls_certificate()->mutable_pkcs12()->set_inline_bytes("x");
  EXPECT_THAT(std::string(secret(proto, context).status().message()),
              HasSubstr("tls_certificate.pkcs12: excludes"));
  EXPECT_THAT(std::string(secret(SecretProto(), context).status().message()),
              HasSubstr("has no secret"));
}

TEST_F(SecretTest, FilesAreReadAndRemembered) {
  SecretProto proto = pair("", "");
  auto& certificate = *proto.mutable_tls_certificate();
  certificate.mutable_certificate_chain()->set_filename(write("a.pem", kLeafPem));
  certificate.mutable_private_key()->set_filename(write("a.key", kLeafKey));
  certificate.mutable_watched_directory()->set_path("/watched");
  auto compiled = secret(proto, context);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  EXPECT_EQ(compiled->certificate.source, certificate.certificate_chain().filename());
  EXPECT_THAT(compiled->files, ElementsAre(certificate.certificate_chain().filename(),
                                           certificate.private_key().filename()));
  EXPECT_EQ(compiled->watched_directory, "/watched");
  certificate.mutable_private_key()->set_filename("/nowhere/a.key");
  EXPECT_THAT(std::string(secret(proto, context).status().message()),
              StartsWith("tls_certificate.private_key"));
}

TEST_F(SecretTest, RootsMustBeThereAndBeCertificates) {
  EXPECT_TRUE(secret(roots(kRootPem), context).ok());
  EXPECT_EQ(secret(roots(""), context).status().message(),
            "validation_context.trusted_ca: is empty");
  EXPECT_THAT(std::string(secret(roots("rubbish"), context).status().message()),
              StartsWith("validation_context.trusted_ca: "));
}

TEST_F(SecretTest, NamesAreTypedAndTheOlderFormHoldsForEveryType) {
  auto typed = rules(R"(
    name: roots
    validation_context:
      trusted_ca: {inline_string: x}
      match_typed_subject_alt_names: [{san_type: URI, matcher: {prefix: "spiffe://td/"}}]
      match_subject_alt_names: [{exact: ignored}]
  )");
  ASSERT_TRUE(typed.ok()) << typed.status();
  ASSERT_EQ(typed->sans.size(), 1u);
  EXPECT_EQ(typed->sans[0].type, tls::SanMatch::Type::Uri);
  EXPECT_TRUE(typed->sans[0].match.matches("spiffe://td/a"));
  auto older = rules(
      "{name: roots, validation_context: {trusted_ca: {inline_string: x}, "
      "match_subject_alt_names: [{exact: a}]}}");
  ASSERT_TRUE(older.ok()) << older.status();
  EXPECT_EQ(older->sans.size(), 4u);
}

TEST_F(SecretTest, HashesAreReadInEitherSpelling) {
  auto hashes = rules(R"(
    name: roots
    validation_context:
      verify_certificate_hash:
      - df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a
      - "DF:6F:F7:2F:E9:11:65:21:26:8F:6F:2D:D4:96:6F:51:DF:47:98:83:FE:70:37:B3:9F:75:91:6A:C3:04:9D:1A"
      verify_certificate_spki: [NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=]
  )");
  ASSERT_TRUE(hashes.ok()) << hashes.status();
  ASSERT_EQ(hashes->certificate_sha256.size(), 2u);
  EXPECT_EQ(hashes->certificate_sha256[0], hashes->certificate_sha256[1]);
  EXPECT_EQ(hashes->spki_sha256[0].size(), 32u);
}

TEST_F(SecretTest, RulesThatCannotBeHonouredAreRefusedAtTheirField) {
  const Refusal refusals[] = {
      {"{match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: a}}]}",
       "without trusted CA is insecure"},
      {"{crl: {inline_string: x}}", "validation_context.crl: needs trusted_ca"},
      {"{allow_expired_certificate: true}", "validation_context.allow_expired_certificate: "},
      {"{trusted_ca: {inline_string: x}, max_verify_depth: 101}",
       "validation_context.max_verify_depth: is above 100"},
      {"{verify_certificate_hash: [abcd]}",
       "validation_context.verify_certificate_hash[0]: is not"},
      {"{verify_certificate_spki: [abcd]}",
       "validation_context.verify_certificate_spki[0]: is not"},
      {"{trusted_ca: {inline_string: x}, match_typed_subject_alt_names: [{matcher: {exact: a}}]}",
       "validation_context.match_typed_subject_alt_names[0].san_type: is required"},
      {"{trusted_ca: {inline_string: x}, match_typed_subject_alt_names: [{san_type: DNS}]}",
       "validation_context.match_typed_subject_alt_names[0].matcher: is required"},
      {"{trusted_ca: {inline_string: x}, match_typed_subject_alt_names: [{san_type: OTHER_NAME, "
       "matcher: {exact: a}}]}",
       "validation_context.match_typed_subject_alt_names[0].oid: "},
  };
  for (const Refusal& refusal : refusals) {
    auto compiled = rules("{name: roots, validation_context: " + std::string(refusal.yaml) + "}");
    EXPECT_THAT(std::string(compiled.status().message()), HasSubstr(std::string(refusal.reason)))
        << refusal.yaml;
  }
}

TEST_F(SecretTest, TicketKeysHaveEightyBytes) {
  SecretProto proto;
  proto.set_name("tickets");
  proto.mutable_session_ticket_keys()->add_keys()->set_inline_bytes(std::string(80, 'k'));
  auto compiled = secret(proto, context);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  EXPECT_EQ(compiled->ticket_keys.keys.size(), 1u);
  proto.mutable_session_ticket_keys()->add_keys()->set_inline_bytes(std::string(79, 'k'));
  EXPECT_EQ(secret(proto, context).status().message(),
            "session_ticket_keys.keys[1]: Incorrect TLS session ticket key length. Length 79, "
            "expected length 80.");
}

TEST_F(SecretTest, AnUnknownFieldIsRefused) {
  SecretProto proto = pair(kLeafPem, kLeafKey);
  // TlsCertificate.private_key_provider, which is not honoured.
  proto.mutable_tls_certificate()->MergeFromString(std::string("\x32\x02\x0a\x00", 4));
  EXPECT_EQ(secret(proto, context).status().message(), "tls_certificate.6: unknown field");
}

}  // namespace
}  // namespace remora::xds::translate
