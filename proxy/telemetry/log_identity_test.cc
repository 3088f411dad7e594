// Commands on certificates, metadata and filter state.
#include <gtest/gtest.h>

#include <memory>

#include "proxy/telemetry/log_format.h"

namespace remora::telemetry {
namespace {

struct FakeTls final : TlsFacts {
  std::string peer_pem() const override { return "PEM%0A"; }
  std::string peer_chain_pem() const override { return "PEM%0A"; }
};

class LogIdentityTest : public ::testing::Test {
 protected:
  LogIdentityTest() {
    auto peer = std::make_shared<CertificateIdentity>();
    peer->uri_sans = {"spiffe://td/a", "spiffe://td/b"};
    peer->dns_sans = {"a.local"};
    peer->subject = "CN=client,O=Acme\\, Inc";
    peer->issuer = "CN=ca";
    peer->serial = "0a0b";
    peer->sha256_fingerprint = "1234";
    peer->sha1_fingerprint = "56";
    peer->not_before_s = 1460751420;
    peer->not_after_s = 1460751421;
    auto local = std::make_shared<CertificateIdentity>();
    local->uri_sans = {"spiffe://td/server"};
    local->subject = "CN=server";
    tls_.version = "TLSv1.3";
    tls_.cipher = "TLS_AES_128_GCM_SHA256";
    tls_.peer = peer;
    tls_.peer_verified = true;
    tls_.local = local;
    facts_.tls = &tls_;
    info_.connection = &facts_;
  }
  std::string text(std::string_view format) {
    auto compiled = LogFormat::text(format);
    if (!compiled.ok()) return "refused: " + std::string(compiled.status().message());
    std::string out;
    compiled->append(info_, out);
    return out;
  }
  std::string json(std::string format) {
    JsonTemplate json;
    json.value = JsonTemplate::Fields{{"v", JsonTemplate{std::move(format)}}};
    std::string out;
    LogFormat::json(json)->append(info_, out);
    return out;
  }

  FakeTls tls_;
  ConnectionFacts facts_;
  http::StreamInfo info_;
};

TEST_F(LogIdentityTest, NamesAreOneListAndAbsentOnesADash) {
  EXPECT_EQ(
      text("%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_IP_SAN% "
           "%DOWNSTREAM_PEER_EMAIL_SAN% %DOWNSTREAM_LOCAL_URI_SAN% %DOWNSTREAM_LOCAL_DNS_SAN%"),
      "spiffe://td/a,spiffe://td/b a.local - - spiffe://td/server -");
}

TEST_F(LogIdentityTest, ACertificateSaysWhoseItIsAndHowLong) {
  EXPECT_EQ(text("%DOWNSTREAM_PEER_SUBJECT%|%DOWNSTREAM_PEER_ISSUER%|%DOWNSTREAM_PEER_SERIAL%|"
                 "%DOWNSTREAM_PEER_FINGERPRINT_256%|%DOWNSTREAM_PEER_FINGERPRINT_1%|"
                 "%DOWNSTREAM_LOCAL_SUBJECT%|%DOWNSTREAM_PEER_CERT%"),
            "CN=client,O=Acme\\, Inc|CN=ca|0a0b|1234|56|CN=server|PEM%0A");
  EXPECT_EQ(text("%DOWNSTREAM_PEER_CERT_V_START% %DOWNSTREAM_PEER_CERT_V_END(%s)%"),
            "2016-04-15T20:17:00.000Z 1460751421");
}

TEST_F(LogIdentityTest, TheHandshakeAndTheFirstBytes) {
  EXPECT_EQ(text("%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_TLS_SESSION_ID%"),
            "TLSv1.3 TLS_AES_128_GCM_SHA256 -");
  EXPECT_EQ(text("%TLS_JA3_FINGERPRINT%"), "-");
  facts_.fingerprints = std::make_unique<TlsFingerprints>(TlsFingerprints{"aa", "bb"});
  EXPECT_EQ(text("%TLS_JA3_FINGERPRINT% %TLS_JA4_FINGERPRINT%"), "aa bb");
}

TEST_F(LogIdentityTest, ACertificateThatWasNotVerifiedNamesNobody) {
  tls_.peer_verified = false;
  EXPECT_EQ(text("%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_CERT% %DOWNSTREAM_LOCAL_SUBJECT%"),
            "- - CN=server");
}

TEST_F(LogIdentityTest, APlainConnectionHasNone) {
  facts_.tls = nullptr;
  EXPECT_EQ(text("%DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_LOCAL_SUBJECT%"),
            "- - -");
}

TEST_F(LogIdentityTest, MetadataIsTextWhereItIsTextAndJsonElsewhere) {
  MetadataStruct& fields = info_.dynamic_metadata.at("f");
  fields.emplace("a", MetadataStruct{{"b", MetadataValue("c d")}, {"n", MetadataValue(3.0)}});
  EXPECT_EQ(text("%DYNAMIC_METADATA(f:a:b)% %DYNAMIC_METADATA(f:a:n)% %DYNAMIC_METADATA(f:a)%"),
            "c d 3 {\"b\":\"c d\",\"n\":3}");
  EXPECT_EQ(text("%DYNAMIC_METADATA(f)% %DYNAMIC_METADATA(f:x)% %DYNAMIC_METADATA(g)%"),
            "{\"a\":{\"b\":\"c d\",\"n\":3}} - -");
  EXPECT_EQ(text("%DYNAMIC_METADATA(f:a:b):1%"), "c");
  EXPECT_EQ(json("%DYNAMIC_METADATA(f:a)%"), "{\"v\":{\"b\":\"c d\",\"n\":3}}\n");
  EXPECT_EQ(json("%DYNAMIC_METADATA(f:a:b)%"), "{\"v\":\"c d\"}\n");
  EXPECT_EQ(json("%DYNAMIC_METADATA(f:x)%"), "{\"v\":null}\n");
}

TEST_F(LogIdentityTest, MetadataOfTheUpstreamIsThatOfItsHost) {
  EXPECT_EQ(text("%UPSTREAM_METADATA(f:a)%"), "-");
  Metadata metadata;
  metadata.at("f").emplace("a", MetadataValue("b"));
  info_.upstream_metadata = &metadata;
  EXPECT_EQ(text("%UPSTREAM_METADATA(f:a)% %UPSTREAM_METADATA(f)%"), "b {\"a\":\"b\"}");
  EXPECT_EQ(text(R"(%UPSTREAM_METADATA(["f", "a"])%)"), "b") << "as headers once had it";
  for (const char* bad : {"%UPSTREAM_METADATA([])%", "%UPSTREAM_METADATA([\"f\")%",
                          "%UPSTREAM_METADATA([f])%", "%UPSTREAM_METADATA()%"}) {
    EXPECT_FALSE(LogFormat::text(bad).ok()) << bad;
  }
}

TEST_F(LogIdentityTest, MetadataOfATcpSessionIsItsConnections) {
  info_.is_http = false;
  facts_.metadata.at("f").emplace("a", MetadataValue("b"));
  EXPECT_EQ(text("%DYNAMIC_METADATA(f:a)%"), "b");
}

TEST_F(LogIdentityTest, FilterStateIsPlainOrTyped) {
  facts_.filter_state.set("key", "va\"lue");
  EXPECT_EQ(text("%FILTER_STATE(key:PLAIN)% %FILTER_STATE(key)% %FILTER_STATE(none:PLAIN)%"),
            "va\"lue \"va\\\"lue\" -");
  EXPECT_EQ(json("%FILTER_STATE(key:PLAIN)%"), "{\"v\":\"va\\\"lue\"}\n");
}

TEST_F(LogIdentityTest, MessagesOfGrpcCallsAreAMessage) {
  info_.filter_state.set("envoy.filters.http.grpc_stats", "2,0");
  EXPECT_EQ(text("%FILTER_STATE(envoy.filters.http.grpc_stats:PLAIN)%"), "2,0");
  EXPECT_EQ(text("%FILTER_STATE(envoy.filters.http.grpc_stats)%"),
            R"({"requestMessageCount":"2"})");
  info_.filter_state.set("envoy.filters.http.grpc_stats", "2,3");
  EXPECT_EQ(text("%FILTER_STATE(envoy.filters.http.grpc_stats:TYPED)%"),
            R"({"requestMessageCount":"2","responseMessageCount":"3"})");
}

TEST_F(LogIdentityTest, RefusesArgumentsThatMeanNothing) {
  EXPECT_NE(text("%FILTER_STATE(key:FIELD:x)%").find("expected PLAIN or TYPED"), std::string::npos);
  EXPECT_NE(text("%DYNAMIC_METADATA()%").find("needs an argument"), std::string::npos);
  EXPECT_NE(text("%DOWNSTREAM_PEER_SUBJECT(x)%").find("takes no argument"), std::string::npos);
}

}  // namespace
}  // namespace remora::telemetry
