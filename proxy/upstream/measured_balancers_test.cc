// Balancers that go by what hosts report or how fast they answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <map>

#include "proxy/base/base64.h"
#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/list_balancer.h"
#include "proxy/upstream/peak_ewma.h"
#include "proxy/upstream/reported_weights.h"
#include "proxy/upstream/test_hosts.h"

namespace remora::upstream {
namespace {

using testing::assignment;
using ::testing::DoubleNear;
using testing::endpoint;
using testing::locality;

using Counts = std::map<std::string, int>;

Host some_host() {
  return Host(std::make_shared<const EndpointConfig>(endpoint("10.0.0.1")), nullptr, 0);
}

class MeasuredBalancersTest : public ::testing::Test {
 protected:
  MeasuredBalancersTest() { advance(1000); }

  ListBalancer& over(int count) {
    std::vector<EndpointConfig> endpoints;
    for (int i = 0; i < count; ++i)
      endpoints.push_back(endpoint("10.0.0." + std::to_string(i + 1)));
    hosts_ = make_host_set(assignment({locality(std::move(endpoints))}), hosts_.get());
    config_.balancing = std::make_shared<BalancingConfig>(balancing_);
    const BalancerParts parts = {std::make_shared<ClusterConfig>(config_), worker_, shared_};
    balancer_ = std::make_unique<ListBalancer>(parts, hosts_);
    return *balancer_;
  }

  const Host& host(size_t index) const { return *hosts_->priorities[0].hosts[index]; }

  void advance(uint64_t ms) {
    auto& time = const_cast<TurnTime&>(loop_.time());
    time.now_ms += ms;
    time.now_us += ms * 1000;
    loop_.timers().advance();
  }

  MonotonicMs now() const { return loop_.time().now_ms; }

  Counts pick(int times) {
    Counts counts;
    for (int i = 0; i < times; ++i) ++counts[balancer_->pick({})->address().ip_string()];
    return counts;
  }

  bool report(const Host& host, std::string_view header, std::string_view value) {
    Arena arena(loop_.blocks());
    http::HeaderMap headers(arena);
    headers.add(header, value);
    return note_load_report(host, headers, reports_, loop_.time().now_ms);
  }
  bool report(const Host& host, std::string_view value) {
    return report(host, "endpoint-load-metrics", value);
  }

  std::optional<uint32_t> weight_of(std::string_view header, std::string_view value) {
    Arena arena(loop_.blocks());
    http::HeaderMap headers(arena);
    headers.add(header, value);
    const auto read = read_load_report(headers, reports_.metrics);
    return read ? weight_by_report(*read, reports_.error_penalty) : std::nullopt;
  }
  std::optional<uint32_t> weight_of(std::string_view value) {
    return weight_of("endpoint-load-metrics", value);
  }

  void use_reports() {
    balancing_.reported_weights = std::make_shared<ReportedWeightsConfig>(reports_);
  }

  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 42};
  ClusterConfig config_;
  BalancingConfig balancing_;
  ReportedWeightsConfig reports_;
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  ClusterShared shared_{config_, *store_};
  std::shared_ptr<const HostSet> hosts_;
  std::unique_ptr<ListBalancer> balancer_;
};

// --- reports ---

std::string wire_double(int field, double value) {
  std::string out(1, static_cast<char>(field << 3 | 1));
  const auto bits = std::bit_cast<uint64_t>(value);
  for (int i = 0; i < 8; ++i) out += static_cast<char>(bits >> (8 * i));
  return out;
}

std::string wire_entry(int field, const std::string& key, double value) {
  const std::string entry =
      "\x0a" + std::string(1, static_cast<char>(key.size())) + key + wire_double(2, value);
  return std::string(1, static_cast<char>(field << 3 | 2)) +
         std::string(1, static_cast<char>(entry.size())) + entry;
}

TEST_F(MeasuredBalancersTest, ReportsComeInThreeForms) {
  EXPECT_EQ(weight_of("TEXT cpu_utilization:0.5,rps_fractional:100"), 200u);
  EXPECT_EQ(weight_of("TEXT  rps_fractional: 1e2 , ,application_utilization:0.25"), 400u);
  EXPECT_EQ(weight_of("JSON {\"cpuUtilization\": 0.5, \"rps_fractional\": \"100\", \"rps\": 3}"),
            200u);
  const std::string wire = wire_double(1, 0.5) + wire_double(6, 100) + "\x18\x05";
  EXPECT_EQ(weight_of("BIN " + encode_base64(wire)), 200u);
  EXPECT_EQ(weight_of("endpoint-load-metrics-bin", encode_base64(wire)), 200u);
  std::string unpadded = encode_base64(wire_double(1, 0.5) + wire_double(6, 100));
  while (unpadded.ends_with('=')) unpadded.pop_back();
  EXPECT_EQ(weight_of("endpoint-load-metrics-bin", unpadded), 200u) << "as gRPC writes it";
}

TEST_F(MeasuredBalancersTest, WhatMakesNoSenseIsNoReport) {
  for (const char* value : {"",
                            "TEXT",
                            "TEXT cpu_utilization",
                            "TEXT cpu_utilization:",
                            "TEXT cpu_utilization:x",
                            "TEXT cpu_utilization:nan",
                            "TEXT cpu_utilization:inf",
                            "TEXT mood:1",
                            "TEXT named_metrics.:1",
                            "TEXT eps:1,eps:1",
                            "TEXT named_metrics.a:1,named_metrics.a:1",
                            "JSON",
                            "JSON []",
                            "JSON {",
                            "JSON {\"eps\": true}",
                            "JSON {\"new\": 1}",
                            "JSON {\"named_metrics\": 1}",
                            "BIN",
                            "BIN ",
                            "BIN ####",
                            "BIN CQ==",
                            "XML <a/>",
                            "text eps:1"}) {
    EXPECT_FALSE(report(some_host(), value)) << value;
  }
  for (const std::string& wire :
       {std::string("\x09"), std::string("\x42\x7f"), std::string("\x0b"),
        std::string("\x00\x01", 2), std::string(12, '\xff'), std::string("\x42\x02\x09\x01")}) {
    EXPECT_FALSE(report(some_host(), "BIN " + encode_base64(wire)));
  }
}

TEST_F(MeasuredBalancersTest, AReportThatTellsNothingHasNoWeight) {
  EXPECT_TRUE(report(some_host(), "TEXT cpu_utilization:0.5"));
  EXPECT_EQ(weight_of("TEXT cpu_utilization:0.5"), std::nullopt);
  EXPECT_EQ(weight_of("TEXT rps_fractional:5"), std::nullopt);
  EXPECT_EQ(weight_of("TEXT rps_fractional:-5,cpu_utilization:-1"), std::nullopt);
  EXPECT_EQ(weight_of("TEXT rps_fractional:1e300,cpu_utilization:1e-300"), UINT32_MAX);
  EXPECT_EQ(weight_of("TEXT rps_fractional:0.1,cpu_utilization:1"), 0u);
}

TEST_F(MeasuredBalancersTest, ErrorsAndChosenMetricsCount) {
  EXPECT_EQ(weight_of("TEXT rps_fractional:100,eps:50,cpu_utilization:0.5"), 200u);
  reports_.error_penalty = 1;
  EXPECT_EQ(weight_of("TEXT rps_fractional:100,eps:50,cpu_utilization:0.5"), 100u);
  reports_.error_penalty = 3;
  EXPECT_EQ(weight_of("TEXT rps_fractional:100,eps:50,cpu_utilization:0.5"), 50u);
  reports_.metrics = {"named_metrics.queue", "utilization.*", "mem_utilization"};
  EXPECT_EQ(weight_of("TEXT rps_fractional:100,cpu_utilization:0.5,application_utilization:0.2,"
                      "named_metrics.queue:0.8,named_metrics.other:0.9"),
            125u);
  EXPECT_EQ(weight_of("TEXT rps_fractional:100,mem_utilization:1,named_metrics.queue:0.8"), 100u);
  EXPECT_EQ(weight_of("JSON {\"rpsFractional\": 100, \"utilization\": {\"disk\": 0.4}}"), 250u);
  const std::string wire =
      wire_double(6, 100) + wire_entry(8, "queue", 0.4) + wire_entry(5, "disk", 0.5);
  EXPECT_EQ(weight_of("BIN " + encode_base64(wire)), 200u);
  EXPECT_EQ(weight_of("TEXT rps_fractional:100,application_utilization:0.2,cpu_utilization:0.5"),
            500u);
}

// --- weights by reports ---

TEST_F(MeasuredBalancersTest, WeightsFollowReportsAfterTheBlackout) {
  use_reports();
  over(4);
  for (const auto& [ip, count] : pick(400)) EXPECT_EQ(count, 100) << ip;
  report(host(0), "TEXT rps_fractional:300,cpu_utilization:0.1");
  report(host(1), "TEXT rps_fractional:100,cpu_utilization:0.1");
  advance(9000);
  for (const auto& [ip, count] : pick(400)) EXPECT_EQ(count, 100) << "not for long enough: " << ip;
  report(host(1), "TEXT rps_fractional:200,cpu_utilization:0.2");
  advance(2000);
  // 3000, 1000, and for those that are silent what is in the middle of the two.
  const Counts counts = pick(8000);
  EXPECT_NEAR(counts.at("10.0.0.1"), 3000, 4);
  EXPECT_NEAR(counts.at("10.0.0.2"), 1000, 4);
  EXPECT_NEAR(counts.at("10.0.0.3"), 2000, 4);
  EXPECT_NEAR(counts.at("10.0.0.4"), 2000, 4);
  EXPECT_EQ(host(0).weight(), 3000u);
  EXPECT_EQ(host(3).weight(), 2000u);
}

TEST_F(MeasuredBalancersTest, OldReportsExpireAndBeginAnew) {
  use_reports();
  over(2);
  report(host(0), "TEXT rps_fractional:300,cpu_utilization:0.1");
  report(host(1), "TEXT rps_fractional:100,cpu_utilization:0.1");
  advance(11'000);
  EXPECT_NEAR(pick(400).at("10.0.0.1"), 300, 2);
  for (int i = 0; i < 18; ++i) {
    report(host(1), "TEXT rps_fractional:100,cpu_utilization:0.1");
    advance(10'000);
  }
  EXPECT_EQ(host(0).weight(), 1000u) << "the only weight that is known";
  report(host(0), "TEXT rps_fractional:300,cpu_utilization:0.1");
  advance(9000);
  EXPECT_EQ(host(0).weight(), 1000u);
  advance(2000);
  EXPECT_EQ(host(0).weight(), 3000u);
}

TEST_F(MeasuredBalancersTest, WeightsOutliveAnUpdateOfTheEndpoints) {
  use_reports();
  over(2);
  report(host(0), "TEXT rps_fractional:300,cpu_utilization:0.1");
  report(host(1), "TEXT rps_fractional:100,cpu_utilization:0.1");
  advance(11'000);
  over(3);
  EXPECT_EQ(host(0).weight(), 3000u);
  EXPECT_EQ(host(2).weight(), 2000u);
}

// --- peak EWMA ---

TEST_F(MeasuredBalancersTest, TheAverageJumpsToPeaksAndDecays) {
  over(2);
  const PeakEwmaConfig config;
  EXPECT_EQ(average_answer_ms(host(0)), 0);
  note_answer(host(0), 10, 1000, config);
  EXPECT_THAT(average_answer_ms(host(0)), DoubleNear(10, 1e-4));
  note_answer(host(0), 500, 1001, config);
  EXPECT_THAT(average_answer_ms(host(0)), DoubleNear(500, 1e-3));
  note_answer(host(0), 0, 11'001, config);
  EXPECT_THAT(average_answer_ms(host(0)), DoubleNear(500 * std::exp(-1), 0.01));
  note_answer(host(0), 0, 11'000, config);
  EXPECT_THAT(average_answer_ms(host(0)), DoubleNear(500 * std::exp(-1), 0.01)) << "no time passed";
  note_answer(host(0), 0, 1'000'000, config);
  EXPECT_GT(average_answer_ms(host(0)), 0) << "it was measured";
}

TEST_F(MeasuredBalancersTest, PeakEwmaPrefersWhoAnswersSooner) {
  balancing_.peak_ewma = std::make_shared<PeakEwmaConfig>();
  over(2);
  for (const auto& [ip, count] : pick(10'000)) EXPECT_NEAR(count, 5000, 250) << ip;
  note_answer(host(0), 100, now(), *balancing_.peak_ewma);
  note_answer(host(1), 20, now(), *balancing_.peak_ewma);
  EXPECT_EQ(pick(100)["10.0.0.2"], 100);
  host(1).counters.rq_active = 5;  // 20 * 6 is more than 100
  EXPECT_EQ(pick(100)["10.0.0.1"], 100);
  host(1).counters.rq_active = 0;
  advance(20'000);
  note_answer(host(1), 20, now(), *balancing_.peak_ewma);
  EXPECT_EQ(pick(100)["10.0.0.1"], 100) << "what was slow long ago is tried again";
}

TEST_F(MeasuredBalancersTest, PeakEwmaDrawsTwoOfMany) {
  balancing_.peak_ewma = std::make_shared<PeakEwmaConfig>();
  over(4);
  for (size_t i = 0; i < 4; ++i) note_answer(host(i), 10.0 * (i + 1), now(), *balancing_.peak_ewma);
  // Of six pairs the fastest is in three, the next in two more, and the slowest wins none.
  constexpr int kPicks = 60'000;
  Counts counts = pick(kPicks);
  EXPECT_NEAR(counts["10.0.0.1"], kPicks / 2, 600);
  EXPECT_NEAR(counts["10.0.0.2"], kPicks / 3, 600);
  EXPECT_NEAR(counts["10.0.0.3"], kPicks / 6, 600);
  EXPECT_EQ(counts["10.0.0.4"], 0);
}

TEST_F(MeasuredBalancersTest, PeakEwmaTriesTheUnknownOnce) {
  PeakEwmaConfig config;
  config.default_answer_ms = 50;
  balancing_.peak_ewma = std::make_shared<PeakEwmaConfig>(config);
  over(2);
  note_answer(host(0), 60, now(), config);
  EXPECT_EQ(pick(100)["10.0.0.2"], 100) << "never asked: as fast as the default";
  host(1).counters.rq_active = 1;
  EXPECT_EQ(pick(100)["10.0.0.1"], 100) << "asked, and no answer yet";
}

}  // namespace
}  // namespace remora::upstream
