#include "proxy/telemetry/log_filter.h"

#include <gtest/gtest.h>

namespace remora::telemetry {
namespace {

using http::ResponseFlag;
using Comparison = LogFilter::Comparison;

class LogFilterTest : public ::testing::Test {
 protected:
  LogFilterTest() {
    info_.request_headers = &request_;
    info_.response_code = 503;
    info_.start_us = 1'000;
    info_.end_us = 251'000;
  }

  bool wants(LogFilter filter, uint64_t random = 0) { return filter.wants(info_, random); }

  BlockPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_}, response_{arena_};
  http::StreamInfo info_;
};

TEST_F(LogFilterTest, NoFilterTakesEverything) { EXPECT_TRUE(wants({})); }

TEST_F(LogFilterTest, StatusCodesAndDurationsAreCompared) {
  EXPECT_TRUE(wants({LogFilter::StatusCode{{Comparison::Op::AtLeast, 500}}}));
  EXPECT_FALSE(wants({LogFilter::StatusCode{{Comparison::Op::AtMost, 499}}}));
  EXPECT_TRUE(wants({LogFilter::StatusCode{{Comparison::Op::Equal, 503}}}));
  EXPECT_TRUE(wants({LogFilter::DurationMs{{Comparison::Op::Equal, 250}}}));
  EXPECT_FALSE(wants({LogFilter::DurationMs{{Comparison::Op::AtLeast, 251}}}));
}

TEST_F(LogFilterTest, HealthChecksCanBeLeftOut) {
  EXPECT_TRUE(wants({LogFilter::NotHealthCheck{}}));
  info_.health_check = true;
  EXPECT_FALSE(wants({LogFilter::NotHealthCheck{}}));
}

TEST_F(LogFilterTest, ResponseFlagsByNameOrAny) {
  LogFilter any{LogFilter::ResponseFlags{}};
  http::ResponseFlags unhealthy;
  unhealthy.set(ResponseFlag::UH);
  EXPECT_FALSE(wants(any));
  info_.flags.set(ResponseFlag::UF);
  EXPECT_TRUE(wants(any));
  EXPECT_FALSE(wants({LogFilter::ResponseFlags{unhealthy.bits()}}));
  info_.flags.set(ResponseFlag::UH);
  EXPECT_TRUE(wants({LogFilter::ResponseFlags{unhealthy.bits()}}));
}

TEST_F(LogFilterTest, HeadersAreGivenToTheMatcher) {
  LogFilter filter{LogFilter::Header{
      [](const http::HeaderMap& headers) { return headers.find("x-log") != nullptr; }}};
  EXPECT_FALSE(wants(filter));
  request_.add("x-log", "1");
  EXPECT_TRUE(wants(filter));
  info_.request_headers = nullptr;
  EXPECT_FALSE(wants(filter));
}

TEST_F(LogFilterTest, GrpcStatusesListedOrExcluded) {
  info_.response_headers = &response_;
  response_.add(http::HeaderId::GrpcStatus, "13");
  EXPECT_TRUE(wants({LogFilter::GrpcStatus{1u << 13, false}}));
  EXPECT_FALSE(wants({LogFilter::GrpcStatus{1u << 13, true}}));
  EXPECT_FALSE(wants({LogFilter::GrpcStatus{1u << 0, false}}));
}

TEST_F(LogFilterTest, SamplesGoByTheRequestIdOrElseByChance) {
  LogFilter one_in_ten{LogFilter::Sampled{1, 10}};
  EXPECT_TRUE(wants(one_in_ten, 20));
  EXPECT_FALSE(wants(one_in_ten, 21));
  info_.request_id = "0000000a-6719-4123-81de-e6ccda8c6153";
  EXPECT_TRUE(wants(one_in_ten, 21));
  info_.request_id = "not-a-uuid";
  EXPECT_FALSE(wants(one_in_ten, 21));
}

TEST_F(LogFilterTest, AllAndAny) {
  LogFilter yes{}, no{LogFilter::StatusCode{{Comparison::Op::Equal, 1}}};
  EXPECT_TRUE(wants({LogFilter::Any{{no, yes}}}));
  EXPECT_FALSE(wants({LogFilter::Any{{no, no}}}));
  EXPECT_TRUE(wants({LogFilter::All{{yes, yes}}}));
  EXPECT_FALSE(wants({LogFilter::All{{yes, no}}}));
}

}  // namespace
}  // namespace remora::telemetry
