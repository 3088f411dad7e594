// The forms of a request target, and what Host may be.
#include "proxy/http1/request_target.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::http1 {
namespace {

std::string read(std::string_view method, std::string_view target, bool allow_absolute = true) {
  BlockPool pool;
  Arena arena(pool);
  const RequestTarget t = read_request_target(method, target, allow_absolute, arena);
  if (!t.error_detail.empty()) return std::string(t.error_detail);
  return std::string(t.scheme) + "|" + std::string(t.authority) + "|" + std::string(t.path);
}

TEST(RequestTarget, InOriginFormIsThePath) {
  EXPECT_EQ(read("GET", "/"), "||/");
  EXPECT_EQ(read("GET", "/a/../b?x=/.."), "||/a/../b?x=/..");
  EXPECT_EQ(read("GET", "//a//b"), "||//a//b");
}

TEST(RequestTarget, ThatClimbsOutOfADoubleSlashIsRefused) {
  EXPECT_EQ(read("GET", "//evil/.."), "http1.invalid_url");
  EXPECT_EQ(read("GET", "//evil/../x"), "http1.invalid_url");
  EXPECT_EQ(read("GET", "//a/..b?/.."), "||//a/..b?/..");
}

TEST(RequestTarget, InAbsoluteFormNamesTheAuthority) {
  EXPECT_EQ(read("GET", "http://other:81/p?q"), "http|other:81|/p?q");
  EXPECT_EQ(read("GET", "HTTPS://other"), "https|other|/");
  EXPECT_EQ(read("GET", "http://other?x=1"), "http|other|/?x=1");
  EXPECT_EQ(read("GET", "http://user:secret@other/p"), "http|other|/p");
  EXPECT_EQ(read("GET", "http://[::1]:80/"), "http|[::1]:80|/");
}

TEST(RequestTarget, InABadAbsoluteFormIsRefused) {
  EXPECT_EQ(read("GET", "ftp://other/"), "http1.invalid_scheme");
  EXPECT_EQ(read("GET", "http:///p"), "http1.invalid_url");
  EXPECT_EQ(read("GET", "http://:80/p"), "http1.invalid_url");
  EXPECT_EQ(read("GET", "http://a@b@c/p"), "http1.invalid_url");
  for (const char* host :
       {"a_b",        "a,b",           "*",     "%61", "a\"b", "a:",     "a:x",    "a:65536",
        "a:80:80",    "a:99999999999", "[::1",  "::1", "[]",   "[::1]x", "[::1]:", "[g::1]",
        "[::1%eth0]", "u[@a",          "u\\@a", "\\"}) {
    EXPECT_EQ(read("GET", "http://" + std::string(host) + "/"), "http1.invalid_url") << host;
  }
  EXPECT_EQ(read("GET", "http:/other"), "http1.codec_error");
  EXPECT_EQ(read("GET", "h:80"), "http1.codec_error");
  EXPECT_EQ(read("GET", "abc"), "http1.codec_error");
  EXPECT_EQ(read("GET", "\\a"), "http1.codec_error");
}

TEST(RequestTarget, InAbsoluteFormStaysAsItIsWhenThatIsConfigured) {
  EXPECT_EQ(read("GET", "http://other/p", false), "||http://other/p");
}

TEST(RequestTarget, MayBeAnAsteriskForOptionsOnly) {
  EXPECT_EQ(read("OPTIONS", "*"), "||*");
  EXPECT_EQ(read("GET", "*"), "http1.invalid_url");
  EXPECT_EQ(read("OPTIONS", "*x"), "http1.invalid_url");
}

TEST(RequestTarget, OfConnectIsHostAndPort) {
  EXPECT_EQ(read("CONNECT", "h:80"), "|h:80|");
  EXPECT_EQ(read("CONNECT", "[::1]:443"), "|[::1]:443|");
  for (const char* bad :
       {"h", "h:", ":80", "/x", "h:x", "h:800000", "http://h:80", "u@h:80", "a:b:80", "*"}) {
    EXPECT_EQ(read("CONNECT", bad), "http1.invalid_url") << bad;
  }
}

}  // namespace
}  // namespace remora::http1
