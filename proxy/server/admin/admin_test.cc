#include "proxy/server/admin/admin.h"

#include <gtest/gtest.h>

namespace remora::server {
namespace {

Admin make_admin(int* changes) {
  Admin admin;
  admin.add("/stats", "metrics", Admin::Effect::ReadOnly, Admin::Audience::AnyHost,
            [](const AdminRequest& r) {
              return AdminResponse::text("filter=" + r.get("filter").value_or("none"));
            });
  admin.add("/config_dump", "configuration", Admin::Effect::ReadOnly, Admin::Audience::LocalHost,
            [](const AdminRequest&) { return AdminResponse::json("{}"); });
  admin.add("/quitquitquit", "exit", Admin::Effect::ChangesState, Admin::Audience::LocalHost,
            [changes](const AdminRequest&) {
              ++*changes;
              return AdminResponse::text("OK\n");
            });
  return admin;
}

TEST(Admin, AnswersAnEndpointWithItsDecodedQuery) {
  int changes = 0;
  AdminResponse r =
      make_admin(&changes).handle("GET", "/stats?usedonly&filter=a%2Bb%20c", "localhost:15000");
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.body, "filter=a+b c");
}

TEST(Admin, ChangesStateOnlyByPost) {
  int changes = 0;
  Admin admin = make_admin(&changes);
  EXPECT_EQ(admin.handle("GET", "/quitquitquit", "localhost").status, 405);
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(admin.handle("POST", "/quitquitquit", "localhost").status, 200);
  EXPECT_EQ(changes, 1);
}

TEST(Admin, RefusesAForeignHostNameExceptForMetrics) {
  int changes = 0;
  Admin admin = make_admin(&changes);
  EXPECT_EQ(admin.handle("POST", "/quitquitquit", "evil.example:15000").status, 403);
  EXPECT_EQ(admin.handle("GET", "/config_dump", "evil.example").status, 403);
  EXPECT_EQ(admin.handle("GET", "/config_dump", "10.1.2.3:15000").status, 200);
  EXPECT_EQ(admin.handle("GET", "/config_dump", "[::1]:15000").status, 200);
  EXPECT_EQ(admin.handle("GET", "/stats", "pod-a.example:15090").status, 200);
  EXPECT_EQ(changes, 0);
}

TEST(Admin, NamesItsCommandsForAnUnknownPath) {
  int changes = 0;
  AdminResponse r = make_admin(&changes).handle("GET", "/nope", "localhost");
  EXPECT_EQ(r.status, 404);
  EXPECT_NE(r.body.find("/quitquitquit (POST)"), std::string::npos);
}

}  // namespace
}  // namespace remora::server
