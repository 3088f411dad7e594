#include "tools/control_plane/sessions.h"

#include "api/endpoint.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace remora::control_plane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// A view with resources that are nothing but a type, a name and a version.
View view_with(std::map<std::string_view, std::map<std::string, std::string>> content) {
  View view;
  for (const std::string_view type : kTypesInPushOrder) view[type];
  for (const auto& [type, resources] : content) {
    for (const auto& [name, version] : resources) {
      Resource resource{version, {}};
      resource.body.set_type_url(std::string(type));
      resource.body.set_value(name);
      view[type].emplace(name, resource);
    }
  }
  return view;
}

SotwSession::Request sotw(std::string_view type, std::vector<std::string> names = {},
                          const std::string& nonce = "") {
  SotwSession::Request request;
  request.set_type_url(std::string(type));
  request.set_response_nonce(nonce);
  for (const auto& name : names) request.add_resource_names(name);
  return request;
}

DeltaSession::Request delta(std::string_view type, std::vector<std::string> subscribe = {},
                            std::vector<std::string> unsubscribe = {}) {
  DeltaSession::Request request;
  request.set_type_url(std::string(type));
  for (const auto& name : subscribe) request.add_resource_names_subscribe(name);
  for (const auto& name : unsubscribe) request.add_resource_names_unsubscribe(name);
  return request;
}

std::vector<std::string> names_in(const SotwSession::Response& response) {
  std::vector<std::string> names;
  for (const auto& resource : response.resources()) names.push_back(resource.value());
  return names;
}

std::vector<std::string> names_in(const DeltaSession::Response& response) {
  std::vector<std::string> names;
  for (const auto& resource : response.resources()) names.push_back(resource.name());
  return names;
}

std::vector<std::string> removed_in(const DeltaSession::Response& response) {
  return {response.removed_resources().begin(), response.removed_resources().end()};
}

TEST(SotwSession, AnswersTheFirstRequestWithEverything) {
  SotwSession session;
  const auto responses =
      session.on_request(sotw(kClusterType), view_with({{kClusterType, {{"a", "1"}, {"b", "1"}}}}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("a", "b"));
  EXPECT_FALSE(responses[0].nonce().empty());
  EXPECT_FALSE(responses[0].version_info().empty());
}

TEST(SotwSession, SaysWhenThereIsNothing) {
  SotwSession session;
  const auto responses = session.on_request(sotw(kListenerType), view_with({}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), IsEmpty());
  EXPECT_THAT(session.on_request(sotw(kListenerType, {}, responses[0].nonce()), view_with({})),
              IsEmpty());
}

TEST(SotwSession, DoesNotAnswerAnAcknowledgement) {
  SotwSession session;
  const View view = view_with({{kClusterType, {{"a", "1"}}}});
  const auto responses = session.on_request(sotw(kClusterType), view);
  EXPECT_THAT(session.on_request(sotw(kClusterType, {}, responses[0].nonce()), view), IsEmpty());
  EXPECT_THAT(session.on_view(view), IsEmpty());
}

TEST(SotwSession, DoesNotRepeatWhatWasRefused) {
  SotwSession session;
  const View view = view_with({{kClusterType, {{"a", "1"}}}});
  auto refusal = sotw(kClusterType, {}, session.on_request(sotw(kClusterType), view)[0].nonce());
  refusal.mutable_error_detail()->set_message("no");
  EXPECT_THAT(session.on_request(refusal, view), IsEmpty());
  EXPECT_THAT(session.on_view(view_with({{kClusterType, {{"a", "2"}}}})), SizeIs(1));
}

TEST(SotwSession, SendsAWholeCollectionWhenOnePartChangesOrGoes) {
  SotwSession session;
  session.on_request(sotw(kClusterType), view_with({{kClusterType, {{"a", "1"}, {"b", "1"}}}}));
  auto responses = session.on_view(view_with({{kClusterType, {{"a", "1"}, {"b", "2"}}}}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("a", "b"));
  responses = session.on_view(view_with({{kClusterType, {{"b", "2"}}}}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("b"));
}

TEST(SotwSession, SendsOnlyChangedEndpoints) {
  SotwSession session;
  session.on_request(sotw(kEndpointsType, {"a", "b"}),
                     view_with({{kEndpointsType, {{"a", "1"}, {"b", "1"}, {"c", "1"}}}}));
  const auto responses =
      session.on_view(view_with({{kEndpointsType, {{"a", "1"}, {"b", "2"}, {"c", "2"}}}}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("b"));
}

TEST(SotwSession, AnswersNamesThatAreAddedLater) {
  SotwSession session;
  const View view = view_with({{kRouteType, {{"80", "1"}, {"81", "1"}}}});
  const auto first = session.on_request(sotw(kRouteType, {"80"}), view);
  const auto second = session.on_request(sotw(kRouteType, {"80", "81"}, first[0].nonce()), view);
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_THAT(names_in(second[0]), ElementsAre("81"));
}

TEST(SotwSession, IgnoresAnswersToOlderResponses) {
  SotwSession session;
  const auto first =
      session.on_request(sotw(kRouteType, {"80"}), view_with({{kRouteType, {{"80", "1"}}}}));
  const View changed = view_with({{kRouteType, {{"80", "2"}, {"81", "1"}}}});
  const auto second = session.on_view(changed);
  EXPECT_THAT(session.on_request(sotw(kRouteType, {"80", "81"}, first[0].nonce()), changed),
              IsEmpty());
  EXPECT_THAT(session.on_request(sotw(kRouteType, {"80", "81"}, second[0].nonce()), changed),
              SizeIs(1));
}

TEST(SotwSession, GivesAMissingClusterNoEndpoints) {
  SotwSession session;
  const auto responses = session.on_request(sotw(kEndpointsType, {"gone"}), view_with({}));
  ASSERT_THAT(responses, SizeIs(1));
  envoy::config::endpoint::v3::ClusterLoadAssignment endpoints;
  ASSERT_TRUE(responses[0].resources(0).UnpackTo(&endpoints));
  EXPECT_EQ(endpoints.cluster_name(), "gone");
  EXPECT_EQ(endpoints.endpoints_size(), 0);
}

TEST(Sessions, PushClustersBeforeEndpointsListenersAndRoutes) {
  DeltaSession session;
  for (const std::string_view type : {kRouteType, kListenerType, kEndpointsType, kClusterType}) {
    session.on_request(delta(type, {"x"}), view_with({}));
  }
  const auto responses = session.on_view(view_with({{kClusterType, {{"x", "1"}}},
                                                    {kEndpointsType, {{"x", "1"}}},
                                                    {kListenerType, {{"x", "1"}}},
                                                    {kRouteType, {{"x", "1"}}}}));
  std::vector<std::string_view> order;
  for (const auto& response : responses) order.push_back(response.type_url());
  EXPECT_THAT(order, ElementsAre(kClusterType, kEndpointsType, kListenerType, kRouteType));
}

TEST(Sessions, IgnoreTypesThatAreNotServed) {
  const View view = view_with({});
  EXPECT_THAT(SotwSession().on_request(sotw("type.googleapis.com/x"), view), IsEmpty());
  EXPECT_THAT(DeltaSession().on_request(delta("type.googleapis.com/x"), view), IsEmpty());
}

TEST(DeltaSession, AnswersTheFirstRequestWithEverything) {
  DeltaSession session;
  const auto responses =
      session.on_request(delta(kClusterType), view_with({{kClusterType, {{"a", "1"}}}}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("a"));
  EXPECT_EQ(responses[0].resources(0).version(), "1");
}

TEST(DeltaSession, SendsOnlyWhatChangedAndWhatWent) {
  DeltaSession session;
  session.on_request(delta(kClusterType),
                     view_with({{kClusterType, {{"a", "1"}, {"b", "1"}, {"c", "1"}}}}));
  const View changed = view_with({{kClusterType, {{"a", "1"}, {"b", "2"}, {"d", "1"}}}});
  const auto responses = session.on_view(changed);
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("b", "d"));
  EXPECT_THAT(removed_in(responses[0]), ElementsAre("c"));
  EXPECT_THAT(session.on_view(changed), IsEmpty());
}

TEST(DeltaSession, SendsAReconnectingClientOnlyWhatItLacks) {
  DeltaSession session;
  auto request = delta(kClusterType, {"*"});
  for (const char* name : {"a", "b", "c"}) {
    (*request.mutable_initial_resource_versions())[name] = "1";
  }
  const auto responses = session.on_request(
      request, view_with({{kClusterType, {{"a", "1"}, {"b", "2"}, {"d", "1"}}}}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("b", "d"));
  EXPECT_THAT(removed_in(responses[0]), ElementsAre("c"));
}

TEST(DeltaSession, TellsAReconnectingClientThatItHasEverything) {
  DeltaSession session;
  auto request = delta(kEndpointsType, {"a"});
  (*request.mutable_initial_resource_versions())["a"] = "1";
  const auto responses = session.on_request(request, view_with({{kEndpointsType, {{"a", "1"}}}}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), IsEmpty());
}

TEST(DeltaSession, FollowsSubscriptions) {
  DeltaSession session;
  const View view = view_with({{kRouteType, {{"80", "1"}, {"81", "1"}}}});
  session.on_request(delta(kRouteType, {"80"}), view);
  auto responses = session.on_request(delta(kRouteType, {"81"}), view);
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("81"));
  EXPECT_THAT(session.on_request(delta(kRouteType, {}, {"80"}), view), IsEmpty());
  responses = session.on_view(view_with({{kRouteType, {{"80", "2"}, {"81", "2"}}}}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("81"));
}

TEST(DeltaSession, SendsAgainWhatIsAskedForAgain) {
  DeltaSession session;
  const View view = view_with({{kRouteType, {{"80", "1"}}}});
  session.on_request(delta(kRouteType, {"80"}), view);
  const auto responses = session.on_request(delta(kRouteType, {"80"}), view);
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("80"));
}

TEST(DeltaSession, SaysOnceThatANameDoesNotExist) {
  DeltaSession session;
  auto responses = session.on_request(delta(kRouteType, {"80"}), view_with({}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(removed_in(responses[0]), ElementsAre("80"));
  EXPECT_THAT(session.on_view(view_with({})), IsEmpty());
  responses = session.on_view(view_with({{kRouteType, {{"80", "1"}}}}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("80"));
}

TEST(DeltaSession, EmptiesTheEndpointsOfAClusterThatIsGone) {
  DeltaSession session;
  session.on_request(delta(kEndpointsType, {"a"}), view_with({{kEndpointsType, {{"a", "1"}}}}));
  const auto responses = session.on_view(view_with({}));
  ASSERT_THAT(responses, SizeIs(1));
  EXPECT_THAT(names_in(responses[0]), ElementsAre("a"));
  EXPECT_THAT(removed_in(responses[0]), IsEmpty());
}

}  // namespace
}  // namespace remora::control_plane
