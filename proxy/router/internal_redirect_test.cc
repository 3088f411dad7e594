#include "proxy/router/internal_redirect.h"

#include <gtest/gtest.h>

#include "proxy/net/connection_facts.h"

namespace remora::router {
namespace {

using http::HeaderId;

class InternalRedirectTest : public testing::Test {
 protected:
  InternalRedirectTest() {
    info_.connection = &facts_;
    RouteTable::Input input;
    VirtualHost host;
    host.name = "v";
    host.domains = {"a", "b:99"};
    for (const char* path : {"/one", "/two"}) {
      Route route;
      route.name = path;
      route.match.path = path;
      ClusterAction action;
      action.cluster = "c";
      route.action = action;
      host.routes.push_back(route);
    }
    input.hosts.push_back(std::move(host));
    table_ = *RouteTable::build(std::move(input));
    set_request("GET", "/one");
    answer(302, "http://a/two");
  }

  void set_request(std::string_view method, std::string_view path) {
    request_.clear();
    request_.add(HeaderId::Method, method);
    request_.add(HeaderId::Scheme, "http");
    request_.add(HeaderId::Authority, "a");
    request_.add(HeaderId::Path, path);
  }
  void answer(uint16_t status, std::string_view location) {
    response_.clear();
    response_.set_status(status);
    response_.add(HeaderId::Location, location);
  }
  RedirectVerdict follow() {
    return follow_redirect(policy_, table_->decide(request_, 0), response_, 0, info_, request_);
  }

  BlockPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_};
  http::HeaderMap response_{arena_};
  ConnectionFacts facts_;
  http::StreamInfo info_;
  InternalRedirectPolicy policy_;
  std::shared_ptr<const RouteTable> table_;
};

TEST_F(InternalRedirectTest, LeadsToTheLocationAndSaysWhereFrom) {
  answer(302, "HTTP://b:99/two?x=1#part");
  EXPECT_EQ(follow(), RedirectVerdict::Follow);
  EXPECT_EQ(request_.authority(), "b:99");
  EXPECT_EQ(request_.path(), "/two?x=1");
  EXPECT_EQ(request_.find("x-envoy-original-url")->value, "http://a/one");
}

TEST_F(InternalRedirectTest, OnlyAbsoluteLocationsCount) {
  for (const char* location :
       {"/two", "two", "ftp://a/two", "http:/a/two", "http://", "http:///two", "//a/two",
        "http://user@a/two", "http://a/t wo", "http://a\t/two", "https:a"}) {
    answer(302, location);
    EXPECT_EQ(follow(), RedirectVerdict::BadLocation) << location;
    EXPECT_EQ(request_.path(), "/one");
  }
}

TEST_F(InternalRedirectTest, TheSchemeStaysUnlessItMayChange) {
  answer(302, "https://a/two");
  EXPECT_EQ(follow(), RedirectVerdict::UnsafeScheme);
  policy_.any_scheme = true;
  policy_.predicates = {{RedirectPredicate::Kind::SafeScheme, {}}};
  EXPECT_EQ(follow(), RedirectVerdict::Predicate);
  policy_.predicates.clear();
  EXPECT_EQ(follow(), RedirectVerdict::Follow);
  EXPECT_EQ(request_.get(HeaderId::Scheme), "https");
}

TEST_F(InternalRedirectTest, ThereIsAnEndToThem) {
  policy_.max_redirects = 2;
  EXPECT_EQ(follow(), RedirectVerdict::Follow);
  EXPECT_EQ(follow(), RedirectVerdict::Follow);
  EXPECT_EQ(follow(), RedirectVerdict::TooMany);
}

TEST_F(InternalRedirectTest, WithoutARouteTheyArePassedOn) {
  answer(302, "http://a/three");
  EXPECT_EQ(follow(), RedirectVerdict::NoRoute);
  EXPECT_EQ(request_.path(), "/one");
  EXPECT_EQ(request_.find("x-envoy-original-url"), nullptr);
}

TEST_F(InternalRedirectTest, RoutesMayBeListedOrHaveToBeNew) {
  policy_.predicates = {{RedirectPredicate::Kind::ListedRoutes, {"/one"}}};
  EXPECT_EQ(follow(), RedirectVerdict::Predicate);
  policy_.predicates = {{RedirectPredicate::Kind::ListedRoutes, {"/one", "/two"}},
                        {RedirectPredicate::Kind::NewRoutes, {}}};
  policy_.max_redirects = 9;
  EXPECT_EQ(follow(), RedirectVerdict::Follow) << "from one to two";
  EXPECT_EQ(follow(), RedirectVerdict::Follow) << "from two to two, of which it knows nothing";
  EXPECT_EQ(follow(), RedirectVerdict::Predicate) << "that again";
}

TEST_F(InternalRedirectTest, SeeOtherTurnsIntoGet) {
  set_request("POST", "/one");
  request_.add(HeaderId::ContentLength, "5");
  EXPECT_EQ(follow(), RedirectVerdict::Follow);
  EXPECT_EQ(request_.method(), "POST");
  policy_.max_redirects = 2;
  answer(303, "http://a/two");
  EXPECT_EQ(follow(), RedirectVerdict::Follow);
  EXPECT_EQ(request_.method(), "GET");
  EXPECT_FALSE(request_.has(HeaderId::ContentLength));
}

TEST_F(InternalRedirectTest, CopiesWhatThePolicyNamesAndTakesAwayTheRest) {
  policy_.to_copy = {"x-new", "x-old"};
  request_.add("x-old", "1");
  response_.add("x-new", "1");
  response_.add("x-new", "2");
  EXPECT_EQ(follow(), RedirectVerdict::Follow);
  EXPECT_EQ(request_.joined("x-new"), "1,2");
  EXPECT_EQ(request_.find("x-old"), nullptr);
}

}  // namespace
}  // namespace remora::router
