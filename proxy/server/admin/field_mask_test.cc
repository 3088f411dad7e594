#include "proxy/server/admin/field_mask.h"

#include <gtest/gtest.h>

#include "api/admin.pb.h"
#include "api/cluster.pb.h"

namespace remora::server {
namespace {

using StaticCluster = envoy::admin::v3::ClustersConfigDump::StaticCluster;
using envoy::config::cluster::v3::Cluster;

StaticCluster dumped() {
  Cluster cluster;
  cluster.set_name("app");
  cluster.mutable_connect_timeout()->set_seconds(1);
  cluster.mutable_load_assignment()->set_cluster_name("eds");
  cluster.mutable_load_assignment()->add_endpoints()->set_priority(1);
  StaticCluster out;
  out.mutable_cluster()->PackFrom(cluster);
  out.mutable_last_updated()->set_seconds(7);
  return out;
}

Cluster inside(const StaticCluster& message) {
  Cluster cluster;
  EXPECT_TRUE(message.cluster().UnpackTo(&cluster));
  return cluster;
}

TEST(FieldMask, KeepsAWholeField) {
  StaticCluster message = dumped();
  ASSERT_TRUE(keep_fields("last_updated", &message));
  EXPECT_EQ(message.last_updated().seconds(), 7);
  EXPECT_FALSE(message.has_cluster());
}

TEST(FieldMask, LeadsThroughAny) {
  StaticCluster message = dumped();
  ASSERT_TRUE(
      keep_fields("cluster.name,cluster.load_assignment.cluster_name,last_updated", &message));
  const Cluster cluster = inside(message);
  EXPECT_EQ(cluster.name(), "app");
  EXPECT_FALSE(cluster.has_connect_timeout());
  EXPECT_EQ(cluster.load_assignment().cluster_name(), "eds");
  EXPECT_EQ(cluster.load_assignment().endpoints_size(), 0);
  EXPECT_TRUE(message.has_last_updated());
}

TEST(FieldMask, APathToWhatIsNotSetKeepsNothingAndIsNoMistake) {
  StaticCluster message = dumped();
  ASSERT_TRUE(keep_fields("cluster.eds_cluster_config.service_name", &message));
  EXPECT_EQ(inside(message).ByteSizeLong(), 0u);
}

TEST(FieldMask, APathThatLeadsNowhereIsAMistake) {
  for (const char* mask : {"nope", "cluster.nope", "last_updated.nope", "cluster.name.x",
                           "cluster.", "cluster.load_assignment.endpoints.locality", ".",
                           "cluster.name,nope", "cluster.eds_cluster_config.nope"}) {
    StaticCluster message = dumped();
    EXPECT_FALSE(keep_fields(mask, &message)) << mask;
  }
}

}  // namespace
}  // namespace remora::server
