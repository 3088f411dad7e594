#include "filters/http/jwt_authn/token.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::jwt {
namespace {

std::string base64url(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (unsigned char c : bytes) {
    bits = bits << 8 | c;
    for (count += 8; count >= 6; count -= 6) out += kDigits[bits >> (count - 6) & 63];
  }
  if (count > 0) out += kDigits[bits << (6 - count) & 63];
  return out;
}

std::string made(std::string_view header, std::string_view payload,
                 std::string_view signature = "sig") {
  return base64url(header) + "." + base64url(payload) + "." + base64url(signature);
}

Status parsed(std::string_view header, std::string_view payload = "{}") {
  Token token;
  const std::string text = made(header, payload);
  return parse_token(text, token);
}

constexpr std::string_view kRs256 = R"({"alg":"RS256"})";

TEST(TokenTest, IsTakenApart) {
  const std::string text = made(
      R"({"alg":"ES256","kid":"k1","typ":"JWT"})",
      R"({"iss":"issuer","sub":"subject","aud":["a","b"],"exp":2000,"nbf":1000.9,"iat":7,"jti":"j"})",
      "signature");
  Token token;
  ASSERT_EQ(parse_token(text, token), Status::Ok);
  EXPECT_EQ(token.algorithm, "ES256");
  EXPECT_EQ(token.key_id, "k1");
  EXPECT_EQ(token.issuer, "issuer");
  EXPECT_EQ(token.subject, "subject");
  EXPECT_EQ(token.audiences, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(token.expires_s, 2000u);
  EXPECT_EQ(token.not_before_s, 1000u);
  EXPECT_EQ(token.signature, "signature");
  EXPECT_EQ(token.signed_part, text.substr(0, text.rfind('.')));
  EXPECT_EQ(token.payload_part,
            text.substr(text.find('.') + 1, text.rfind('.') - text.find('.') - 1));
}

TEST(TokenTest, HasThreePartsAndNoMore) {
  const std::string good = made(kRs256, "{}");
  Token token;
  EXPECT_EQ(parse_token("", token), Status::BadFormat);
  EXPECT_EQ(parse_token("..", token), Status::BadFormat);
  EXPECT_EQ(parse_token("a.b", token), Status::BadFormat);
  EXPECT_EQ(parse_token(good + ".x", token), Status::BadFormat);
  EXPECT_EQ(parse_token(good.substr(0, good.rfind('.') + 1), token), Status::BadFormat)
      << "no signature";
  std::string doubled = good;
  doubled.insert(doubled.find('.'), ".");
  EXPECT_EQ(parse_token(doubled, token), Status::BadFormat);
}

TEST(TokenTest, OfSixtyFourKibibytesIsReadAndLongerIsNot) {
  const auto of_size = [](size_t size) {
    const std::string rest = made(kRs256, "{}", "") + "";
    return rest + std::string(size - rest.size(), 'A');
  };
  Token token;
  EXPECT_EQ(parse_token(of_size(kMaxTokenBytes), token), Status::Ok);
  EXPECT_EQ(parse_token(of_size(kMaxTokenBytes + 4), token), Status::BadFormat);
  const std::string deep = made(kRs256, std::string(40'000, '['));
  EXPECT_EQ(parse_token(deep, token), Status::PayloadBadJson);
}

TEST(TokenTest, NamesAnAlgorithmThatSigns) {
  EXPECT_EQ(parsed(R"({"alg":"none"})"), Status::HeaderUnknownAlg);
  EXPECT_EQ(parsed(R"({"alg":"None"})"), Status::HeaderUnknownAlg);
  EXPECT_EQ(parsed(R"({"alg":""})"), Status::HeaderUnknownAlg);
  EXPECT_EQ(parsed(R"({"alg":1})"), Status::HeaderBadAlg);
  EXPECT_EQ(parsed("{}"), Status::HeaderBadAlg);
  EXPECT_EQ(parsed(R"({"alg":"RS256","kid":1})"), Status::HeaderBadKid);
  EXPECT_EQ(parsed(R"({"alg":"RS256","alg":"HS256"})"), Status::HeaderBadJson);
  EXPECT_EQ(parsed(R"({"alg":"RS256","crit":["b64"],"b64":false})"), Status::VerificationFails);
  EXPECT_EQ(parsed("[]"), Status::HeaderBadJson);
  EXPECT_EQ(parsed(kRs256), Status::Ok);
}

TEST(TokenTest, SaysWhichPartIsNoBase64) {
  Token token;
  const std::string good = made(kRs256, "{}");
  EXPECT_EQ(parse_token("$" + good, token), Status::HeaderBadBase64);
  EXPECT_EQ(parse_token(base64url(kRs256) + ".e30=.c2ln", token), Status::PayloadBadBase64);
  EXPECT_EQ(parse_token(good + "=", token), Status::SignatureBadBase64);
  EXPECT_EQ(parse_token(good + " ", token), Status::SignatureBadBase64);
}

TEST(TokenTest, ClaimsHaveTheirTypes) {
  EXPECT_EQ(parsed(kRs256, "[]"), Status::PayloadBadJson);
  EXPECT_EQ(parsed(kRs256, R"({"iss":1})"), Status::IssNotString);
  EXPECT_EQ(parsed(kRs256, R"({"sub":[]})"), Status::SubNotString);
  EXPECT_EQ(parsed(kRs256, R"({"jti":1})"), Status::JtiNotString);
  EXPECT_EQ(parsed(kRs256, R"({"aud":1})"), Status::AudNotString);
  EXPECT_EQ(parsed(kRs256, R"({"aud":["a",1]})"), Status::AudNotString);
  EXPECT_EQ(parsed(kRs256, R"({"exp":"1"})"), Status::ExpNotInteger);
  EXPECT_EQ(parsed(kRs256, R"({"exp":-1})"), Status::ExpOutOfRange);
  EXPECT_EQ(parsed(kRs256, R"({"exp":18446744073709551616})"), Status::ExpOutOfRange);
  EXPECT_EQ(parsed(kRs256, R"({"nbf":null})"), Status::NbfNotInteger);
  EXPECT_EQ(parsed(kRs256, R"({"nbf":-1})"), Status::NbfOutOfRange);
  EXPECT_EQ(parsed(kRs256, R"({"iat":true})"), Status::IatNotInteger);
  EXPECT_EQ(parsed(kRs256, R"({"iat":1e300})"), Status::IatOutOfRange);
}

TEST(TokenTest, TimeHasSomeGrace) {
  Token token;
  token.not_before_s = 1000;
  token.expires_s = 2000;
  EXPECT_EQ(check_time(token, 939, 60), Status::NotYetValid);
  EXPECT_EQ(check_time(token, 940, 60), Status::Ok);
  EXPECT_EQ(check_time(token, 2060, 60), Status::Ok);
  EXPECT_EQ(check_time(token, 2061, 60), Status::Expired);
  token.expires_s = 0;
  EXPECT_EQ(check_time(token, 2000, 60), Status::Expired);
  token.expires_s.reset();
  EXPECT_EQ(check_time(token, UINT64_MAX, 60), Status::Ok);
  token.not_before_s = UINT64_MAX;
  EXPECT_EQ(check_time(token, 0, UINT64_MAX - 1), Status::NotYetValid);
}

}  // namespace
}  // namespace remora::jwt
