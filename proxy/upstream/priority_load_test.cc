// The tables of Envoy's load-balancing documentation: priority levels, degraded endpoints, panic
// threshold.
#include "proxy/upstream/priority_load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace remora::upstream {

void PrintTo(const PriorityLoad::Share& share, std::ostream* out) {
  *out << "{healthy " << share.healthy << "%, degraded " << share.degraded << "%"
       << (share.panic ? ", panic}" : "}");
}

namespace {

using Share = PriorityLoad::Share;
using ::testing::ElementsAreArray;

struct Case {
  std::string name;
  std::vector<PriorityCounts> priorities;
  std::vector<Share> shares;
  uint32_t panic_threshold = 50;
};

class PriorityLoadTable : public ::testing::TestWithParam<Case> {};

TEST_P(PriorityLoadTable, SharesAsDocumented) {
  const Case& c = GetParam();
  const PriorityLoad load = compute_priority_load(c.priorities, 140, c.panic_threshold);
  EXPECT_THAT(load.shares, ElementsAreArray(c.shares));
}

// Counts are out of 100 hosts, so that they read as percentages.
PriorityCounts healthy(uint32_t percent) { return {100, percent, 0}; }
PriorityCounts part(uint32_t healthy, uint32_t degraded) { return {100, healthy, degraded}; }

const Case kTwoPriorities[] = {
    {"AllHealthy", {healthy(100), healthy(100)}, {{100}, {0}}},
    {"OverprovisionedUpTo72", {healthy(72), healthy(100)}, {{100}, {0}}},
    {"SpillsFrom71", {healthy(71), healthy(100)}, {{99}, {1}}},
    {"HalfHealthy", {healthy(50), healthy(100)}, {{70}, {30}}},
    {"QuarterHealthy", {healthy(25), healthy(100)}, {{35}, {65}}},
    {"FirstPriorityGone", {healthy(0), healthy(100)}, {{0}, {100}}},
    {"NotEnoughTogether", {healthy(25), healthy(25)}, {{50, 0, true}, {50, 0, true}}},
    {"OnlyOnePriority", {healthy(10)}, {{100, 0, true}}},
};
INSTANTIATE_TEST_SUITE_P(TwoPriorities, PriorityLoadTable, ::testing::ValuesIn(kTwoPriorities),
                         [](const auto& info) { return info.param.name; });

const Case kThreePriorities[] = {
    {"AllHealthy", {healthy(100), healthy(100), healthy(100)}, {{100}, {0}, {0}}},
    {"SpillsTwice", {healthy(25), healthy(25), healthy(100)}, {{35}, {35}, {30}}},
    {"SpillsOnce", {healthy(50), healthy(100), healthy(100)}, {{70}, {30}, {0}}},
    {"RoundingGoesToTheFirst",
     {healthy(25), healthy(25), healthy(20)},
     {{34, 0, true}, {33, 0, true}, {33, 0, true}}},
    {"GapIsSkipped", {healthy(50), {0, 0, 0}, healthy(100)}, {{70}, {0}, {30}}},
};
INSTANTIATE_TEST_SUITE_P(ThreePriorities, PriorityLoadTable, ::testing::ValuesIn(kThreePriorities),
                         [](const auto& info) { return info.param.name; });

const Case kDegraded[] = {
    {"HealthyFirst", {part(100, 0)}, {{100, 0}}},
    {"DegradedTakesTheRest", {part(71, 29)}, {{99, 1}}},
    {"HalfAndHalf", {part(50, 50)}, {{70, 30}}},
    {"OnlyDegraded", {part(0, 100)}, {{0, 100}}},
    {"NextPrioritysHealthyBeforeDegraded", {part(50, 50), part(20, 80)}, {{70, 2}, {28, 0}}},
    {"AllDegraded", {part(0, 50), part(0, 50)}, {{0, 70}, {0, 30}}},
};
INSTANTIATE_TEST_SUITE_P(Degraded, PriorityLoadTable, ::testing::ValuesIn(kDegraded),
                         [](const auto& info) { return info.param.name; });

const Case kPanic[] = {
    {"NoneNeeded", {healthy(72), healthy(72)}, {{100}, {0}}},
    {"NotWhileTogetherEnough", {healthy(5), healthy(100)}, {{7}, {93}}},
    {"OnePriorityAlone", {healthy(5), healthy(65)}, {{8, 0, true}, {92}}},
    {"OneIsEmpty", {healthy(0), healthy(65)}, {{0, 0, true}, {100}}},
    {"NobodyHealthy", {{30, 0, 0}, {10, 0, 0}}, {{75, 0, true}, {25, 0, true}}},
    {"DegradedCountAgainstPanic", {part(30, 30)}, {{50, 50}}},
    {"NoHostsAtAll", {{0, 0, 0}, {0, 0, 0}}, {{100, 0, true}, {0, 0, true}}},
    {"SwitchedOff", {healthy(5), healthy(5)}, {{50}, {50}}, 0},
    {"SwitchedOffAndNobodyHealthy", {healthy(0), healthy(0)}, {{100}, {0}}, 0},
};
INSTANTIATE_TEST_SUITE_P(Panic, PriorityLoadTable, ::testing::ValuesIn(kPanic),
                         [](const auto& info) { return info.param.name; });

TEST(PriorityLoad, OverprovisioningIsConfigurable) {
  const PriorityCounts counts[] = {healthy(50), healthy(100)};
  EXPECT_EQ(compute_priority_load(counts, 100, 50).shares[0].healthy, 50u);
  EXPECT_EQ(compute_priority_load(counts, 200, 50).shares[0].healthy, 100u);
}

TEST(PriorityLoad, RandomBitsChooseInProportion) {
  const PriorityCounts counts[] = {part(50, 0), part(20, 80)};
  const PriorityLoad load =
      compute_priority_load(counts, 140, 50);  // 70 and 28 healthy, 2 degraded
  int first = 0, second = 0, degraded = 0;
  for (uint64_t random = 0; random < 1000; ++random) {
    const PriorityChoice choice = choose_priority(load, random);
    if (choice.degraded) {
      ++degraded;
    } else {
      ++(choice.priority == 0 ? first : second);
    }
  }
  EXPECT_EQ(first, 700);
  EXPECT_EQ(second, 280);
  EXPECT_EQ(degraded, 20);
}

}  // namespace
}  // namespace remora::upstream
