#include "filters/http/jwt_authn/verification.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "filters/http/jwt_authn/test_support.h"

namespace remora::jwt {
namespace {

using testing::of_provider;
using testing::signed_token;
using Kind = Requirement::Kind;

constexpr uint64_t kNow = 1'000'000;

class VerificationTest : public ::testing::Test {
 protected:
  VerificationTest() {
    for (const char* name : {"a", "b"}) {
      settings.providers.push_back(testing::provider(name));
      settings.by_issuer.emplace(name, settings.providers.back().get());
    }
  }
  Provider& a() { return *settings.providers[0]; }
  Provider& b() { return *settings.providers[1]; }

  Requirement group(Kind kind, std::vector<Requirement> children) {
    Requirement out;
    out.kind = kind;
    out.children = std::move(children);
    return out;
  }
  Requirement optional(Kind kind) {
    Requirement out;
    out.kind = kind;
    out.places.add(PlaceKind::Header, "x-a", "", "a");
    out.places.add(PlaceKind::Header, "x-b", "", "b");
    return out;
  }
  Verification verification() { return {settings, request, metadata, {kNow, 500}, 0, failed}; }
  Status run(const Requirement& requirement) { return verification().run(requirement); }
  Status run_token(const std::string& token) {
    request.set("x-a", arena.copy(token));
    return run(of_provider(a()));
  }
  std::string header(std::string_view name) {
    const http::HeaderEntry* entry = request.find(name);
    return entry == nullptr ? "(none)" : std::string(entry->value);
  }
  std::string metadata_json() {
    std::string out;
    if (const MetadataStruct* fields = metadata.find(kMetadataName)) append_json(*fields, out);
    return out;
  }
  void send(std::string_view name, const std::string& token) {
    request.add(name, arena.copy(token));
  }

  BlockPool pool;
  Arena arena{pool};
  http::HeaderMap request{arena};
  Metadata metadata;
  Settings settings;
  std::vector<const upstream::RemoteKeys*> failed;
  const std::string good_a = signed_token(R"({"iss":"a"})");
  const std::string good_b = signed_token(R"({"iss":"b"})");
  const std::string forged_a = signed_token(R"({"iss":"a"})", "other");
};

TEST_F(VerificationTest, ATokenIsGoodOrSaysWhyNot) {
  EXPECT_EQ(run(of_provider(a())), Status::Missing);
  EXPECT_EQ(run_token(good_a), Status::Ok);
  EXPECT_EQ(run_token(forged_a), Status::VerificationFails);
  EXPECT_EQ(run_token(good_b), Status::UnknownIssuer);
  EXPECT_EQ(run_token("x"), Status::BadFormat);
  EXPECT_EQ(run_token(signed_token(R"({"iss":"a","exp":999000})")), Status::Expired);
  EXPECT_EQ(run_token(signed_token(R"({"iss":"a","exp":999950})")), Status::Ok)
      << "a minute's grace";
  EXPECT_EQ(run_token(signed_token(R"({"iss":"a","nbf":1000061})")), Status::NotYetValid);
}

TEST_F(VerificationTest, AudiencesAreNamedWithoutSchemeAndSlash) {
  a().audiences.add("https://shop/");
  EXPECT_EQ(run_token(good_a), Status::AudienceNotAllowed);
  EXPECT_EQ(run_token(signed_token(R"({"iss":"a","aud":"other"})")), Status::AudienceNotAllowed);
  EXPECT_EQ(run_token(signed_token(R"({"iss":"a","aud":["other","http://shop"]})")), Status::Ok);
  Requirement own = of_provider(a());
  own.audiences.emplace();
  own.audiences->add("own");
  request.set("x-a", arena.copy(signed_token(R"({"iss":"a","aud":"shop"})")));
  EXPECT_EQ(run(own), Status::AudienceNotAllowed);
}

TEST_F(VerificationTest, SubjectsAndLifetimesAreLimited) {
  a().subjects.emplace();
  a().subjects->kind = StringMatch::Kind::Prefix;
  a().subjects->text = "spiffe://";
  EXPECT_EQ(run_token(good_a), Status::VerificationFails);
  EXPECT_EQ(run_token(signed_token(R"({"iss":"a","sub":"spiffe://x"})")), Status::Ok);
  a().subjects.reset();
  a().require_expiration = true;
  EXPECT_EQ(run_token(good_a), Status::VerificationFails);
  EXPECT_EQ(run_token(signed_token(R"({"iss":"a","exp":9000000})")), Status::Ok);
  a().max_lifetime_s = 100;
  EXPECT_EQ(run_token(signed_token(R"({"iss":"a","exp":1000101})")), Status::VerificationFails);
  EXPECT_EQ(run_token(signed_token(R"({"iss":"a","exp":1000100})")), Status::Ok);
}

TEST_F(VerificationTest, AnyTakesTheFirstAndTellsTheMostTellingFailure) {
  const Requirement any = group(Kind::Any, {of_provider(a()), of_provider(b())});
  EXPECT_EQ(run(any), Status::Missing);
  send("x-b", good_b);
  EXPECT_EQ(run(any), Status::Ok);
  request.clear();
  send("x-a", forged_a);
  EXPECT_EQ(run(any), Status::VerificationFails) << "more telling than a missing one";
  send("x-b", "x");
  EXPECT_EQ(run(any), Status::BadFormat) << "the last of equals";
  request.clear();
  send("x-a", good_b);
  EXPECT_EQ(run(any), Status::UnknownIssuer);
}

TEST_F(VerificationTest, AllWantsEach) {
  const Requirement all = group(Kind::All, {of_provider(a()), of_provider(b())});
  send("x-a", good_a);
  EXPECT_EQ(run(all), Status::Missing);
  send("x-a", good_a);
  send("x-b", good_b);
  EXPECT_EQ(run(all), Status::Ok);
}

TEST_F(VerificationTest, AMissingTokenMayBeAllowedAndABadOneNot) {
  const Requirement requirement = optional(Kind::AllowMissing);
  EXPECT_EQ(run(requirement), Status::Ok);
  send("x-a", good_a);
  EXPECT_EQ(run(requirement), Status::Ok);
  send("x-a", good_a);
  send("x-b", "x");
  EXPECT_EQ(run(requirement), Status::BadFormat) << "the good one does not make up for it";
}

TEST_F(VerificationTest, EvenABadTokenMayBeAllowed) {
  a().payload_in_metadata = "a";
  send("x-a", good_a);
  send("x-b", "x");
  EXPECT_EQ(run(optional(Kind::AllowMissingOrFailed)), Status::Ok);
  EXPECT_EQ(metadata_json(), R"({"a":{"iss":"a"}})");
  EXPECT_EQ(header("x-b"), "x");
  EXPECT_EQ(header("x-a"), "(none)");
}

TEST_F(VerificationTest, ClaimsGoWhereTheProviderWantsThem) {
  a().forward = true;
  a().payload_header = "x-payload";
  a().payload_in_metadata = "payload";
  a().header_in_metadata = "header";
  a().space_delimited_claims = {"scope", "absent", "n"};
  a().clear_route_cache = true;
  for (const char* name : {"s", "n", "deep.x", "list", "none", "absent"}) {
    const std::string claim = name;
    const size_t dot = claim.find('.');
    a().claim_headers.push_back(
        {dot == std::string::npos
             ? std::vector<std::string>{claim}
             : std::vector<std::string>{claim.substr(0, dot), claim.substr(dot + 1)},
         "c-" + claim});
  }
  const std::string payload =
      R"({"iss":"a","s":"text","n":7,"deep":{"x":true},"list":[1],"none":null,"scope":"r  w"})";
  request.set("x-a", arena.copy(signed_token(payload)));
  Verification once = verification();
  ASSERT_EQ(once.run(of_provider(a())), Status::Ok);
  EXPECT_EQ(header("x-payload"), testing::base64url(payload));
  EXPECT_EQ(header("c-s"), "text");
  EXPECT_EQ(header("c-n"), "7");
  EXPECT_EQ(header("c-deep.x"), "true");
  EXPECT_EQ(header("c-list"), "WzFd");
  EXPECT_EQ(header("c-none"), "(none)");
  EXPECT_EQ(header("c-absent"), "(none)");
  EXPECT_NE(header("x-a"), "(none)") << "forwarded";
  EXPECT_TRUE(once.route_affected());
  EXPECT_EQ(once.tokens_seen(), 1u);
  EXPECT_EQ(
      metadata_json(),
      R"({"header":{"alg":"HS256"},"payload":{"deep":{"x":true},"iss":"a","list":[1],"n":7,"none":null,)"
      R"("s":"text","scope":["r","w"]}})");
}

TEST_F(VerificationTest, AClaimThatNoHeaderCanHoldIsTold) {
  a().claim_headers.push_back({{"s"}, "x-s"});
  request.set("x-a", arena.copy(signed_token(R"({"iss":"a","s":"x\r\ny: z"})")));
  Verification once = verification();
  EXPECT_EQ(once.run(of_provider(a())), Status::Ok);
  EXPECT_EQ(once.broken_header(), "x-s");
  EXPECT_EQ(header("x-s"), "(none)");
}

TEST_F(VerificationTest, AFailureIsReported) {
  a().failed_status_in_metadata = "why";
  EXPECT_EQ(run_token(forged_a), Status::VerificationFails);
  EXPECT_EQ(metadata_json(), R"({"why":{"code":26,"message":"Jwt verification fails"}})");
}

TEST_F(VerificationTest, ClaimsBecomeText) {
  EXPECT_EQ(claim_text(MetadataValue(0.0)), "0");
  EXPECT_EQ(claim_text(MetadataValue(1.5)), "1.500000");
  EXPECT_EQ(claim_text(MetadataValue(-3.0)), "-3.000000");
  EXPECT_EQ(claim_text(MetadataValue(1e308)).size(), 309u + 7u);
  EXPECT_EQ(claim_text(MetadataValue(MetadataStruct{{"k", "v"}})), "eyJrIjoidiJ9");
  EXPECT_EQ(claim_text(MetadataValue()), "");
}

TEST_F(VerificationTest, KeysThatAreNotThereAreAskedForOnceTheRestIsGood) {
  testing::FakeFetcher fetcher;
  auto keys = std::make_shared<upstream::RemoteKeys>(upstream::RemoteKeysConfig{}, 1, fetcher);
  a().local_keys = nullptr;
  a().remote_keys = keys;
  EXPECT_EQ(run_token("x"), Status::BadFormat);
  EXPECT_EQ(run_token(good_b), Status::UnknownIssuer);
  request.set("x-a", arena.copy(good_a));
  Verification once = verification();
  EXPECT_EQ(once.run(of_provider(a())), Status::Pending);
  EXPECT_EQ(once.missing_keys(), keys.get());
  failed.push_back(keys.get());
  EXPECT_EQ(run_token(good_a), Status::FetchFailed);
  failed.clear();
  keys->deliver(0, testing::keys_of(), 501);
  EXPECT_EQ(run_token(good_a), Status::Ok);
  EXPECT_EQ(run_token(forged_a), Status::VerificationFails);
  keys->deliver(0, testing::keys_of(), 500);
  EXPECT_EQ(run_token(good_a), Status::Pending) << "expired";
}

}  // namespace
}  // namespace remora::jwt
