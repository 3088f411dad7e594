// Host sets: which hosts keep their identity over an update, and how they are sorted.
#include "proxy/upstream/host_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/upstream/test_hosts.h"

namespace remora::upstream {
namespace {

using testing::assignment;
using ::testing::ElementsAre;
using testing::endpoint;
using ::testing::IsEmpty;
using testing::locality;
using ::testing::SizeIs;

std::vector<std::string> addresses(const std::vector<HostPtr>& hosts) {
  std::vector<std::string> result;
  for (const HostPtr& host : hosts) result.push_back(host->address().to_string());
  return result;
}

TEST(HostSet, NoEndpointsGiveOneEmptyPriority) {
  auto set = make_host_set(LoadAssignment(), nullptr);
  EXPECT_THAT(set->priorities, SizeIs(1));
  EXPECT_EQ(set->total(), 0u);
}

TEST(HostSet, SortsByHealthAndLeavesDrainingAndUnhealthyOnlyAmongAll) {
  EndpointConfig draining = endpoint("10.0.0.4");
  draining.draining = true;
  auto set = make_host_set(
      assignment({locality({endpoint("10.0.0.1"), endpoint("10.0.0.2", 80, 1, Health::Degraded),
                            endpoint("10.0.0.3", 80, 1, Health::Unhealthy), draining})}),
      nullptr);
  const PriorityHosts& priority = set->priorities[0];
  EXPECT_THAT(addresses(priority.hosts),
              ElementsAre("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"));
  EXPECT_THAT(addresses(priority.healthy), ElementsAre("10.0.0.1:80"));
  EXPECT_THAT(addresses(priority.degraded), ElementsAre("10.0.0.2:80"));
  EXPECT_EQ(set->total(), 4u);
  EXPECT_EQ(set->healthy_total(), 1u);
  EXPECT_EQ(set->degraded_total(), 1u);
}

TEST(HostSet, PutsPrioritiesApartAndAllowsGaps) {
  auto set = make_host_set(
      assignment({locality({endpoint("10.0.0.1")}, "a", 0, 2), locality({endpoint("10.0.0.2")})}),
      nullptr);
  ASSERT_THAT(set->priorities, SizeIs(3));
  EXPECT_THAT(addresses(set->priorities[0].hosts), ElementsAre("10.0.0.2:80"));
  EXPECT_THAT(set->priorities[1].hosts, IsEmpty());
  EXPECT_EQ(set->priorities[2].hosts[0]->priority(), 2u);
}

TEST(HostSet, GroupsByLocalityWithItsWeight) {
  auto set = make_host_set(
      assignment({locality({endpoint("10.0.0.1")}, "a", 3),
                  locality({endpoint("10.0.0.2")}, "b", 1),
                  locality({endpoint("10.0.0.3", 80, 1, Health::Unhealthy)}, "a", 7)}),
      nullptr);
  const auto& localities = set->priorities[0].localities;
  ASSERT_THAT(localities, SizeIs(2));
  EXPECT_EQ(localities[0].locality.zone, "a");
  EXPECT_EQ(localities[0].weight, 3u);
  EXPECT_THAT(addresses(localities[0].hosts), ElementsAre("10.0.0.1:80", "10.0.0.3:80"));
  EXPECT_THAT(addresses(localities[0].healthy), ElementsAre("10.0.0.1:80"));
  EXPECT_THAT(addresses(localities[1].hosts), ElementsAre("10.0.0.2:80"));
}

TEST(HostSet, OfEndpointsWithOneAddressTheFirstWins) {
  auto set = make_host_set(
      assignment({locality({endpoint("10.0.0.1", 80, 5), endpoint("10.0.0.1", 80, 9)}),
                  locality({endpoint("10.0.0.1", 80, 7)}, "b", 0, 1)}),
      nullptr);
  ASSERT_EQ(set->total(), 1u);
  EXPECT_EQ(set->priorities[0].hosts[0]->weight(), 5u);
}

TEST(HostSet, AHostThatStaysKeepsItsObjectAndTakesNewWeightHealthAndPriority) {
  auto before = make_host_set(assignment({locality({endpoint("10.0.0.1")}, "a")}), nullptr);
  auto after = make_host_set(
      assignment({locality({}, "a"),
                  locality({endpoint("10.0.0.1", 80, 4, Health::Degraded)}, "a", 0, 1)}),
      before.get());
  const HostPtr& host = after->priorities[1].hosts[0];
  EXPECT_EQ(host, before->priorities[0].hosts[0]);
  EXPECT_EQ(host->weight(), 4u);
  EXPECT_EQ(host->health(), Health::Degraded);
  EXPECT_EQ(host->priority(), 1u);
}

TEST(HostSet, AnotherLocalityMetadataOrHostnameMakesAnotherHost) {
  auto before = make_host_set(assignment({locality({endpoint("10.0.0.1")}, "a")}), nullptr);
  const HostPtr host = before->priorities[0].hosts[0];
  EndpointConfig tagged = endpoint("10.0.0.1");
  tagged.extras.edit().metadata_key = "tls";
  EndpointConfig named = endpoint("10.0.0.1");
  named.hostname = "b";
  for (const auto& changed :
       {locality({endpoint("10.0.0.1")}, "b"), locality({tagged}, "a"), locality({named}, "a")}) {
    auto after = make_host_set(assignment({changed}), before.get());
    EXPECT_NE(after->priorities[0].hosts[0], host);
    EXPECT_NE(after->priorities[0].hosts[0]->pool_key(), host->pool_key());
  }
}

TEST(HostSet, AHostSharesTheEndpointAndAsksForItsTransport) {
  ClusterConfig config;
  config.transport_matches = {{"tls", {{"mode", "tls"}}, nullptr}};
  EndpointConfig labelled = endpoint("10.0.0.1");
  labelled.extras.edit().transport_labels = {{"mode", {"tls"}}};
  const LoadAssignment endpoints = assignment({locality({labelled, endpoint("10.0.0.2")}, "a")});
  const auto set = make_host_set(endpoints, nullptr, config);
  const std::vector<HostPtr>& hosts = set->priorities[0].hosts;
  EXPECT_EQ(&hosts[0]->endpoint(), endpoints.localities[0].endpoints[0].get());
  EXPECT_EQ(&hosts[0]->locality(), &hosts[1]->locality());
  EXPECT_EQ(hosts[0]->transport(), 1u);
  EXPECT_EQ(hosts[1]->transport(), 0u);
  EXPECT_EQ(make_host_set(endpoints, set.get(), config)->priorities[0].hosts, hosts);
  config.transport_matches.clear();
  const auto plain = make_host_set(endpoints, set.get(), config);
  EXPECT_NE(plain->priorities[0].hosts[0], hosts[0]) << "it is reached otherwise";
  EXPECT_EQ(plain->priorities[0].hosts[1], hosts[1]);
}

TEST(HostSet, ALogicalHostKeepsItsPoolsWhenItsAddressChanges) {
  EndpointConfig first = endpoint("10.0.0.1");
  first.hostname = "db.example";
  EndpointConfig second = endpoint("10.0.0.2");
  second.hostname = "db.example";
  auto one = make_host_set(assignment({locality({first})}), nullptr, HostIdentity::Logical);
  auto two = make_host_set(assignment({locality({second})}), one.get(), HostIdentity::Logical);
  auto three = make_host_set(assignment({locality({first})}), two.get(), HostIdentity::Logical);
  const HostPtr a = one->priorities[0].hosts[0];
  const HostPtr b = two->priorities[0].hosts[0];
  const HostPtr c = three->priorities[0].hosts[0];
  EXPECT_EQ(b->address().to_string(), "10.0.0.2:80");
  EXPECT_EQ(b->pool_key(), a.get());
  EXPECT_EQ(c->pool_key(), a.get());
  EXPECT_EQ(c->logical(), a) << "the line is one step long, however often the address changes";
}

}  // namespace
}  // namespace remora::upstream
