#include "proxy/router/route_match.h"

#include <gtest/gtest.h>

#include "proxy/base/arena.h"
#include "proxy/router/context_match.h"

namespace remora::router {
namespace {

class RequestTest : public testing::Test {
 protected:
  http::HeaderMap& request(std::vector<std::string_view> headers) {
    auto* map = arena_.make<http::HeaderMap>(arena_);
    map->add(http::HeaderId::Path, "/");
    for (size_t i = 0; i + 1 < headers.size(); i += 2) map->add(headers[i], headers[i + 1]);
    return *map;
  }

  BlockPool pool_;
  Arena arena_{pool_};
};

// -------------------------------------------------------------------------------------------
// headers and query

HeaderMatch header(std::string name, HeaderMatch::Kind kind) {
  HeaderMatch match;
  match.name = std::move(name);
  match.kind = kind;
  return match;
}

class HeaderMatchTest : public RequestTest {
 protected:
  bool matches(const HeaderMatch& match, std::vector<std::string_view> headers) {
    return match.matches(request(std::move(headers)));
  }
  static HeaderMatch text(StringMatch::Kind kind, std::string text) {
    HeaderMatch match = header("x-a", HeaderMatch::Kind::String);
    match.string.kind = kind;
    match.string.text = std::move(text);
    return match;
  }
};

TEST_F(HeaderMatchTest, PresenceAndAbsence) {
  HeaderMatch match = header("x-a", HeaderMatch::Kind::Present);
  EXPECT_TRUE(matches(match, {"x-a", ""}));
  EXPECT_FALSE(matches(match, {}));
  match.present = false;
  EXPECT_TRUE(matches(match, {}));
  match.invert = true;
  EXPECT_FALSE(matches(match, {}));
  match.treat_missing_as_empty = true;
  EXPECT_TRUE(matches(match, {})) << "an empty value is there, which must not be, turned round";
}
TEST_F(HeaderMatchTest, StringsOfEveryKind) {
  EXPECT_TRUE(matches(text(StringMatch::Kind::Exact, "abc"), {"x-a", "abc"}));
  EXPECT_FALSE(matches(text(StringMatch::Kind::Exact, "abc"), {"x-a", "ABC"}));
  EXPECT_TRUE(matches(text(StringMatch::Kind::Prefix, "ab"), {"x-a", "abc"}));
  EXPECT_TRUE(matches(text(StringMatch::Kind::Suffix, "bc"), {"x-a", "abc"}));
  EXPECT_FALSE(matches(text(StringMatch::Kind::Suffix, "xabc"), {"x-a", "abc"}));
  EXPECT_TRUE(matches(text(StringMatch::Kind::Contains, "b"), {"x-a", "abc"}));
  HeaderMatch any_case = text(StringMatch::Kind::Contains, "b");
  any_case.string.ignore_case = true;
  EXPECT_TRUE(matches(any_case, {"x-a", "ABC"}));
}
TEST_F(HeaderMatchTest, ANumberLiesInAHalfOpenRange) {
  HeaderMatch match = header("x-a", HeaderMatch::Kind::Range);
  match.range_start = -5;
  match.range_end = 10;
  EXPECT_TRUE(matches(match, {"x-a", "-5"}));
  EXPECT_FALSE(matches(match, {"x-a", "10"}));
  EXPECT_FALSE(matches(match, {"x-a", "5x"}));
}
TEST_F(HeaderMatchTest, OfAHeaderSentTwiceOneValueIsEnough) {
  HeaderMatch match = text(StringMatch::Kind::Exact, "b");
  EXPECT_TRUE(matches(match, {"x-a", "a", "x-a", "b"}));
  EXPECT_FALSE(matches(text(StringMatch::Kind::Exact, "a,b"), {"x-a", "a", "x-a", "b"}));
  match.invert = true;
  EXPECT_FALSE(matches(match, {"x-a", "a", "x-a", "b"}));
}
TEST_F(HeaderMatchTest, AHeaderThatIsKeptJoinedIsOneValue) {
  HeaderMatch match = text(StringMatch::Kind::Exact, "a,b");
  match.joined = true;
  EXPECT_TRUE(matches(match, {"x-a", "a", "x-a", "b"}));
  match.string.text = "b";
  EXPECT_FALSE(matches(match, {"x-a", "a", "x-a", "b"}));
}
TEST_F(HeaderMatchTest, AnAbsentHeaderMatchesNoConditionOnItsValueNotEvenANegatedOne) {
  HeaderMatch match = text(StringMatch::Kind::Exact, "abc");
  match.invert = true;
  EXPECT_FALSE(matches(match, {}));
  EXPECT_TRUE(matches(match, {"x-a", "other"}));
  match.treat_missing_as_empty = true;
  EXPECT_TRUE(matches(match, {}));
}

TEST(QueryTest, QueryParametersAreFoundByTheirFirstValueAsWritten) {
  EXPECT_EQ(query_value("/p?a=1&b=2&a=3", "a"), "1");
  EXPECT_EQ(query_value("/p?a&b=2", "a"), "");
  EXPECT_EQ(query_value("/p?ab=1", "a"), std::nullopt);
  EXPECT_EQ(query_value("/p?a=%20#a=2", "a"), "%20");
  EXPECT_EQ(query_value("/p", "a"), std::nullopt);
}

// -------------------------------------------------------------------------------------------
// cookies, metadata, filter state, certificates

class ContextMatchTest : public RequestTest {
 protected:
  static StringMatch exactly(std::string text) {
    StringMatch match;
    match.text = std::move(text);
    return match;
  }
  bool matches(const ContextMatch& match, std::vector<std::string_view> headers = {}) {
    return match.matches(request(std::move(headers)), info_);
  }
  http::StreamInfo info_;
};

TEST_F(ContextMatchTest, TheFirstCookieOfThatNameCounts) {
  ContextMatch match;
  match.cookies = {{"a", exactly("1"), false}};
  EXPECT_TRUE(matches(match, {"cookie", "b=2; a=1", "cookie", "a=2"}));
  EXPECT_FALSE(matches(match, {"cookie", "a=2; a=1"}));
  EXPECT_FALSE(matches(match));
  match.cookies[0].invert = true;
  EXPECT_TRUE(matches(match, {"cookie", "a=2"}));
  EXPECT_TRUE(matches(match));
}

TEST_F(ContextMatchTest, WhatFiltersHaveLeft) {
  ContextMatch match;
  match.metadata = {{"f", {"k"}, ValueMatch{exactly("v")}, false}};
  match.filter_state = {{"s", exactly("on")}};
  EXPECT_FALSE(matches(match));
  info_.dynamic_metadata.at("f")["k"] = MetadataValue("v");
  EXPECT_FALSE(matches(match));
  info_.filter_state.set("s", "on");
  EXPECT_TRUE(matches(match));
}

TEST_F(ContextMatchTest, APlainConnectionShowsNoCertificate) {
  ContextMatch match;
  match.certificate_presented = match.certificate_validated = false;
  EXPECT_TRUE(matches(match));
  match.certificate_presented = true;
  EXPECT_FALSE(matches(match));
}

TEST_F(ContextMatchTest, WithoutFactsNoSuchConditionHolds) {
  RouteMatch match;
  match.path = "/";
  match.context = std::make_shared<const ContextMatch>();
  EXPECT_TRUE(router::matches(match, MatchInput(request({}), 0, &info_)));
  EXPECT_FALSE(router::matches(match, MatchInput(request({}), 0, nullptr)));
}

}  // namespace
}  // namespace remora::router
