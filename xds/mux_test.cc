// The protocol state machines: responses in, requests out, no network.
#include "xds/mux.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/cluster.pb.h"
#include "api/endpoint.pb.h"
#include "api/listener.pb.h"
#include "xds/test_consumer.h"

namespace remora::xds {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

google::protobuf::Any cluster(const std::string& name, int timeout = 1) {
  Cluster c;
  c.set_name(name);
  c.mutable_connect_timeout()->set_seconds(timeout);
  google::protobuf::Any any;
  any.PackFrom(c);
  return any;
}

google::protobuf::Any endpoints(const std::string& name) {
  ClusterLoadAssignment e;
  e.set_cluster_name(name);
  google::protobuf::Any any;
  any.PackFrom(e);
  return any;
}

struct MuxTest : testing::Test, MuxOwner {
  void on_request_due() override {}

  void start(Variant variant, Mux::NodeIn node_in = Mux::NodeIn::FirstRequest) {
    envoy::config::core::v3::Node node;
    node.set_id("me");
    mux.emplace(variant, node, node_in, wheel, *this);
    mux->stream_started();
  }
  std::unique_ptr<Subscription> all(std::string_view type, TestConsumer& c,
                                    uint64_t timeout_ms = 0) {
    SubscribeOptions o;
    o.type_url = type;
    o.wildcard = true;
    o.initial_fetch_timeout_ms = timeout_ms;
    o.observer = &c.observer;
    return mux->subscribe(o, c);
  }
  std::unique_ptr<Subscription> some(std::string_view type, std::vector<std::string> names,
                                     TestConsumer& c, uint64_t timeout_ms = 0) {
    SubscribeOptions o;
    o.type_url = type;
    o.names = std::move(names);
    o.initial_fetch_timeout_ms = timeout_ms;
    o.observer = &c.observer;
    return mux->subscribe(o, c);
  }
  template <class Request>
  Request next() {
    auto message = mux->next_request();
    if (message == nullptr) {
      ADD_FAILURE() << "no request is due";
      return {};
    }
    return static_cast<Request&>(*message);
  }
  DeltaState::Request next_delta() { return next<DeltaState::Request>(); }
  SotwState::Request next_sotw() { return next<SotwState::Request>(); }
  void expect_quiet() {
    const auto message = mux->next_request();
    EXPECT_EQ(message, nullptr) << message->DebugString();
  }
  void pass(uint64_t ms) {
    time.now_ms += ms;
    wheel.advance();
  }

  TurnTime time;
  TimerWheel wheel{time};
  std::optional<Mux> mux;
};

DeltaState::Response delta(std::string_view type, std::string nonce,
                           std::vector<google::protobuf::Any> bodies,
                           std::vector<std::string> removed = {}, std::string version = "") {
  DeltaState::Response r;
  r.set_type_url(std::string(type));
  r.set_nonce(nonce);
  r.set_system_version_info("system-" + nonce);
  for (auto& body : bodies) {
    auto* resource = r.add_resources();
    resource->set_name(name_in(body));
    resource->set_version(version);
    *resource->mutable_resource() = body;
  }
  for (auto& name : removed) r.add_removed_resources(name);
  return r;
}

SotwState::Response sotw(std::string_view type, std::string version, std::string nonce,
                         std::vector<google::protobuf::Any> bodies) {
  SotwState::Response r;
  r.set_type_url(std::string(type));
  r.set_version_info(version);
  r.set_nonce(nonce);
  for (auto& body : bodies) *r.add_resources() = body;
  return r;
}

// ------------------------------------------------------------------------------------------ delta

TEST_F(MuxTest, DeltaAsksForEverythingByNamingNothingAndAcknowledges) {
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

TEST_F(MuxTest, DeltaRepeatsTheNodeWhenItHasTo) {
  start(Variant::Delta, Mux::NodeIn::EveryRequest);
  TestConsumer c;
  auto s = all(kClusterType, c);
  EXPECT_TRUE(next_delta().has_node());
  mux->on_response(delta(kClusterType, "n1", {}));
  EXPECT_TRUE(next_delta().has_node());
}

TEST_F(MuxTest, UnchangedResourcesOfAPushAreNotOfferedAgainThoughVersionsAreEmpty) {
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

TEST_F(MuxTest, OneBadResourceIsNamedAndTheOthersApply) {
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

TEST_F(MuxTest, ARejectedChangeKeepsTheLastGoodOne) {
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

TEST_F(MuxTest, ResourcesWithBrokenEnvelopesAreRejectedByTheMuxItself) {
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

TEST_F(MuxTest, DeltaSendsOnlyChangesOfInterest) {
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

TEST_F(MuxTest, AnAnswerAndAChangeOfInterestAreTwoRequests) {
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

TEST_F(MuxTest, DeltaTellsANewStreamWhatItHolds) {
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

TEST_F(MuxTest, ANameThatDoesNotExistIsToldAsRemoved) {
  start(Variant::Delta);
  TestConsumer c;
  auto s = some(kEndpointType, {"a"}, c);
  next_delta();
  mux->on_response(delta(kEndpointType, "n1", {}, {"a"}));
  EXPECT_EQ(c.take(), "-a ");
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

// ---------------------------------------------------------------------------- state of the world

TEST_F(MuxTest, SotwAcknowledgesWithVersionAndNonce) {
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

TEST_F(MuxTest, SotwTakesMissingClustersForRemovedAndMissingEndpointsForUnchanged) {
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

TEST_F(MuxTest, SotwRefusesWithTheLastGoodVersion) {
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

TEST_F(MuxTest, SotwNamesAllThatIsWantedWithEveryRequest) {
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

TEST_F(MuxTest, SotwTellsANewStreamItsVersionAndNoNonce) {
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

TEST_F(MuxTest, SotwUnwrapsResources) {
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

TEST_F(MuxTest, SotwResourcesThatCannotBeReadRemoveNothing) {
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
