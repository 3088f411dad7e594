// Order, pauses, and who hears what.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "xds/mux_test_support.h"

namespace remora::xds {
namespace {

using testing::ElementsAre;

TEST_F(MuxTest, RequestsLeaveInTheOrderInWhichTrafficNeedsThem) {
  start(Variant::Delta);
  TestConsumer c;
  auto r = some(kRouteType, {"r"}, c);
  auto l = all(kListenerType, c);
  auto other = some("type.googleapis.com/other", {"o"}, c);
  auto e = some(kEndpointType, {"e"}, c);
  auto s = some(kSecretType, {"s"}, c);
  auto cl = all(kClusterType, c);
  for (std::string_view type : {kClusterType, kSecretType, kEndpointType, kListenerType, kRouteType,
                                std::string_view("type.googleapis.com/other")}) {
    EXPECT_EQ(next_delta().type_url(), type);
  }
}

TEST_F(MuxTest, APausedTypeSpeaksOnceAtItsEnd) {
  start(Variant::Delta);
  TestConsumer a, b;
  std::unique_ptr<Subscription> first, second;
  {
    Paused hold(*mux, kEndpointType);
    first = some(kEndpointType, {"a"}, a);
    expect_quiet();
    second = some(kEndpointType, {"b"}, b);
    expect_quiet();
  }
  EXPECT_THAT(next_delta().resource_names_subscribe(), ElementsAre("a", "b"));
  expect_quiet();
}

TEST_F(MuxTest, EachSubscriptionHearsOfItsOwnNamesAndCountsItsOwnRejects) {
  start(Variant::Delta);
  TestConsumer a, b;
  auto sa = some(kEndpointType, {"a"}, a);
  auto sb = some(kEndpointType, {"b"}, b);
  next_delta();
  b.bad["b"] = "bad weight";
  mux->on_response(delta(kEndpointType, "n1", {endpoints("a"), endpoints("b"), endpoints("c")}));
  EXPECT_EQ(a.take(), "+a ");
  EXPECT_EQ(b.take(), "+b ");
  EXPECT_EQ(a.successes, 1);
  EXPECT_EQ(b.rejected, 1);
  mux->on_response(delta(kEndpointType, "n2", {endpoints("a")}));
  EXPECT_EQ(a.updates, 2) << "mentioned, unchanged";
  EXPECT_EQ(b.updates, 1);
}

TEST_F(MuxTest, ALaterSubscriberGetsWhatIsHeldFromTheLoop) {
  start(Variant::Delta);
  TestConsumer early, late;
  auto s = some(kRouteType, {"r"}, early);
  next_delta();
  mux->on_response(delta(kRouteType, "n1", {}));
  auto r = delta(kRouteType, "n2", {endpoints("r")});
  r.mutable_resources(0)->mutable_resource()->set_type_url(std::string(kRouteType));
  mux->on_response(std::move(r));
  next_delta();
  next_delta();
  auto t = some(kRouteType, {"r"}, late);
  EXPECT_EQ(late.updates, 0) << "never from inside subscribe()";
  pass(1);
  EXPECT_EQ(late.take(), "+r ");
  expect_quiet();
}

TEST_F(MuxTest, AReplacedSubscriptionKeepsTheResourceAndSaysNothingToTheControlPlane) {
  start(Variant::Delta);
  TestConsumer before, after;
  auto s = some(kEndpointType, {"e"}, before);
  next_delta();
  mux->on_response(delta(kEndpointType, "n1", {endpoints("e")}));
  next_delta();
  s.reset();
  s = some(kEndpointType, {"e"}, after);
  expect_quiet();
  pass(1);
  EXPECT_EQ(after.take(), "+e ");
}

TEST_F(MuxTest, ASubscriptionMayGoWhileItIsCalled) {
  start(Variant::Delta);
  TestConsumer a, b;
  auto sa = some(kEndpointType, {"e", "f"}, a);
  auto sb = some(kEndpointType, {"e"}, b);
  next_delta();
  a.on_update = [&](const Update&) {
    sa.reset();
    sb.reset();
  };
  b.on_update = a.on_update;
  mux->on_response(delta(kEndpointType, "n1", {endpoints("e"), endpoints("f")}));
  EXPECT_EQ(a.updates + b.updates, 1);
  EXPECT_EQ(next_delta().response_nonce(), "n1");
  EXPECT_THAT(next_delta().resource_names_unsubscribe(), ElementsAre("e", "f"));
  expect_quiet();
}

TEST_F(MuxTest, TheInitialFetchTimesOutOnceAndNotAfterAnAnswer) {
  start(Variant::Delta);
  TestConsumer answered, silent, patient;
  auto a = all(kClusterType, answered, 1000);
  auto s = some(kEndpointType, {"e"}, silent, 1000);
  auto p = some(kEndpointType, {"p"}, patient, 0);
  mux->on_response(delta(kClusterType, "n1", {}));
  pass(5000);
  EXPECT_EQ(answered.fetch_timeouts, 0);
  EXPECT_EQ(answered.updates, 1) << "there is nothing, which is an answer";
  EXPECT_EQ(silent.fetch_timeouts, 1);
  EXPECT_EQ(silent.fetch_timeouts_counted, 1);
  EXPECT_EQ(patient.fetch_timeouts, 0);
  mux->on_response(delta(kEndpointType, "n2", {endpoints("e")}));
  EXPECT_EQ(silent.take(), "+e ");
}

TEST_F(MuxTest, AResourceWithATimeToLiveGoesUnlessItIsRenewed) {
  start(Variant::Delta);
  TestConsumer c;
  auto s = all(kClusterType, c);
  next_delta();
  auto r = delta(kClusterType, "n1", {cluster("a"), cluster("b"), cluster("c")});
  r.mutable_resources(0)->mutable_ttl()->set_seconds(2);
  r.mutable_resources(1)->mutable_ttl()->set_seconds(2);
  mux->on_response(std::move(r));
  c.take();
  pass(1500);
  auto heartbeat = delta(kClusterType, "n2", {});
  auto* a = heartbeat.add_resources();
  a->set_name("a");
  a->mutable_ttl()->set_seconds(2);
  mux->on_response(std::move(heartbeat));
  pass(600);
  EXPECT_EQ(c.take(), "-b ");
  pass(2000);
  EXPECT_EQ(c.take(), "-a ");
}

TEST_F(MuxTest, ResponsesForTypesNobodyAskedForAreIgnored) {
  start(Variant::Delta);
  mux->on_response(delta(kListenerType, "n1", {}));
  expect_quiet();
}

TEST(ErrorDetail, NamesAsManyAsFit) {
  std::vector<Reject> rejects;
  for (int i = 0; i < 1000; ++i)
    rejects.push_back({"r" + std::to_string(i), std::string(100, 'x')});
  const google::rpc::Status status = error_detail(rejects);
  EXPECT_LT(status.message().size(), 20'000u);
  EXPECT_THAT(status.message(), testing::StartsWith("r0: xxx"));
  EXPECT_THAT(status.message(), testing::EndsWith(" more"));
}

}  // namespace
}  // namespace remora::xds
