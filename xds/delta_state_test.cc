// The incremental variant.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "xds/mux_test_support.h"

namespace remora::xds {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

struct DeltaStateTest : MuxTest {};

TEST_F(DeltaStateTest, DeltaAsksForEverythingByNamingNothingAndAcknowledges) {
  start(Variant::Delta);
  TestConsumer c;
  auto s = all(kClusterType, c);
  auto first = next_delta();
  EXPECT_EQ(first.type_url(), kClusterType);
  EXPECT_EQ(first.node().id(), "me");
  EXPECT_THAT(first.resource_names_subscribe(), IsEmpty());
  EXPECT_EQ(first.response_nonce(), "");
  expect_quiet();

  mux->on_response(delta(kClusterType, "n1", {cluster("a"), cluster("b")}));
  EXPECT_EQ(c.take(), "+a +b ");
  auto ack = next_delta();
  EXPECT_EQ(ack.response_nonce(), "n1");
  EXPECT_FALSE(ack.has_error_detail());
  EXPECT_FALSE(ack.has_node()) << "the node goes with the first request only";
  expect_quiet();
  EXPECT_EQ(c.successes, 1);
  EXPECT_EQ(c.attempts, 2);
  EXPECT_EQ(c.accepted_version, "system-n1");
}

TEST_F(DeltaStateTest, DeltaRepeatsTheNodeWhenItHasTo) {
  start(Variant::Delta, Mux::NodeIn::EveryRequest);
  TestConsumer c;
  auto s = all(kClusterType, c);
  EXPECT_TRUE(next_delta().has_node());
  mux->on_response(delta(kClusterType, "n1", {}));
  EXPECT_TRUE(next_delta().has_node());
}

TEST_F(DeltaStateTest, UnchangedResourcesOfAPushAreNotOfferedAgainThoughVersionsAreEmpty) {
  start(Variant::Delta);
  TestConsumer c;
  auto s = all(kClusterType, c);
  next_delta();
  mux->on_response(delta(kClusterType, "n1", {cluster("a"), cluster("b")}));
  c.take();
  mux->on_response(delta(kClusterType, "n2", {cluster("a"), cluster("b", 2)}));
  EXPECT_EQ(c.take(), "+b ");
  mux->on_response(delta(kClusterType, "n3", {cluster("a")}, {"b"}));
  EXPECT_EQ(c.take(), "-b ");
  EXPECT_EQ(c.updates, 3);
}

TEST_F(DeltaStateTest, OneBadResourceIsNamedAndTheOthersApply) {
  start(Variant::Delta);
  TestConsumer c;
  c.bad["b"] = "connect_timeout: must be positive";
  auto s = all(kClusterType, c);
  next_delta();
  mux->on_response(delta(kClusterType, "n1", {cluster("a"), cluster("b"), cluster("c")}));
  EXPECT_EQ(c.resources.size(), 2u);
  auto nack = next_delta();
  EXPECT_EQ(nack.response_nonce(), "n1");
  EXPECT_EQ(nack.error_detail().code(), 3);
  EXPECT_EQ(nack.error_detail().message(), "b: connect_timeout: must be positive");
  EXPECT_EQ(c.rejected, 1);
  EXPECT_EQ(c.successes, 0);

  // What was rejected is offered again although nothing changed, what was accepted is not.
  c.bad.clear();
  c.take();
  mux->on_response(delta(kClusterType, "n2", {cluster("a"), cluster("b")}));
  EXPECT_EQ(c.take(), "+b ");
  EXPECT_FALSE(next_delta().has_error_detail());
}

TEST_F(DeltaStateTest, ARejectedChangeKeepsTheLastGoodOne) {
  start(Variant::Delta);
  TestConsumer c;
  auto s = all(kClusterType, c);
  next_delta();
  mux->on_response(delta(kClusterType, "n1", {cluster("a", 1)}));
  c.bad["a"] = "no";
  mux->on_response(delta(kClusterType, "n2", {cluster("a", 2)}));
  c.bad.clear();
  c.take();
  mux->on_response(delta(kClusterType, "n3", {cluster("a", 1)}));
  EXPECT_EQ(c.take(), "") << "it is what is in force";
  EXPECT_EQ(next_delta().response_nonce(), "n1");
  EXPECT_TRUE(next_delta().has_error_detail());
  EXPECT_FALSE(next_delta().has_error_detail());
}

TEST_F(DeltaStateTest, ResourcesWithBrokenEnvelopesAreRejectedByTheMuxItself) {
  start(Variant::Delta);
  TestConsumer c;
  auto s = all(kClusterType, c);
  next_delta();
  auto r = delta(kClusterType, "n1", {cluster("a"), cluster("b"), cluster("a", 5), cluster("")});
  r.mutable_resources(1)->mutable_resource()->set_type_url("type.googleapis.com/other");
  mux->on_response(std::move(r));
  EXPECT_EQ(c.take(), "+a ");
  EXPECT_EQ(next_delta().error_detail().message(),
            "b: type URL type.googleapis.com/other does not match "
            "type.googleapis.com/envoy.config.cluster.v3.Cluster of the response; "
            ": resource without a name; a: is twice in the response");
}

TEST_F(DeltaStateTest, DeltaSendsOnlyChangesOfInterest) {
  start(Variant::Delta);
  TestConsumer c;
  auto s = some(kEndpointType, {"a", "b"}, c);
  EXPECT_THAT(next_delta().resource_names_subscribe(), ElementsAre("a", "b"));
  s->set_names({"b", "c"});
  auto change = next_delta();
  EXPECT_THAT(change.resource_names_subscribe(), ElementsAre("c"));
  EXPECT_THAT(change.resource_names_unsubscribe(), ElementsAre("a"));
  EXPECT_EQ(change.response_nonce(), "");
  expect_quiet();
  s->set_names({"a"});
  s->set_names({"b", "c"});
  expect_quiet();
}

TEST_F(DeltaStateTest, AnAnswerAndAChangeOfInterestAreTwoRequests) {
  start(Variant::Delta);
  TestConsumer c;
  auto s = some(kEndpointType, {"a"}, c);
  next_delta();
  mux->on_response(delta(kEndpointType, "n1", {endpoints("a")}));
  s->set_names({"a", "b"});
  auto ack = next_delta();
  EXPECT_EQ(ack.response_nonce(), "n1");
  EXPECT_THAT(ack.resource_names_subscribe(), IsEmpty());
  auto change = next_delta();
  EXPECT_EQ(change.response_nonce(), "");
  EXPECT_THAT(change.resource_names_subscribe(), ElementsAre("b"));
  expect_quiet();
}

TEST_F(DeltaStateTest, DeltaTellsANewStreamWhatItHolds) {
  start(Variant::Delta);
  TestConsumer clusters, eds;
  auto s = all(kClusterType, clusters);
  auto e = some(kEndpointType, {"a", "b"}, eds);
  next_delta();
  next_delta();
  mux->on_response(delta(kClusterType, "n1", {cluster("a"), cluster("b")}, {}, "v7"));
  mux->on_response(delta(kEndpointType, "n2", {endpoints("a")}));
  mux->stream_failed();
  mux->stream_started();
  auto first = next_delta();
  EXPECT_EQ(first.type_url(), kClusterType);
  EXPECT_EQ(first.node().id(), "me");
  EXPECT_EQ(first.response_nonce(), "");
  EXPECT_THAT(first.resource_names_subscribe(), IsEmpty());
  EXPECT_THAT(first.initial_resource_versions(),
              UnorderedElementsAre(Pair("a", "v7"), Pair("b", "v7")));
  auto second = next_delta();
  EXPECT_THAT(second.resource_names_subscribe(), ElementsAre("a", "b"));
  EXPECT_THAT(second.initial_resource_versions(), UnorderedElementsAre(Pair("a", "")));
  expect_quiet();
  EXPECT_EQ(clusters.failures, 1);
  clusters.take();
  mux->on_response(delta(kClusterType, "n1", {cluster("a"), cluster("b")}));
  EXPECT_EQ(clusters.take(), "") << "nothing changed while the control plane was away";
}

TEST_F(DeltaStateTest, ANameThatDoesNotExistIsToldAsRemoved) {
  start(Variant::Delta);
  TestConsumer c;
  auto s = some(kEndpointType, {"a"}, c);
  next_delta();
  mux->on_response(delta(kEndpointType, "n1", {}, {"a"}));
  EXPECT_EQ(c.take(), "-a ");
}

}  // namespace
}  // namespace remora::xds
