#include "proxy/stats/names.h"

#include <gtest/gtest.h>

namespace remora::stats {
namespace {

TEST(Names, CharactersThatSeparatePartsBecomeUnderscores) {
  EXPECT_EQ(sanitize("127.0.0.1:80"), "127.0.0.1_80");
  EXPECT_EQ(sanitize("[::1]:80"), "[__1]_80");
  EXPECT_EQ(sanitize("https://a.b:/c"), "https_a.b_c");
  EXPECT_EQ(sanitize("outbound|80||a.b"), "outbound|80||a.b");
}

TEST(Names, PrefixesAreEnvoys) {
  EXPECT_EQ(cluster_prefix("xds-grpc;"), "cluster.xds-grpc;");
  EXPECT_EQ(listener_http_prefix("0.0.0.0:80", "in:gress"), "listener.0.0.0.0_80.http.in_gress");
  EXPECT_EQ(rds_prefix("ingress", "my.route"), "http.ingress.rds.my.route");
  EXPECT_EQ(route_prefix("vh", "r"), "vhost.vh.route.r");
}

}  // namespace
}  // namespace remora::stats
