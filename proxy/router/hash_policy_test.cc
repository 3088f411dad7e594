#include "proxy/router/hash_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <re2/re2.h>
#include <xxhash.h>

#include <bit>

#include "proxy/base/arena.h"

namespace remora::router {
namespace {

using Kind = HashPolicy::Kind;

class HashPolicyTest : public testing::Test {
 protected:
  HashPolicyTest() { request_.add(http::HeaderId::Path, "/p?a=1&b=two&a=3"); }

  static HashPolicy by(Kind kind, std::string name = "", bool terminal = false) {
    HashPolicy policy;
    policy.kind = kind;
    policy.name = std::move(name);
    policy.terminal = terminal;
    return policy;
  }
  RequestHash hash(std::vector<HashPolicy> policies) {
    return hash_request(policies, request_, {.remote = remote_, .local = local_});
  }
  static uint64_t xx(std::string_view text, uint64_t seed = 0) {
    return XXH64(text.data(), text.size(), seed);
  }

  BlockPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_};
  Address remote_ = *Address::from_ip("10.1.2.3", 4567);
  Address local_ = *Address::from_ip("10.0.0.1", 80);
};

TEST_F(HashPolicyTest, OneOfEachKind) {
  request_.add("x-user", "ann");
  request_.add(http::HeaderId::Cookie, "other=1; session=\"abc\" ;x");
  EXPECT_EQ(hash({by(Kind::Header, "x-user")}).value, xx("ann"));
  EXPECT_EQ(hash({by(Kind::Header, ":path")}).value, xx("/p?a=1&b=two&a=3"));
  EXPECT_EQ(hash({by(Kind::Cookie, "session")}).value, xx("abc"));
  EXPECT_EQ(hash({by(Kind::SourceIp)}).value, xx("10.1.2.3"));
  EXPECT_EQ(hash({by(Kind::Query, "a")}).value, xx("1"));
  EXPECT_EQ(hash({by(Kind::Query, "b")}).value, xx("two"));
}

TEST_F(HashPolicyTest, NothingThereIsNoHash) {
  for (const Kind kind : {Kind::Header, Kind::Cookie, Kind::Query}) {
    EXPECT_FALSE(hash({by(kind, "absent")}).value);
  }
  remote_ = *Address::from_unix_path("/run/x");
  EXPECT_FALSE(hash({by(Kind::SourceIp)}).value);
  EXPECT_FALSE(hash({}).value);
}

TEST_F(HashPolicyTest, TheOrderOfSeveralValuesDoesNotMatter) {
  request_.add("x-group", "b");
  request_.add("x-group", "a");
  EXPECT_EQ(hash({by(Kind::Header, "x-group")}).value, xx("b", xx("a")));
}

TEST_F(HashPolicyTest, PartOfAHeader) {
  request_.add("x-path", "/tenants/7/orders/12");
  HashPolicy policy = by(Kind::Header, "x-path");
  policy.rewrite = std::make_shared<re2::RE2>("^/tenants/([0-9]+)/.*");
  policy.substitution = "\\1";
  EXPECT_EQ(hash({policy}).value, xx("7"));
}

TEST_F(HashPolicyTest, PoliciesJoinUntilOneIsTerminal) {
  request_.add("a", "1");
  const uint64_t a = xx("1");
  EXPECT_EQ(hash({by(Kind::Header, "a"), by(Kind::Header, "a")}).value, std::rotl(a, 1) ^ a)
      << "twice the same is not nothing";
  EXPECT_EQ(hash({by(Kind::Header, "a", true), by(Kind::SourceIp)}).value, a);
  EXPECT_EQ(hash({by(Kind::Header, "absent", true), by(Kind::SourceIp)}).value, xx("10.1.2.3"))
      << "a terminal policy that found nothing ends nothing";
}

TEST_F(HashPolicyTest, AClientWithoutACookieIsGivenOne) {
  HashPolicy policy = by(Kind::Cookie, "session");
  policy.cookie_ttl_s = 3600;
  policy.cookie_path = "/app";
  policy.cookie_attributes = {{"SameSite", "Strict"}, {"Secure", ""}};
  const RequestHash made = hash({policy});
  ASSERT_EQ(made.set_cookies.size(), 1u);
  const std::string& cookie = made.set_cookies[0];
  ASSERT_THAT(cookie, testing::MatchesRegex(
                          "session=\"[0-9a-f]*\"; Max-Age=3600; Path=/app; SameSite=Strict; "
                          "Secure; HttpOnly"));
  const std::string value = cookie.substr(9, 16);
  EXPECT_EQ(made.value, xx(value));
  request_.add(http::HeaderId::Cookie, arena_.copy("session=" + value));
  const RequestHash again = hash({policy});
  EXPECT_EQ(again.value, made.value) << "with the cookie the client stays where it is";
  EXPECT_TRUE(again.set_cookies.empty());
}

TEST_F(HashPolicyTest, ACookieOfTheSession) {
  HashPolicy policy = by(Kind::Cookie, "s");
  policy.cookie_ttl_s = 0;
  const RequestHash made = hash({policy});
  ASSERT_EQ(made.set_cookies.size(), 1u);
  EXPECT_THAT(made.set_cookies[0], testing::MatchesRegex("s=\"[0-9a-f]*\"; HttpOnly"));
}

}  // namespace
}  // namespace remora::router
