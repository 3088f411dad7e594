#include "filters/http/jwt_authn/places.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::jwt {
namespace {

class PlacesTest : public testing::Test {
 protected:
  std::vector<std::string> found() {
    std::vector<std::string> out;
    for (const FoundToken& token : places.find(request)) out.emplace_back(token.text);
    return out;
  }
  using Texts = std::vector<std::string>;

  BlockPool pool;
  Arena arena{pool};
  http::HeaderMap request{arena};
  Places places;
};

TEST_F(PlacesTest, AHeaderWithItsPrefix) {
  places.add(PlaceKind::Header, "authorization", "Bearer ", "");
  EXPECT_EQ(found(), Texts{});
  request.add("authorization", "Basic abc");
  EXPECT_EQ(found(), Texts{});
  request.set("authorization", "Bearer   a.b.c");
  EXPECT_EQ(found(), Texts{"a.b.c"});
  request.set("authorization", "Bearer a.b.c,d");
  EXPECT_EQ(found(), Texts{"a.b.c,d"});
  request.set("authorization", "bearer a.b.c");
  EXPECT_EQ(found(), Texts{}) << "letters count";
}

TEST_F(PlacesTest, SeveralHeadersAreSeveralTokens) {
  places.add(PlaceKind::Header, "x-token", "", "");
  request.add("x-token", "a");
  request.add("x-token", "b");
  EXPECT_EQ(found(), (Texts{"b", "a"}));
  places.add(PlaceKind::Header, "authorization", "Bearer ", "");
  request.add("authorization", "Bearer c");
  request.add("authorization", "Bearer d");
  EXPECT_EQ(found(), (Texts{"b", "a", "c,Bearer d"})) << "which is no token";
}

TEST_F(PlacesTest, EveryParameterOfTheName) {
  places.add(PlaceKind::Parameter, "token", "", "");
  for (const char* path : {"/", "/?", "/?tokens=a", "/token=a", "/?x=token=a", "/?&&"}) {
    request.set(http::HeaderId::Path, path);
    EXPECT_EQ(found(), Texts{}) << path;
  }
  request.set(http::HeaderId::Path, "/?a=1&token=x%2ey&t%6Fken=z&token&token=%zz");
  EXPECT_EQ(found(), (Texts{"%zz", "", "z", "x.y"}));
}

TEST_F(PlacesTest, EveryCookieOfTheName) {
  places.add(PlaceKind::Cookie, "id", "", "");
  request.add("cookie", "a=b; id=x; ids=n; id = \"y\" ;id");
  request.add("cookie", "id=z");
  EXPECT_EQ(found(), (Texts{"z", "y", "x"}));
}

TEST_F(PlacesTest, CookiesComeBeforeParametersBeforeHeaders) {
  places.add(PlaceKind::Header, "x-a", "", "");
  places.add(PlaceKind::Header, "x-b", "", "");
  places.add(PlaceKind::Cookie, "c", "", "");
  places.add(PlaceKind::Parameter, "p", "", "");
  request.add("x-a", "a");
  request.add("x-b", "b");
  request.add("cookie", "c=c");
  request.set(http::HeaderId::Path, "/?p=p");
  EXPECT_EQ(found(), (Texts{"c", "p", "b", "a"}));
}

TEST_F(PlacesTest, APlaceKnowsWhoseTokensItTakes) {
  places.add(PlaceKind::Header, "x-a", "", "one");
  places.add(PlaceKind::Header, "x-a", "", "two");
  request.add("x-a", "a");
  ASSERT_EQ(found(), Texts{"a"});
  const Place& place = *places.find(request)[0].place;
  EXPECT_TRUE(place.allows("one"));
  EXPECT_TRUE(place.allows("two"));
  EXPECT_FALSE(place.allows("three"));
  EXPECT_FALSE(place.allows(""));
  places.add(PlaceKind::Header, "x-a", "", "");
  EXPECT_TRUE(places.find(request)[0].place->allows("three"));
}

TEST_F(PlacesTest, TokensAreTakenOut) {
  const Place header = {PlaceKind::Header, "x-a", "", true, {}};
  const Place parameter = {PlaceKind::Parameter, "token", "", true, {}};
  request.add("x-a", "a");
  request.add("x-a", "b");
  remove_tokens(header, request);
  EXPECT_EQ(request.find("x-a"), nullptr);
  const auto path_after = [&](std::string_view path) {
    request.set(http::HeaderId::Path, path);
    remove_tokens(parameter, request);
    return std::string(request.path());
  };
  EXPECT_EQ(path_after("/p"), "/p");
  EXPECT_EQ(path_after("/p?token=a"), "/p");
  EXPECT_EQ(path_after("/p?a=%20b&token=a&tok%65n=b&c"), "/p?a=%20b&c");
}

}  // namespace
}  // namespace remora::jwt
