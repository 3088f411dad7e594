#include "proxy/router/timeouts.h"

#include <gtest/gtest.h>

namespace remora::router {
namespace {

using http::HeaderId;

class TimeoutsTest : public testing::Test {
 protected:
  Timeouts timeouts() { return timeouts_of(action_, nullptr, false, false, request_); }
  void make_grpc(std::string_view timeout) {
    request_.set(HeaderId::ContentType, "application/grpc");
    request_.set(HeaderId::GrpcTimeout, timeout);
  }
  std::string_view grpc_timeout() { return request_.get(HeaderId::GrpcTimeout); }

  BlockPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_};
  ClusterAction action_;
};

TEST_F(TimeoutsTest, ComeFromTheRouteAndItsPolicy) {
  RetryPolicy policy;
  action_.timeout_ms = 500;
  policy.per_try_timeout_ms = 100;
  const Timeouts timeouts = timeouts_of(action_, &policy, false, false, request_);
  EXPECT_EQ(timeouts.global_ms, 500u);
  EXPECT_EQ(timeouts.per_try_ms, 100u);
  EXPECT_EQ(expected_timeout_ms(timeouts, 0), 100u);
  EXPECT_EQ(expected_timeout_ms(timeouts, 450), 50u);
  EXPECT_EQ(expected_timeout_ms(timeouts, 600), 1u);
}

TEST_F(TimeoutsTest, HeadersChangeThemAndAreTakenOut) {
  request_.add(HeaderId::XEnvoyUpstreamRqTimeoutMs, "50");
  request_.add(HeaderId::XEnvoyUpstreamRqPerTryTimeoutMs, "60");
  request_.add(HeaderId::XEnvoyUpstreamStreamDurationMs, "70");
  request_.add(HeaderId::XEnvoyUpstreamRqTimeoutAltResponse, "1");
  const Timeouts found = timeouts();
  EXPECT_EQ(found.global_ms, 50u);
  EXPECT_EQ(found.per_try_ms, 0u) << "a try never outlives the whole";
  EXPECT_EQ(found.upstream_stream_ms, 70u);
  EXPECT_TRUE(found.answers_no_content);
  EXPECT_EQ(request_.live_count(), 0u);
}

TEST_F(TimeoutsTest, NonsenseInHeadersChangesNothing) {
  for (std::string_view junk : {"", "-1", "+5", "5 ", "0x10", "99999999999999999999999"}) {
    request_.set(HeaderId::XEnvoyUpstreamRqTimeoutMs, junk);
    request_.set(HeaderId::XEnvoyUpstreamStreamDurationMs, junk);
    const Timeouts found = timeouts();
    EXPECT_EQ(found.global_ms, 15000u) << junk;
    EXPECT_EQ(found.upstream_stream_ms, std::nullopt) << junk;
  }
}

TEST_F(TimeoutsTest, WhoeverIsNotResetHasAllTheTimeThereIs) {
  RetryPolicy policy;
  policy.per_try_timeout_ms = 100;
  const auto hedged = [&](bool configured, std::string_view word) {
    request_.set(HeaderId::XEnvoyHedgeOnPerTryTimeout, word);
    const Timeouts found = timeouts_of(action_, &policy, false, configured, request_);
    EXPECT_FALSE(request_.has(HeaderId::XEnvoyHedgeOnPerTryTimeout));
    EXPECT_EQ(expected_timeout_ms(found, 0), found.hedges ? 15000u : 100u);
    return found.hedges;
  };
  EXPECT_TRUE(hedged(false, "true"));
  EXPECT_TRUE(hedged(true, "1"));
  EXPECT_FALSE(hedged(true, "false"));
  EXPECT_FALSE(hedged(false, "1"));
}

TEST_F(TimeoutsTest, GrpcTimeoutTakesTheRoutesPlaceWithinItsBound) {
  action_.max_grpc_timeout = {1000, 10};
  make_grpc("500m");
  EXPECT_EQ(timeouts().global_ms, 490u);
  make_grpc("5S");
  EXPECT_EQ(timeouts().global_ms, 1000u);
  make_grpc("5m");
  EXPECT_EQ(timeouts().global_ms, 5u) << "the offset never takes all";
  make_grpc("junk");
  EXPECT_EQ(timeouts().global_ms, 1000u);
  action_.max_grpc_timeout.max_ms = 0;
  EXPECT_EQ(timeouts().global_ms, 0u);
  make_grpc("5S");
  EXPECT_EQ(timeouts().global_ms, 4990u);
  EXPECT_TRUE(timeouts().tells_grpc);
}

TEST_F(TimeoutsTest, OnlyGrpcHasGrpcTimeouts) {
  action_.max_grpc_timeout = {1000, 0};
  request_.set(HeaderId::GrpcTimeout, "500m");
  EXPECT_EQ(timeouts().global_ms, 15000u);
  EXPECT_FALSE(timeouts().tells_grpc);
}

TEST_F(TimeoutsTest, ARouteThatBoundsStreamsDoesNotBoundAnswers) {
  action_.bounds_streams = true;
  action_.max_grpc_timeout = {1000, 0};
  make_grpc("500m");
  EXPECT_EQ(timeouts().global_ms, 0u);
  EXPECT_FALSE(timeouts().tells_grpc);
}

TEST_F(TimeoutsTest, AStreamIsBoundByTheRouteOrElseTheListener) {
  EXPECT_EQ(stream_duration_ms(action_, 0, request_), std::nullopt);
  EXPECT_EQ(stream_duration_ms(action_, 7000, request_), 7000u);
  action_.bounds_streams = true;
  action_.max_stream_duration_ms = 5000;
  EXPECT_EQ(stream_duration_ms(action_, 7000, request_), 5000u);
  action_.max_stream_duration_ms = 0;
  EXPECT_EQ(stream_duration_ms(action_, 7000, request_), std::nullopt);
  EXPECT_EQ(request_.live_count(), 0u) << "nothing is said to what is not gRPC";
}

TEST_F(TimeoutsTest, GrpcTimeoutBoundsAStreamAndTellsTheUpstream) {
  action_.bounds_streams = true;
  action_.max_stream_duration_ms = 5000;
  make_grpc("1S");
  EXPECT_EQ(stream_duration_ms(action_, 0, request_), 5000u);
  EXPECT_EQ(grpc_timeout(), "5000m");
  action_.grpc_timeout_header = {10'000, 100};
  make_grpc("1S");
  EXPECT_EQ(stream_duration_ms(action_, 0, request_), 900u);
  EXPECT_EQ(grpc_timeout(), "900m");
  make_grpc("1H");
  EXPECT_EQ(stream_duration_ms(action_, 0, request_), 9900u);
  make_grpc("99m");
  EXPECT_EQ(stream_duration_ms(action_, 0, request_), 0u);
  EXPECT_EQ(grpc_timeout(), "0m");
  make_grpc("junk");
  EXPECT_EQ(stream_duration_ms(action_, 0, request_), 5000u);
  action_.grpc_timeout_header.max_ms = 0;
  make_grpc("99999999H");
  EXPECT_EQ(stream_duration_ms(action_, 0, request_), 359'999'996'399'900u);
  EXPECT_EQ(grpc_timeout(), "99999998H");
}

}  // namespace
}  // namespace remora::router
