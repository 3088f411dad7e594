// What the tests of clusters share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "api/cluster.pb.h"
#include "xds/translate/cluster.h"
#include "xds/translate/test_support.h"

namespace remora::xds::translate {

class ClusterTranslateTest : public TranslateTest {
 protected:
  std::shared_ptr<const upstream::ClusterConfig> compile(std::string_view yaml) {
    auto config = cluster(from_yaml<envoy::config::cluster::v3::Cluster>(yaml), context);
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? *config : nullptr;
  }
  std::string refusal(std::string_view yaml) {
    auto config = cluster(from_yaml<envoy::config::cluster::v3::Cluster>(yaml), context);
    EXPECT_FALSE(config.ok()) << "accepted: " << yaml;
    return std::string(config.status().message());
  }
};

}  // namespace remora::xds::translate
