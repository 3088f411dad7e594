// The state-of-the-world variant.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "xds/mux_test_support.h"

namespace remora::xds {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct SotwStateTest : MuxTest {};

TEST_F(SotwStateTest, SotwAcknowledgesWithVersionAndNonce) {
  start(Variant::StateOfTheWorld);
  TestConsumer c;
  auto s = all(kClusterType, c);
  auto first = next_sotw();
  EXPECT_EQ(first.node().id(), "me");
  EXPECT_EQ(first.version_info(), "");
  EXPECT_THAT(first.resource_names(), IsEmpty());
  mux->on_response(sotw(kClusterType, "1", "n1", {cluster("a"), cluster("b")}));
  EXPECT_EQ(c.take(), "+a +b ");
  auto ack = next_sotw();
  EXPECT_EQ(ack.version_info(), "1");
  EXPECT_EQ(ack.response_nonce(), "n1");
  EXPECT_FALSE(ack.has_node());
  expect_quiet();
}

TEST_F(SotwStateTest, SotwTakesMissingClustersForRemovedAndMissingEndpointsForUnchanged) {
  start(Variant::StateOfTheWorld);
  TestConsumer c, a, b;
  auto s = all(kClusterType, c);
  auto ea = some(kEndpointType, {"a"}, a);
  auto eb = some(kEndpointType, {"b"}, b);
  mux->on_response(sotw(kClusterType, "1", "n1", {cluster("a"), cluster("b")}));
  mux->on_response(sotw(kEndpointType, "1", "n2", {endpoints("a"), endpoints("b")}));
  c.take(), a.take(), b.take();
  mux->on_response(sotw(kClusterType, "2", "n3", {cluster("b")}));
  mux->on_response(sotw(kEndpointType, "2", "n4", {endpoints("a")}));
  EXPECT_EQ(c.take(), "-a ");
  EXPECT_EQ(a.take() + b.take(), "");
  EXPECT_EQ(b.updates, 1);
}

TEST_F(SotwStateTest, SotwRefusesWithTheLastGoodVersion) {
  start(Variant::StateOfTheWorld);
  TestConsumer c;
  auto s = all(kClusterType, c);
  next_sotw();
  mux->on_response(sotw(kClusterType, "1", "n1", {cluster("a")}));
  next_sotw();
  c.bad["b"] = "type: unknown";
  c.take();
  mux->on_response(sotw(kClusterType, "2", "n2", {cluster("a", 9), cluster("b")}));
  EXPECT_EQ(c.take(), "+a +b ");
  auto nack = next_sotw();
  EXPECT_EQ(nack.version_info(), "1");
  EXPECT_EQ(nack.response_nonce(), "n2");
  EXPECT_EQ(nack.error_detail().message(), "b: type: unknown");
  c.bad.clear();
  mux->on_response(sotw(kClusterType, "3", "n3", {cluster("a", 9), cluster("b")}));
  EXPECT_EQ(c.take(), "+b ");
  EXPECT_EQ(next_sotw().version_info(), "3");
}

TEST_F(SotwStateTest, SotwNamesAllThatIsWantedWithEveryRequest) {
  start(Variant::StateOfTheWorld);
  TestConsumer c, d;
  auto s = some(kEndpointType, {"b", "a"}, c);
  EXPECT_THAT(next_sotw().resource_names(), ElementsAre("a", "b"));
  mux->on_response(sotw(kEndpointType, "1", "n1", {endpoints("a")}));
  auto t = some(kEndpointType, {"c"}, d);
  auto both = next_sotw();
  EXPECT_THAT(both.resource_names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(both.response_nonce(), "n1");
  expect_quiet();
  s.reset();
  auto fewer = next_sotw();
  EXPECT_THAT(fewer.resource_names(), ElementsAre("c"));
  EXPECT_EQ(fewer.version_info(), "1");
  EXPECT_EQ(fewer.response_nonce(), "n1");
}

TEST_F(SotwStateTest, SotwTellsANewStreamItsVersionAndNoNonce) {
  start(Variant::StateOfTheWorld);
  TestConsumer c;
  auto s = all(kClusterType, c);
  next_sotw();
  mux->on_response(sotw(kClusterType, "7", "n1", {cluster("a")}));
  mux->stream_started();
  auto first = next_sotw();
  EXPECT_EQ(first.version_info(), "7");
  EXPECT_EQ(first.response_nonce(), "");
  EXPECT_TRUE(first.has_node());
  expect_quiet();
}

TEST_F(SotwStateTest, SotwUnwrapsResources) {
  start(Variant::StateOfTheWorld);
  TestConsumer c;
  auto s = some(kEndpointType, {"a"}, c);
  next_sotw();
  envoy::service::discovery::v3::Resource wrapper;
  wrapper.set_name("a");
  wrapper.set_version("w1");
  *wrapper.mutable_resource() = endpoints("a");
  google::protobuf::Any any;
  any.PackFrom(wrapper);
  mux->on_response(sotw(kEndpointType, "1", "n1", {any}));
  EXPECT_EQ(c.take(), "+a ");
  EXPECT_EQ(c.resources["a"]->version, "w1");
  EXPECT_FALSE(next_sotw().has_error_detail());
}

TEST_F(SotwStateTest, SotwResourcesThatCannotBeReadRemoveNothing) {
  start(Variant::StateOfTheWorld);
  TestConsumer c;
  auto s = all(kClusterType, c);
  next_sotw();
  mux->on_response(sotw(kClusterType, "1", "n1", {cluster("a")}));
  next_sotw();
  c.take();
  google::protobuf::Any garbage;
  garbage.set_type_url(std::string(kClusterType));
  garbage.set_value("\x0a\xff\xff\xff");
  mux->on_response(sotw(kClusterType, "2", "n2", {garbage}));
  EXPECT_EQ(c.take(), "");
  EXPECT_EQ(next_sotw().error_detail().message(), ": resource without a name");
}

}  // namespace
}  // namespace remora::xds
