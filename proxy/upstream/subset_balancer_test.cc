// Subsets of hosts by metadata: who is in which, and where requests go that ask for none of them.
#include "proxy/upstream/subset_balancer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/test_hosts.h"

namespace remora::upstream {
namespace {

using stats::ClusterMainStat;
using stats::ClusterStat;
using testing::assignment;
using ::testing::ElementsAre;
using testing::endpoint;
using ::testing::IsEmpty;
using testing::locality;

using Hosts = std::set<std::string>;

EndpointConfig labelled(const std::string& ip, MetadataStruct labels,
                        Health health = Health::Healthy) {
  EndpointConfig out = endpoint(ip, 80, 1, health);
  EndpointExtras& extras = out.extras.edit();
  extras.metadata_key = ip;
  append_json(labels, extras.metadata_key);
  extras.labels = std::make_shared<const HostLabels>(HostLabels{std::move(labels)});
  return out;
}

SubsetSelector selector(std::vector<std::string> keys) {
  SubsetSelector out;
  out.keys = std::move(keys);
  return out;
}

class SubsetBalancerTest : public ::testing::Test {
 protected:
  SubsetBalancerTest() { subsets_.selectors = {selector({"version"})}; }

  void over(std::vector<LocalityEndpoints> localities) {
    BalancingConfig balancing;
    balancing.subsets = std::make_shared<SubsetConfig>(subsets_);
    config_.balancing = std::make_shared<BalancingConfig>(std::move(balancing));
    const auto previous = hosts_;
    hosts_ = make_host_set(assignment(std::move(localities)), previous.get(), config_);
    shared_.on_hosts(*hosts_, previous.get());
    balancer_ = make_balancer({std::make_shared<ClusterConfig>(config_), worker_, shared_}, hosts_);
  }
  /// Two of version 1, one of version 2, one of none.
  void over_versions() {
    over({locality({labelled("10.0.0.1", {{"version", "1"}, {"stage", "dev"}}),
                    labelled("10.0.0.2", {{"version", "1"}, {"stage", "prod"}}),
                    labelled("10.0.0.3", {{"version", "2"}, {"stage", "prod"}}),
                    endpoint("10.0.0.4")})});
  }

  /// Who is chosen by many that ask for `wanted`.
  Hosts ask(MetadataStruct wanted) {
    const MetadataCriteria criteria(std::move(wanted));
    PickContext context;
    context.metadata = &criteria;
    return pick(context);
  }
  Hosts pick(const PickContext& context) {
    Hosts out;
    for (int i = 0; i < 20; ++i) {
      if (const HostPtr host = balancer_->pick(context)) out.insert(host->address().ip_string());
    }
    return out;
  }
  uint64_t stat(ClusterStat which) { return shared_.stats().at(0).value(which); }

  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 42};
  ClusterConfig config_;
  SubsetConfig subsets_;
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  ClusterShared shared_{config_, *store_};
  std::shared_ptr<const HostSet> hosts_;
  std::unique_ptr<Balancer> balancer_;
};

TEST_F(SubsetBalancerTest, ARequestGoesToHostsThatHaveWhatItAsksFor) {
  over_versions();
  EXPECT_THAT(ask({{"version", "1"}}), ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_THAT(ask({{"version", "2"}}), ElementsAre("10.0.0.3"));
  EXPECT_EQ(stat(ClusterStat::lb_subsets_selected), 40u);
  EXPECT_THAT(ask({{"version", "3"}}), IsEmpty());
  EXPECT_THAT(ask({{"version", 1.0}}), IsEmpty()) << "a number is no text";
  EXPECT_THAT(ask({{"version", "1"}, {"stage", "dev"}}), IsEmpty()) << "no selector has both";
  EXPECT_THAT(ask({}), IsEmpty());
  EXPECT_THAT(pick({}), IsEmpty());
  EXPECT_EQ(stat(ClusterStat::lb_subsets_selected), 40u);
}

TEST_F(SubsetBalancerTest, SeveralKeysAndSeveralSelectors) {
  subsets_.selectors = {selector({"stage", "version"}), selector({"stage"})};
  over_versions();
  EXPECT_THAT(ask({{"version", "1"}, {"stage", "prod"}}), ElementsAre("10.0.0.2"));
  EXPECT_THAT(ask({{"stage", "prod"}}), ElementsAre("10.0.0.2", "10.0.0.3"));
}

TEST_F(SubsetBalancerTest, FallsBackToAnyHost) {
  subsets_.fallback = SubsetFallback::AnyHost;
  over_versions();
  EXPECT_EQ(ask({{"version", "3"}}).size(), 4u);
  EXPECT_EQ(pick({}).size(), 4u);
  EXPECT_EQ(stat(ClusterStat::lb_subsets_fallback), 40u);
}

TEST_F(SubsetBalancerTest, FallsBackToTheDefaultSubset) {
  subsets_.fallback = SubsetFallback::DefaultSubset;
  subsets_.default_subset = {{"stage", "prod"}};
  over_versions();
  EXPECT_THAT(ask({{"version", "3"}}), ElementsAre("10.0.0.2", "10.0.0.3"));
  subsets_.default_subset = {{"stage", "none"}};
  over_versions();
  EXPECT_THAT(ask({{"version", "3"}}), IsEmpty());
  subsets_.panic_mode_any = true;
  over_versions();
  EXPECT_EQ(ask({{"version", "3"}}).size(), 4u);
  EXPECT_EQ(stat(ClusterStat::lb_subsets_fallback), 20u);
  EXPECT_EQ(stat(ClusterStat::lb_subsets_fallback_panic), 20u);
}

TEST_F(SubsetBalancerTest, ASelectorHasAFallbackOfItsOwn) {
  subsets_.fallback = SubsetFallback::AnyHost;
  subsets_.default_subset = {{"stage", "prod"}};
  subsets_.selectors = {selector({"stage", "version"}), selector({"stage"}), selector({"version"})};
  subsets_.selectors[0].fallback = SubsetSelector::Fallback::FewerKeys;
  subsets_.selectors[0].fallback_keys = {"stage"};
  subsets_.selectors[1].fallback = SubsetSelector::Fallback::DefaultSubset;
  subsets_.selectors[2].fallback = SubsetSelector::Fallback::None;
  over_versions();
  EXPECT_THAT(ask({{"stage", "dev"}, {"version", "9"}}), ElementsAre("10.0.0.1"));
  EXPECT_THAT(ask({{"stage", "none"}, {"version", "9"}}), ElementsAre("10.0.0.2", "10.0.0.3"));
  EXPECT_THAT(ask({{"version", "9"}}), IsEmpty());
  EXPECT_EQ(ask({{"other", "x"}}).size(), 4u) << "as the cluster says";
}

TEST_F(SubsetBalancerTest, ListsCountAsEachOfTheirElements) {
  subsets_.list_as_any = true;
  subsets_.fallback = SubsetFallback::DefaultSubset;
  subsets_.default_subset = {{"version", "2"}};
  over({locality({labelled("10.0.0.1", {{"version", MetadataList{"1", "2", "1"}}}),
                  labelled("10.0.0.2", {{"version", "2"}})})});
  EXPECT_THAT(ask({{"version", "1"}}), ElementsAre("10.0.0.1"));
  EXPECT_THAT(ask({{"version", "2"}}), ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_THAT(ask({{"version", "9"}}), ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_EQ(
      hosts_->subsets->find(MetadataCriteria(MetadataStruct{{"version", "1"}}))->hosts->total(),
      1u);
  subsets_.list_as_any = false;
  over({locality({labelled("10.0.0.1", {{"version", MetadataList{"1", "2"}}})})});
  EXPECT_THAT(ask({{"version", MetadataList{"1", "2"}}}), ElementsAre("10.0.0.1"));
}

TEST_F(SubsetBalancerTest, AlternativesAreTriedInTurn) {
  subsets_.tries_fallback_list = true;
  over_versions();
  const MetadataList list = {MetadataStruct{{"version", "9"}}, MetadataStruct{{"version", "2"}}};
  EXPECT_THAT(ask({{"version", "1"}, {"fallback_list", list}}), ElementsAre("10.0.0.3"));
  EXPECT_THAT(ask({{"version", "1"}, {"fallback_list", MetadataList{}}}),
              ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_THAT(ask({{"version", "1"}}), ElementsAre("10.0.0.1", "10.0.0.2"));
  subsets_.tries_fallback_list = false;
  over_versions();
  EXPECT_THAT(ask({{"version", "1"}, {"fallback_list", list}}), IsEmpty());
}

TEST_F(SubsetBalancerTest, OneHostMayBeASubset) {
  subsets_.selectors[0].single_host = true;
  over_versions();
  EXPECT_THAT(ask({{"version", "1"}}), ElementsAre("10.0.0.1"));
  EXPECT_THAT(ask({{"version", "2"}}), ElementsAre("10.0.0.3"));
  EXPECT_EQ(hosts_->subsets->duplicates(), 1u);
}

TEST_F(SubsetBalancerTest, HealthAndPanicAreThoseOfTheSubset) {
  over({locality({labelled("10.0.0.1", {{"version", "1"}}, Health::Unhealthy),
                  labelled("10.0.0.2", {{"version", "1"}}),
                  labelled("10.0.0.3", {{"version", "2"}}, Health::Unhealthy),
                  labelled("10.0.0.4", {{"version", "2"}}, Health::Unhealthy)})});
  EXPECT_THAT(ask({{"version", "1"}}), ElementsAre("10.0.0.2"));
  EXPECT_EQ(stat(ClusterStat::lb_healthy_panic), 0u);
  EXPECT_THAT(ask({{"version", "2"}}), ElementsAre("10.0.0.3", "10.0.0.4"));
  EXPECT_EQ(stat(ClusterStat::lb_healthy_panic), 20u);
}

TEST_F(SubsetBalancerTest, PrioritiesAreThoseOfTheSubset) {
  over({locality({labelled("10.0.0.1", {{"version", "1"}})}),
        locality({labelled("10.0.0.2", {{"version", "2"}})}, "", 0, 1)});
  EXPECT_THAT(ask({{"version", "1"}}), ElementsAre("10.0.0.1"));
  EXPECT_THAT(ask({{"version", "2"}}), ElementsAre("10.0.0.2"));
}

TEST_F(SubsetBalancerTest, LocalitiesWeighAsConfigured) {
  config_.locality_weighted = true;
  std::vector<LocalityEndpoints> zones = {
      locality({labelled("10.0.0.1", {{"version", "1"}}), labelled("10.0.0.2", {{"version", "2"}}),
                labelled("10.0.0.3", {{"version", "2"}}), labelled("10.0.0.4", {{"version", "2"}})},
               "x", 300),
      locality({labelled("10.0.0.5", {{"version", "1"}})}, "y", 100)};
  const auto weights = [&] {
    over(zones);
    const auto* subset = hosts_->subsets->find(MetadataCriteria(MetadataStruct{{"version", "1"}}));
    std::vector<uint32_t> out;
    for (const LocalityHosts& part : subset->hosts->priorities[0].localities) {
      out.push_back(part.weight);
    }
    return out;
  };
  EXPECT_THAT(weights(), ElementsAre(0u, 0u));
  subsets_.locality_weight_aware = true;
  EXPECT_THAT(weights(), ElementsAre(300u, 100u));
  subsets_.scale_locality_weight = true;
  EXPECT_THAT(weights(), ElementsAre(75u, 100u));
}

TEST_F(SubsetBalancerTest, ChoosesByHashWithinTheSubset) {
  config_.lb = LbPolicy::Maglev;
  over_versions();
  const MetadataCriteria criteria(MetadataStruct{{"version", "1"}});
  PickContext context;
  context.metadata = &criteria;
  Hosts seen;
  for (uint64_t hash = 0; hash < 100; ++hash) {
    context.hash = hash * 0x9E3779B97F4A7C15ull;
    const HostPtr host = balancer_->pick(context);
    EXPECT_EQ(balancer_->pick(context), host);
    seen.insert(host->address().ip_string());
  }
  EXPECT_THAT(seen, ElementsAre("10.0.0.1", "10.0.0.2"));
}

TEST_F(SubsetBalancerTest, WhatAWholeMachineRunsIsSortedQuickly) {
  subsets_.selectors = {selector({"id"}), selector({"id", "version"})};
  std::vector<EndpointConfig> many;
  for (int i = 0; i < 4'000; ++i) {
    const std::string ip = "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    many.push_back(labelled(ip, {{"id", std::to_string(i)}, {"version", "1"}}));
  }
  over({locality(std::move(many))});
  EXPECT_EQ(hosts_->subsets->size(), 8'000u);
  EXPECT_THAT(ask({{"id", "777"}, {"version", "1"}}), ElementsAre("10.1.3.27"));
}

}  // namespace
}  // namespace remora::upstream
