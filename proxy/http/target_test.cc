#include "proxy/http/target.h"

#include <gtest/gtest.h>

namespace remora::http {
namespace {

TEST(Authority, ConsistsOfHostBytes) {
  for (const char* good : {"", "a", "A.example:80", "[fe80::1%25eth0]:80", "u@h", "a_b", "a.b."})
    EXPECT_TRUE(is_valid_authority(good)) << good;
  for (const char* bad : {"a b", "h/x", "a\\b", "a#b", "a?b", "a\"", "<", "a\xff", "a\tb"})
    EXPECT_FALSE(is_valid_authority(bad)) << bad;
}

TEST(Authority, OfATunnelHasHostAndPort) {
  for (const char* good : {"h:80", "[::1]:443", "1.2.3.4:65535"})
    EXPECT_TRUE(has_host_and_port(good)) << good;
  for (const char* bad : {"", "h", "h:", ":80", "h:x", "h:800000", "u@h:80", "a:b:80"})
    EXPECT_FALSE(has_host_and_port(bad)) << bad;
}

TEST(Path, IsVisibleAscii) {
  EXPECT_TRUE(is_visible_ascii("/a%20b?c=~"));
  for (const char* bad : {"/a b", "/a\tb", "/a\x7f", "/\xc0\xaf", "/a\r"})
    EXPECT_FALSE(is_visible_ascii(bad)) << bad;
}

TEST(Path, DoesNotClimbOutOfADoubleSlash) {
  for (const char* bad : {"//evil/..", "//evil/../x", "//a/b/..?q"})
    EXPECT_TRUE(climbs_out_of_double_slash(bad)) << bad;
  for (const char* good : {"/a/..", "//evil/..x", "//a?/..", "/a//b/.."})
    EXPECT_FALSE(climbs_out_of_double_slash(good)) << good;
}

}  // namespace
}  // namespace remora::http
