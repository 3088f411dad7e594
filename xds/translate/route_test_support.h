// What the tests of route configurations share: tables from YAML.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "xds/translate/route.h"
#include "xds/translate/test_support.h"

namespace remora::xds::translate {

class RouteTest : public TranslateTest {
 protected:
  using RouteConfiguration = envoy::config::route::v3::RouteConfiguration;

  std::shared_ptr<const router::RouteTable> compile(std::string_view yaml) {
    auto table = routes(from_yaml<RouteConfiguration>(yaml), context);
    EXPECT_TRUE(table.ok()) << table.status();
    return table.ok() ? *table : nullptr;
  }
  /// The only route of a table with one virtual host.
  std::shared_ptr<const router::RouteTable> one_route(std::string_view route) {
    return compile(with_route(route));
  }
  static std::string with_route(std::string_view route) {
    return "virtual_hosts: [{name: v, domains: ['*'], routes: [" + std::string(route) + "]}]";
  }
  static const router::Route& first(const std::shared_ptr<const router::RouteTable>& table) {
    return table->input().hosts.at(0).routes.at(0);
  }
  std::string refusal(std::string_view yaml) {
    auto table = routes(from_yaml<RouteConfiguration>(yaml), context);
    EXPECT_FALSE(table.ok()) << "accepted: " << yaml;
    return std::string(table.status().message());
  }
};

}  // namespace remora::xds::translate
