#include "proxy/server/host_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/upstream/test_hosts.h"

namespace remora::server {
namespace {

using upstream::testing::assignment;
using upstream::testing::endpoint;
using upstream::testing::locality;

class HostWatchTest : public ::testing::Test {
 protected:
  const upstream::Host& host() const { return *hosts_->priorities[0].hosts[0]; }
  void look() {
    watch_.begin_look();
    watch_.look(*hosts_);
  }
  void connect(uint64_t times, uint64_t failures) {
    host().counters.cx_total += times;
    host().counters.cx_connect_fail += failures;
  }

  std::shared_ptr<const upstream::HostSet> hosts_ =
      upstream::make_host_set(assignment({locality({endpoint("10.0.0.1")})}), nullptr);
  HostWatch watch_;
};

TEST_F(HostWatchTest, WhatIsLongAgoDoesNotCount) {
  connect(100, 90);
  EXPECT_EQ(watch_.lately(host()).failed, 90u) << "all there was so far";
  look();
  EXPECT_EQ(watch_.lately(host()).failed, 90u);
  connect(4, 1);
  look();
  EXPECT_EQ(watch_.lately(host()).connections, 4u);
  EXPECT_EQ(watch_.lately(host()).failed, 1u);
  look();
  EXPECT_EQ(watch_.lately(host()).connections, 0u);
}

TEST_F(HostWatchTest, ANewHostMayBeWhereAnotherWas) {
  connect(100, 90);
  look();
  look();
  host().counters.cx_total = 3;
  host().counters.cx_connect_fail = 2;
  EXPECT_EQ(watch_.lately(host()).connections, 3u);
}

TEST(HostWords, HalfOfTheNewConnections) {
  EXPECT_EQ(failures_of({.connections = 4, .failed = 1}), "");
  EXPECT_EQ(failures_of({.connections = 1, .failed = 1}), "") << "once is chance";
  EXPECT_EQ(failures_of({.connections = 4, .failed = 2}), "2 of 4 new connections failed lately");
}

TEST(HostWords, SlowerThanItsPeers) {
  const HostCounts peers = {.answers = 100, .answer_us = 1'000'000};
  EXPECT_EQ(slowness_of({.answers = 10, .answer_us = 300'000}, peers),
            "slow, answers in 30 ms where its peers take 10 ms");
  EXPECT_EQ(slowness_of({.answers = 10, .answer_us = 190'000}, peers), "");
  EXPECT_EQ(slowness_of({.answers = 9, .answer_us = 300'000}, peers), "") << "too few to say";
  EXPECT_EQ(slowness_of({.answers = 10, .answer_us = 300'000}, {}), "") << "it has no peers";
  const HostCounts quick = {.answers = 100, .answer_us = 100'000};
  EXPECT_EQ(slowness_of({.answers = 10, .answer_us = 40'000}, quick), "") << "nobody minds 3 ms";
}

}  // namespace
}  // namespace remora::server
