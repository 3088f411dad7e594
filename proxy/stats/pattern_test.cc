#include "proxy/stats/pattern.h"

#include <gtest/gtest.h>

namespace remora::stats {
namespace {

using Kind = StringPattern::Kind;

StringPattern pattern(Kind kind, std::string_view text, bool ignore_case = false) {
  auto made = StringPattern::make(kind, text, ignore_case);
  EXPECT_TRUE(made.ok()) << made.status().ToString();
  return *made;
}

TEST(StringPattern, ComparesByItsKind) {
  EXPECT_TRUE(pattern(Kind::Exact, "server.live").matches("server.live"));
  EXPECT_FALSE(pattern(Kind::Exact, "server.live").matches("server.lives"));
  EXPECT_TRUE(pattern(Kind::Prefix, "cluster_manager").matches("cluster_manager.cds.version"));
  EXPECT_FALSE(pattern(Kind::Prefix, "cluster_manager").matches("cluster.a"));
  EXPECT_TRUE(pattern(Kind::Suffix, "rbac.allowed").matches("http.a.rbac.allowed"));
  EXPECT_FALSE(pattern(Kind::Suffix, "rbac.allowed").matches("rbac.allowed.x"));
  EXPECT_TRUE(pattern(Kind::Contains, "upstream").matches("cluster.a.upstream_rq"));
  EXPECT_FALSE(pattern(Kind::Contains, "upstream").matches("cluster.a.downstream"));
}

TEST(StringPattern, ARegularExpressionMatchesTheWholeName) {
  EXPECT_TRUE(
      pattern(Kind::Regex, R"(vhost\..*\.route\..*)").matches("vhost.a.route.b.upstream_rq"));
  EXPECT_FALSE(pattern(Kind::Regex, "upstream").matches("cluster.a.upstream_rq"));
}

TEST(StringPattern, CaseIsIgnoredWhenAsked) {
  EXPECT_TRUE(pattern(Kind::Prefix, "Server", true).matches("sERVER.live"));
  EXPECT_FALSE(pattern(Kind::Prefix, "Server").matches("server.live"));
}

TEST(StringPattern, AnInvalidRegularExpressionIsRefused) {
  EXPECT_FALSE(StringPattern::make(Kind::Regex, "(").ok());
}

}  // namespace
}  // namespace remora::stats
