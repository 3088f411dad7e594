// What the connection manager and the route say of upgrades.
#include "proxy/connection_manager/upgrade.h"

#include <gtest/gtest.h>

namespace remora::connection_manager {
namespace {

constexpr auto kAccept = UpgradeVerdict::Accept;
constexpr auto kRefuse = UpgradeVerdict::Refuse;
constexpr auto kUnknown = UpgradeVerdict::Unknown;

router::Route route_with(std::vector<router::UpgradeSetting> upgrades) {
  router::Route route;
  std::get<router::ClusterAction>(route.action).upgrades = std::move(upgrades);
  return route;
}

TEST(UpgradeVerdict, TheConnectionManagerDecidesWhereTheRouteSaysNothing) {
  HttpConfig config;
  config.upgrades = {{"WebSocket", true}, {"x", false}};
  const router::Route route = route_with({});
  EXPECT_EQ(judge_upgrade(config, &route, "websocket"), kAccept);
  EXPECT_EQ(judge_upgrade(config, &route, "X"), kRefuse);
  EXPECT_EQ(judge_upgrade(config, &route, "other"), kUnknown);
  EXPECT_EQ(judge_upgrade(config, nullptr, "websocket"), kAccept);
}

TEST(UpgradeVerdict, TheRouteGoesBefore) {
  HttpConfig config;
  config.upgrades = {{"websocket", true}, {"x", false}};
  const router::Route route = route_with({{"websocket", false}, {"x", true}, {"CONNECT", true}});
  EXPECT_EQ(judge_upgrade(config, &route, "websocket"), kRefuse);
  EXPECT_EQ(judge_upgrade(config, &route, "x"), kAccept);
  EXPECT_EQ(judge_upgrade(config, &route, "CONNECT"), kAccept);
}

TEST(UpgradeVerdict, RoutesThatAnswerThemselvesSayNothing) {
  HttpConfig config;
  router::Route route;
  route.action = router::DirectAction{};
  EXPECT_EQ(judge_upgrade(config, &route, "websocket"), kUnknown);
}

}  // namespace
}  // namespace remora::connection_manager
