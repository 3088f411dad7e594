#include "proxy/upstream/outlier_detector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "proxy/stats/store.h"
#include "proxy/upstream/test_hosts.h"

namespace remora::upstream {
namespace {

using testing::assignment;
using ::testing::ElementsAre;
using testing::endpoint;
using ::testing::IsEmpty;
using testing::locality;

class OutlierDetectorTest : public ::testing::Test, private OutlierSink {
 protected:
  OutlierDetectorTest() { config_.max_ejection_percent = 100; }

  /// A cluster of so many hosts, judged by `config_`.
  void start(int hosts) {
    for (int i = 0; i < hosts; ++i) endpoints_.push_back(endpoint("10.0.0." + std::to_string(i)));
    remake();
    OutlierDetector::Hooks hooks;
    hooks.on_changed = [this] {
      ++changes_;
      remake();
      detector_->set_hosts(*hosts_);
    };
    hooks.on_event = [this](const Host& host, const OutlierEvent& event) {
      events_.emplace_back(host.address().ip_string(), event);
    };
    hooks.random = [this] { return random_; };
    detector_ = std::make_unique<OutlierDetector>("c", config_, wheel_, group_, 1,
                                                  static_cast<OutlierSink&>(*this), hooks);
    detector_->set_hosts(*hosts_);
  }
  void remake() { hosts_ = make_host_set(assignment({locality(endpoints_)}), hosts_.get()); }
  const HostPtr& host(int i) { return hosts_->priorities[0].hosts[static_cast<size_t>(i)]; }
  void answers(int i, uint16_t status, int times) {
    for (int n = 0; n < times; ++n) host(i)->monitor()->on_response(host(i), status);
  }
  void pass(uint64_t ms) {
    time_.now_ms += ms;
    wheel_.advance();
  }
  std::vector<int> ejected() {
    std::vector<int> out;
    for (size_t i = 0; i < hosts_->priorities[0].hosts.size(); ++i) {
      if (host(static_cast<int>(i))->ejected()) out.push_back(static_cast<int>(i));
    }
    EXPECT_EQ(hosts_->healthy_total(), hosts_->total() - out.size());
    EXPECT_EQ(stat(Stat::ejections_active), out.size());
    return out;
  }
  using Stat = stats::OutlierStat;
  uint64_t stat(Stat which) { return group_->at(1).value(which); }

  TurnTime time_;
  TimerWheel wheel_{time_};
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  std::shared_ptr<stats::Group<stats::OutlierSchema>> group_ =
      store_->group<stats::OutlierSchema>("cluster.c.outlier_detection");
  OutlierConfig config_;
  std::vector<EndpointConfig> endpoints_;
  std::shared_ptr<const HostSet> hosts_;
  std::unique_ptr<OutlierDetector> detector_;
  std::vector<Ejection> heard_;
  std::vector<std::pair<std::string, OutlierEvent>> events_;
  uint64_t random_ = 0;
  int changes_ = 0;

 private:
  void on_outlier(const std::string& cluster, HostPtr host, Ejection why) override {
    EXPECT_EQ(cluster, "c");
    heard_.push_back(why);
    detector_->on_outlier(*host, why);
  }
};

// --- in a row ---

TEST_F(OutlierDetectorTest, FiveErrorsInARow) {
  start(3);
  answers(1, 500, 4);
  answers(1, 404, 1);
  answers(1, 500, 4);
  EXPECT_THAT(ejected(), IsEmpty());
  answers(1, 500, 1);
  EXPECT_THAT(ejected(), ElementsAre(1));
  EXPECT_THAT(heard_, ElementsAre(Ejection::Consecutive5xx));
  EXPECT_EQ(changes_, 1);
  answers(1, 500, 20);
  EXPECT_EQ(stat(Stat::ejections_enforced_total), 1u) << "it is out already";
  EXPECT_EQ(stat(Stat::ejections_detected_consecutive_5xx), 1u);
  EXPECT_EQ(stat(Stat::ejections_enforced_consecutive_5xx), 1u);
  EXPECT_EQ(stat(Stat::ejections_total), 1u);
}

TEST_F(OutlierDetectorTest, GatewayFailuresAreNoticedAndByDefaultNotEnforced) {
  config_.consecutive_5xx = 100;
  config_.consecutive_gateway_failure = 3;
  start(3);
  answers(0, 503, 2);
  answers(0, 500, 1);
  answers(0, 502, 2);
  EXPECT_EQ(stat(Stat::ejections_detected_consecutive_gateway_failure), 0u);
  answers(0, 504, 1);
  EXPECT_EQ(stat(Stat::ejections_detected_consecutive_gateway_failure), 1u);
  EXPECT_THAT(ejected(), IsEmpty());
  answers(0, 504, 3);
  EXPECT_EQ(stat(Stat::ejections_detected_consecutive_gateway_failure), 2u)
      << "noticed anew after as many again";
}

TEST_F(OutlierDetectorTest, FailuresToReachAHostCountAsItsErrorsUnlessTheyAreSplit) {
  start(3);
  for (int i = 0; i < 5; ++i) host(0)->monitor()->on_local_failure(host(0), 503);
  EXPECT_THAT(ejected(), ElementsAre(0));
  EXPECT_EQ(heard_.back(), Ejection::Consecutive5xx);
}

TEST_F(OutlierDetectorTest, SplitFailuresToReachAHostAreJudgedApart) {
  config_.split_local_origin = true;
  config_.consecutive_local_origin_failure = 2;
  start(3);
  OutlierMonitor& monitor = *host(2)->monitor();
  monitor.on_local_failure(host(2), 503);
  monitor.on_connected(host(2), false);
  answers(2, 500, 4);
  monitor.on_local_failure(host(2), 503);
  EXPECT_THAT(ejected(), IsEmpty());
  monitor.on_local_failure(host(2), 504);
  EXPECT_THAT(ejected(), ElementsAre(2));
  EXPECT_THAT(heard_, ElementsAre(Ejection::ConsecutiveLocalOriginFailure));
  EXPECT_EQ(stat(Stat::ejections_enforced_consecutive_local_origin_failure), 1u);
  EXPECT_EQ(stat(Stat::ejections_total), 0u) << "an old counter that knows only some reasons";
}

TEST_F(OutlierDetectorTest, AConnectionEndsARowWhereNoAnswersFollow) {
  start(2);
  for (int i = 0; i < 4; ++i) host(0)->monitor()->on_local_failure(host(0), 503);
  host(0)->monitor()->on_connected(host(0), true);
  host(0)->monitor()->on_local_failure(host(0), 503);
  EXPECT_THAT(ejected(), IsEmpty());
}

TEST_F(OutlierDetectorTest, EnforcedInSoManyOfAHundredCases) {
  config_.enforcing_percent[static_cast<size_t>(Ejection::Consecutive5xx)] = 30;
  start(2);
  random_ = 130;
  answers(0, 500, 5);
  EXPECT_THAT(ejected(), IsEmpty());
  random_ = 129;
  answers(0, 500, 5);
  EXPECT_THAT(ejected(), ElementsAre(0));
}

// --- how many, how long ---

TEST_F(OutlierDetectorTest, NoMoreThanTheAllowedPart) {
  config_.max_ejection_percent = 50;
  start(4);
  for (int i = 0; i < 4; ++i) answers(i, 500, 5);
  EXPECT_THAT(ejected(), ElementsAre(0, 1));
  EXPECT_EQ(stat(Stat::ejections_overflow), 2u);
  EXPECT_EQ(stat(Stat::ejections_detected_consecutive_5xx), 4u);
}

TEST_F(OutlierDetectorTest, NoneUnlessOneIsAlwaysAllowed) {
  config_.max_ejection_percent = 0;
  start(4);
  answers(0, 500, 5);
  EXPECT_THAT(ejected(), IsEmpty());
  OutlierConfig one = config_;
  one.always_eject_one = true;
  config_ = one;
  detector_.reset();
  endpoints_.clear();
  start(4);
  for (int i = 0; i < 4; ++i) answers(i, 500, 5);
  EXPECT_THAT(ejected(), ElementsAre(0));
}

TEST_F(OutlierDetectorTest, AnEjectionLastsLongerEveryTimeAndIsForgiven) {
  config_.interval_ms = 10'000;
  config_.base_ejection_ms = 20'000;
  config_.max_ejection_ms = 50'000;
  start(2);
  const auto lasts = [&] {
    answers(0, 500, 5);
    uint64_t waited = 0;
    while (host(0)->ejected() && waited < 200'000) {
      pass(10'000);
      waited += 10'000;
    }
    return waited;
  };
  EXPECT_EQ(lasts(), 20'000u);
  EXPECT_EQ(lasts(), 40'000u);
  EXPECT_EQ(lasts(), 50'000u) << "the most";
  EXPECT_EQ(lasts(), 50'000u);
  EXPECT_THAT(ejected(), IsEmpty());
  for (int i = 0; i < 4; ++i) pass(10'000);
  EXPECT_EQ(lasts(), 20'000u) << "good intervals make up for earlier ejections";
}

TEST_F(OutlierDetectorTest, JitterIsAddedToAnEjection) {
  config_.base_ejection_ms = 10'000;
  config_.max_jitter_ms = 9'999;
  start(2);
  random_ = 9'050;
  config_.enforcing_percent[0] = 100;
  answers(0, 500, 5);
  pass(10'000);
  EXPECT_TRUE(host(0)->ejected());
  pass(10'000);
  EXPECT_FALSE(host(0)->ejected());
}

TEST_F(OutlierDetectorTest, OneThatCameBackEarlyIsForgivenAfterAnInterval) {
  config_.base_ejection_ms = 20'000;
  start(2);
  answers(0, 500, 5);
  pass(5'000);
  EXPECT_TRUE(detector_->on_check_passed(*host(0)));
  pass(5'000);
  EXPECT_EQ(host(0)->monitor()->record.back_off, 1u);
  pass(10'000);
  EXPECT_EQ(host(0)->monitor()->record.back_off, 0u);
}

TEST_F(OutlierDetectorTest, EventsTellWhatWasNoticedAndDone) {
  config_.base_ejection_ms = 10'000;
  config_.enforcing_percent[static_cast<size_t>(Ejection::Consecutive5xx)] = 50;
  start(2);
  random_ = 50;
  answers(0, 500, 5);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].first, "10.0.0.0");
  EXPECT_TRUE(events_[0].second.ejects);
  EXPECT_FALSE(events_[0].second.enforced);
  EXPECT_EQ(events_[0].second.ejections, 0u);
  random_ = 49;
  answers(0, 500, 5);
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_TRUE(events_[1].second.enforced);
  EXPECT_EQ(events_[1].second.ejections, 1u);
  EXPECT_FALSE(events_[1].second.since_other_ms);
  pass(10'000);
  ASSERT_EQ(events_.size(), 3u);
  EXPECT_FALSE(events_[2].second.ejects);
  EXPECT_EQ(events_[2].second.since_other_ms, 10'000u);
  pass(3'000);
  answers(0, 500, 5);
  ASSERT_EQ(events_.size(), 4u);
  EXPECT_EQ(events_[3].second.since_other_ms, 3'000u);
}

// --- by rates ---

TEST_F(OutlierDetectorTest, ASuccessRateFarBelowTheOthers) {
  start(5);
  for (int i = 0; i < 4; ++i) answers(i, 200, 100);
  for (int n = 0; n < 50; ++n) {
    answers(4, 500, 1);
    answers(4, 200, 1);
  }
  pass(10'000);  // mean 90, deviation 20: below 52
  EXPECT_THAT(ejected(), ElementsAre(4));
  EXPECT_EQ(stat(Stat::ejections_detected_success_rate), 1u);
  EXPECT_EQ(stat(Stat::ejections_enforced_success_rate), 1u);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].second.why, Ejection::SuccessRate);
  EXPECT_EQ(events_[0].second.rate, 50);
  EXPECT_EQ(events_[0].second.average, 90);
  EXPECT_EQ(events_[0].second.threshold, 52);
  EXPECT_EQ(host(4)->monitor()->record.success_rate, 50);
  EXPECT_EQ(host(0)->monitor()->record.success_rate, 100);
  pass(10'000);
  EXPECT_EQ(host(0)->monitor()->record.success_rate, -1) << "of the last interval only";
}

TEST_F(OutlierDetectorTest, TooFewHostsOrRequestsSayNothing) {
  start(5);
  for (int i = 0; i < 4; ++i) answers(i, 200, 99);
  answers(4, 404, 100);
  for (int n = 0; n < 100; ++n) {
    answers(4, 500, 1);
    answers(4, 200, 1);
  }
  pass(10'000);
  EXPECT_THAT(ejected(), IsEmpty());
  EXPECT_EQ(stat(Stat::ejections_detected_success_rate), 0u);
}

TEST_F(OutlierDetectorTest, APercentageOfFailures) {
  config_.consecutive_5xx = 1000;
  config_.enforcing_percent[static_cast<size_t>(Ejection::FailurePercentage)] = 100;
  config_.enforcing_percent[static_cast<size_t>(Ejection::SuccessRate)] = 0;
  config_.max_ejection_percent = 100;
  start(5);
  for (int i = 0; i < 5; ++i) {
    answers(i, 500, i < 2 ? 85 : 84);
    answers(i, 200, i < 2 ? 15 : 16);
  }
  pass(10'000);
  EXPECT_THAT(ejected(), ElementsAre(0, 1));
  EXPECT_EQ(stat(Stat::ejections_enforced_failure_percentage), 2u);
}

TEST_F(OutlierDetectorTest, RatesOfReachingHostsWhenTheyAreSplit) {
  config_.split_local_origin = true;
  config_.consecutive_local_origin_failure = 1000;
  start(5);
  for (int i = 0; i < 5; ++i) {
    for (int n = 0; n < 100; ++n) {
      if (i == 3) {
        host(i)->monitor()->on_local_failure(host(i), 503);
      } else {
        host(i)->monitor()->on_connected(host(i), false);
      }
    }
  }
  pass(10'000);
  EXPECT_THAT(ejected(), ElementsAre(3));
  EXPECT_EQ(stat(Stat::ejections_enforced_local_origin_success_rate), 1u);
  EXPECT_EQ(stat(Stat::ejections_detected_local_origin_failure_percentage), 0u)
      << "one that is out is not judged again";
  EXPECT_EQ(host(3)->monitor()->record.local_success_rate, 0);
  EXPECT_EQ(host(3)->monitor()->record.success_rate, -1);
}

// --- hosts that come and go ---

TEST_F(OutlierDetectorTest, AnEjectionOutlivesUpdatesAndConfigurations) {
  start(3);
  answers(2, 500, 5);
  endpoints_.erase(endpoints_.begin());
  remake();
  detector_->set_hosts(*hosts_);
  EXPECT_THAT(ejected(), ElementsAre(1));
  const HostPtr vanished = host(1);
  endpoints_.pop_back();
  remake();
  detector_->set_hosts(*hosts_);
  EXPECT_THAT(ejected(), IsEmpty());
  vanished->monitor()->on_response(vanished, 500);  // a request that was in flight
  detector_->on_outlier(*vanished, Ejection::Consecutive5xx);
  EXPECT_EQ(stat(Stat::ejections_detected_consecutive_5xx), 1u);
}

TEST_F(OutlierDetectorTest, WithoutADetectorEverybodyMayBeChosen) {
  start(3);
  answers(0, 500, 5);
  OutlierDetector::release_all(*hosts_);
  detector_.reset();
  remake();
  EXPECT_THAT(ejected(), IsEmpty());
}

}  // namespace
}  // namespace remora::upstream
