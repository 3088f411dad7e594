// Ring hash and Maglev: shares, what moves when hosts come and go, bounds of load.
#include "proxy/upstream/hash_balancer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "proxy/upstream/hash_table.h"
#include "proxy/upstream/test_hosts.h"

namespace remora::upstream {
namespace {

using testing::assignment;
using testing::endpoint;
using testing::locality;
using testing::mixed;

class HashBalancerTest : public ::testing::TestWithParam<LbPolicy> {
 protected:
  HashBalancerTest() {
    config_.name = "test";
    config_.lb = GetParam();
    config_.hash.min_ring_size = 16384;
  }

  void over(std::vector<LocalityEndpoints> localities) {
    hosts_ = make_host_set(assignment(std::move(localities)), hosts_.get(), config_);
    const BalancerParts parts = {std::make_shared<ClusterConfig>(config_), worker_, shared_};
    balancer_ = std::make_unique<HashBalancer>(parts, hosts_);
  }
  static std::vector<EndpointConfig> hosts(int count) {
    std::vector<EndpointConfig> out;
    for (int i = 1; i <= count; ++i) out.push_back(endpoint("10.0.0." + std::to_string(i)));
    return out;
  }
  HostPtr pick(uint64_t hash, uint32_t attempt = 0) {
    PickContext context;
    context.hash = hash;
    context.attempt = attempt;
    return balancer_->pick(context);
  }
  uint64_t panics() { return shared_.stats().at(0).value(stats::ClusterStat::lb_healthy_panic); }
  std::map<std::string, int> spread(int picks) {
    std::map<std::string, int> counts;
    for (int i = 0; i < picks; ++i) ++counts[pick(worker_.random())->address().ip_string()];
    return counts;
  }
  /// Addresses by hash, for hashes that are the same in every call.
  std::vector<std::string> owners() {
    std::vector<std::string> out;
    uint64_t hash = 1;
    for (int i = 0; i < 20'000; ++i) {
      hash = hash * 6364136223846793005ull + 1442695040888963407ull;
      out.push_back(pick(hash ^ (hash >> 29))->address().to_string());
    }
    return out;
  }

  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 42};
  ClusterConfig config_;
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  ClusterShared shared_{config_, *store_};
  std::shared_ptr<const HostSet> hosts_;
  std::unique_ptr<HashBalancer> balancer_;
};

TEST_P(HashBalancerTest, AHashHasItsHost) {
  over({locality(hosts(10))});
  const auto first = owners();
  EXPECT_EQ(owners(), first);
  EXPECT_EQ(panics(), 0u);
  // However the endpoints are listed.
  std::vector<EndpointConfig> reversed = hosts(10);
  std::ranges::reverse(reversed);
  over({locality(std::move(reversed))});
  EXPECT_EQ(owners(), first);
}

TEST_P(HashBalancerTest, SharesFollowWeights) {
  auto weighted = hosts(4);
  for (uint32_t i = 0; i < 4; ++i) weighted[i].weight = i + 1;
  over({locality(std::move(weighted))});
  const auto counts = spread(100'000);
  for (uint32_t i = 1; i <= 4; ++i) {
    // A table's own unevenness is a few percent.
    EXPECT_NEAR(counts.at("10.0.0." + std::to_string(i)), 10'000 * i, 1'000 * i) << i;
  }
}

TEST_P(HashBalancerTest, LocalitiesWeighAsAWhole) {
  config_.locality_weighted = true;
  over({locality({endpoint("10.0.0.1"), endpoint("10.0.0.2")}, "a", 3),
        locality({endpoint("10.0.0.3")}, "b", 1), locality({endpoint("10.0.0.4")}, "c", 0)});
  const auto counts = spread(100'000);
  EXPECT_NEAR(counts.at("10.0.0.1"), 37'500, 3'750);
  EXPECT_NEAR(counts.at("10.0.0.2"), 37'500, 3'750);
  EXPECT_NEAR(counts.at("10.0.0.3"), 25'000, 2'500);
  EXPECT_FALSE(counts.contains("10.0.0.4"));
}

TEST_P(HashBalancerTest, OneHostLessMovesOnlyWhatItHad) {
  over({locality(hosts(10))});
  const auto before = owners();
  over({locality(hosts(9))});
  const auto after = owners();
  int lost = 0, moved = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] == "10.0.0.10:80") {
      ++lost;
    } else if (before[i] != after[i]) {
      ++moved;
    }
  }
  EXPECT_NEAR(lost, 2'000, 300);
  // Of the rest a tenth at most: the ring has the same size for fewer hosts, who have more points.
  EXPECT_LE(moved, 1'800);
}

TEST_P(HashBalancerTest, AnotherAttemptIsAnotherPlaceInTheTable) {
  over({locality(hosts(10))});
  int others = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    const uint64_t hash = worker_.random();
    others += pick(hash) != pick(hash, 1);
    EXPECT_EQ(pick(hash, 1), pick(hash, 1));
  }
  EXPECT_GT(others, 70);
}

TEST_P(HashBalancerTest, HashKeysAndNamesInsteadOfAddresses) {
  auto keyed = hosts(3);
  for (size_t i = 0; i < 3; ++i) keyed[i].extras.edit().hash_key = "pod-" + std::to_string(i);
  over({locality(keyed)});
  const auto index = [&] {
    std::vector<char> out;
    for (const std::string& owner : owners()) out.push_back(owner[owner.find(':') - 1]);
    return out;
  };
  const auto before = index();
  for (EndpointConfig& host : keyed) {
    host.address = *Address::from_ip("10.9.0." + host.address.ip_string().substr(7), 81);
  }
  over({locality(keyed)});
  EXPECT_EQ(index(), before) << "pods that moved keep their hashes";

  config_.hash.use_hostname = true;
  for (EndpointConfig& host : keyed) host.hostname = std::exchange(host.extras.edit().hash_key, "");
  over({locality(keyed)});
  EXPECT_EQ(index(), before);
}

TEST_P(HashBalancerTest, UnhealthyHostsHaveNoPlaceUntilThereIsPanic) {
  over({mixed(5, 0, 2)});
  for (const std::string& owner : owners()) {
    EXPECT_THAT(owner, ::testing::AnyOf("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80",
                                        "10.0.0.5:80"));
  }
  over({mixed(2, 0, 5)});
  EXPECT_EQ(spread(10'000).size(), 7u);
  EXPECT_EQ(panics(), 10'000u);
}

TEST_P(HashBalancerTest, PrioritiesShareByHash) {
  over({mixed(3, 0, 3, 0), mixed(3, 0, 0, 1)});  // 50% healthy: 70 of 100 stay
  int first = 0;
  for (int i = 0; i < 10'000; ++i) first += pick(worker_.random())->priority() == 0;
  EXPECT_NEAR(first, 7'000, 200);
}

TEST_P(HashBalancerTest, NobodyToChoose) {
  over({});
  EXPECT_EQ(pick(1), nullptr);
  config_.panic_threshold_percent = 0;
  over({mixed(0, 0, 3)});
  EXPECT_EQ(pick(1), nullptr);
}

TEST_P(HashBalancerTest, AHostAboveItsBoundIsPassedOver) {
  config_.hash.balance_factor_percent = 125;
  over({locality(hosts(4))});
  const HostPtr home = pick(12345);
  home->counters.rq_active = 2;
  const HostPtr other = pick(12345);
  EXPECT_NE(other, home) << "(0 + 1) * 125% over 4 hosts is one request each";
  EXPECT_EQ(pick(12345), other) << "always to the same one";
  home->counters.rq_active = 1;
  EXPECT_EQ(pick(12345), home);
  for (const HostPtr& host : hosts_->priorities[0].hosts) host->counters.rq_active = 9;
  home->counters.rq_active = 8;
  EXPECT_EQ(pick(12345), home) << "of all too busy ones the least busy";
}

TEST_P(HashBalancerTest, SaysHowLargeTheTableIs) {
  shared_.set_config(config_);
  over({locality(hosts(3))});
  shared_.on_hosts(*hosts_, nullptr);
  const HashTable& table = *hosts_->hash_tables[0];
  std::map<std::string, uint64_t> values;
  store_->scrape(
      [&values](const stats::Metric& metric) { values[std::string(metric.name)] = metric.value; });
  EXPECT_GT(table.least_entries(), 5'000u);
  EXPECT_LE(table.most_entries() - table.least_entries(), 1u);
  if (config_.lb == LbPolicy::RingHash) {
    EXPECT_EQ(values["cluster.test.ring_hash_lb.size"], table.size());
    EXPECT_EQ(values["cluster.test.ring_hash_lb.max_hashes_per_host"], table.most_entries());
    EXPECT_FALSE(values.contains("cluster.test.maglev_lb.max_entries_per_host"));
  } else {
    EXPECT_EQ(table.size(), 65537u);
    EXPECT_EQ(values["cluster.test.maglev_lb.min_entries_per_host"], table.least_entries());
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, HashBalancerTest,
                         ::testing::Values(LbPolicy::RingHash, LbPolicy::Maglev),
                         [](const auto& param) {
                           return param.param == LbPolicy::RingHash ? "Ring" : "Maglev";
                         });

TEST(RingHash, SizesAreWhatEnvoysDocumentationWorksOut) {
  ClusterConfig config;
  config.lb = LbPolicy::RingHash;
  config.hash.min_ring_size = 1;
  config.hash.max_ring_size = 6;
  std::vector<EndpointConfig> four;
  for (int i = 1; i <= 4; ++i) four.push_back(endpoint("10.0.0." + std::to_string(i)));
  const auto hosts = make_host_set(assignment({locality(four)}), nullptr, config);
  EXPECT_EQ(hosts->hash_tables[0]->size(), 4u) << "a whole number for each";
  config.hash.min_ring_size = 6;
  const auto bounded = make_host_set(assignment({locality(four)}), nullptr, config);
  EXPECT_EQ(bounded->hash_tables[0]->size(), 6u);
  EXPECT_EQ(bounded->hash_tables[0]->least_entries(), 1u);
  EXPECT_EQ(bounded->hash_tables[0]->most_entries(), 2u);
}

TEST(RingHash, MurmurIsThatOfTheStandardLibrary) {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(murmur_hash2(text), std::hash<std::string>()(text)) << text;
    text += static_cast<char>('a' + i % 26);
  }
}

}  // namespace
}  // namespace remora::upstream
