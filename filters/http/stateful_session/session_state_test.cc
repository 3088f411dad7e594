#include "filters/http/stateful_session/session_state.h"

#include <gtest/gtest.h>

#include "proxy/base/arena.h"
#include "proxy/base/base64.h"
#include "proxy/event/event_loop.h"

namespace remora::stateful_session {
namespace {

constexpr uint64_t kNow = 1'700'000'000;

class SessionStateTest : public testing::Test {
 protected:
  SessionStateTest() {
    cookie_.carrier = SessionConfig::Carrier::Cookie;
    cookie_.name = "s";
    header_.carrier = SessionConfig::Carrier::Header;
    header_.name = "x-session";
  }
  std::string host_of_cookie(std::string_view value, uint64_t now_s = kNow) {
    request_.set(http::HeaderId::Cookie, arena_.join("other=1; s=", value, "; more=2"));
    return session_host(cookie_, request_, now_s);
  }
  /// The value that a Set-Cookie gives.
  static std::string value_in(std::string_view set_cookie) {
    const size_t begin = set_cookie.find('"') + 1;
    return std::string(set_cookie.substr(begin, set_cookie.find('"', begin) - begin));
  }

  EventLoop loop_;
  Arena arena_{loop_.blocks()};
  http::HeaderMap request_{arena_};
  SessionConfig cookie_;
  SessionConfig header_;
};

TEST_F(SessionStateTest, ACookieComesBack) {
  const std::string set = session_value(cookie_, "10.0.0.1:80", kNow);
  EXPECT_EQ(set, "s=\"CgsxMC4wLjAuMTo4MA==\"; HttpOnly");
  EXPECT_EQ(host_of_cookie(value_in(set)), "10.0.0.1:80");
}

TEST_F(SessionStateTest, ACookieLivesAsLongAsConfigured) {
  cookie_.ttl_s = 120;
  cookie_.path = "/app";
  const std::string set = session_value(cookie_, "[::1]:80", kNow);
  EXPECT_TRUE(set.ends_with("; Max-Age=120; Path=/app; HttpOnly")) << set;
  EXPECT_EQ(host_of_cookie(value_in(set), kNow + 120), "[::1]:80");
  EXPECT_EQ(host_of_cookie(value_in(set), kNow + 121), "");
}

TEST_F(SessionStateTest, WhatIsNoSessionNamesNobody) {
  for (const char* value : {"", "x", "!!!!", "CgsxMC4wLjAuMTo4MA=", "Cg8xMC4wLjAuMQ==", "CgD/",
                            "Cv//////////////////////", "EP////////////8B"}) {
    const std::string host = host_of_cookie(value);
    EXPECT_EQ(host.find("10.0.0.1:"), std::string::npos) << value;
  }
}

TEST_F(SessionStateTest, TheOldFormIsRead) {
  EXPECT_EQ(host_of_cookie(encode_base64("10.0.0.1:80")), "10.0.0.1:80");
}

TEST_F(SessionStateTest, AHeaderComesBack) {
  EXPECT_EQ(session_host(header_, request_, kNow), "");
  const std::string value = session_value(header_, "10.0.0.1:80", kNow);
  request_.set("x-session", value);
  EXPECT_EQ(session_host(header_, request_, kNow), "10.0.0.1:80");
  request_.set("x-session", "10.0.0.1:80");
  EXPECT_EQ(session_host(header_, request_, kNow), "") << "not in base64";
}

TEST_F(SessionStateTest, ACookieIsForItsPath) {
  EXPECT_TRUE(applies(cookie_, "/"));
  cookie_.path = "/app";
  for (const char* path : {"/app", "/app/", "/app?x", "/app#y"})
    EXPECT_TRUE(applies(cookie_, path));
  for (const char* path : {"/", "/ap", "/apple"}) EXPECT_FALSE(applies(cookie_, path)) << path;
  cookie_.path = "/app/";
  EXPECT_TRUE(applies(cookie_, "/app/x"));
  EXPECT_FALSE(applies(cookie_, "/app"));
  EXPECT_FALSE(applies({}, "/")) << "nothing carries it";
  EXPECT_TRUE(applies(header_, "/any"));
}

}  // namespace
}  // namespace remora::stateful_session
