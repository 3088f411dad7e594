#include "proxy/router/retry.h"

#include <gtest/gtest.h>

namespace remora::router {
namespace {

using http::HeaderId;
using http::ResetReason;

class RetryTest : public testing::Test {
 protected:
  RetryTest() : request_(arena_) {}
  http::HeaderMap& response(uint16_t status) {
    auto* map = arena_.make<http::HeaderMap>(arena_);
    map->set_status(status);
    return *map;
  }
  RetryPlan plan(std::string_view words, uint32_t retries = 1) {
    policy_.on = parse_retry_on(words) | parse_retry_grpc_on(words);
    policy_.num_retries = retries;
    return RetryPlan(&policy_, request_);
  }

  BlockPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_;
  RetryPolicy policy_;
  ClusterAction action_;
};

TEST_F(RetryTest, WithoutAPolicyNothingIsRepeated) {
  RetryPlan plan(nullptr, request_);
  EXPECT_FALSE(plan.armed());
  EXPECT_FALSE(plan.wants_retry(response(503)));
  EXPECT_FALSE(plan.wants_retry(ResetReason::ConnectFailed, false));
}

TEST_F(RetryTest, StatusesByWord) {
  EXPECT_TRUE(plan("5xx").wants_retry(response(500)));
  EXPECT_FALSE(plan("5xx").wants_retry(response(404)));
  EXPECT_TRUE(plan("gateway-error").wants_retry(response(502)));
  EXPECT_FALSE(plan("gateway-error").wants_retry(response(500)));
  EXPECT_TRUE(plan("retriable-4xx").wants_retry(response(409)));
  EXPECT_FALSE(plan("connect-failure,reset").wants_retry(response(503)));
}

TEST_F(RetryTest, StatusesThatThePolicyOrAHeaderLists) {
  policy_.retriable_status_codes = {418};
  request_.add(HeaderId::XEnvoyRetriableStatusCodes, "429, 425");
  RetryPlan codes = plan("retriable-status-codes");
  EXPECT_TRUE(codes.wants_retry(response(418)));
  EXPECT_TRUE(codes.wants_retry(response(425)));
  EXPECT_FALSE(codes.wants_retry(response(503)));
  EXPECT_FALSE(request_.has(HeaderId::XEnvoyRetriableStatusCodes));
}

TEST_F(RetryTest, ALimitedRequestIsRepeatedOnlyByItsOwnWord) {
  http::HeaderMap& limited = response(503);
  limited.add(HeaderId::XEnvoyRateLimited, "true");
  EXPECT_FALSE(plan("5xx").wants_retry(limited));
  EXPECT_TRUE(plan("envoy-ratelimited").wants_retry(limited));
}

TEST_F(RetryTest, GrpcStatusInTheHeaders) {
  http::HeaderMap& unavailable = response(200);
  unavailable.add(HeaderId::GrpcStatus, "14");
  EXPECT_TRUE(plan("unavailable").wants_retry(unavailable));
  EXPECT_FALSE(plan("cancelled").wants_retry(unavailable));
}

TEST_F(RetryTest, ResetsByWord) {
  EXPECT_TRUE(plan("connect-failure").wants_retry(ResetReason::ConnectTimeout, false));
  EXPECT_FALSE(plan("connect-failure").wants_retry(ResetReason::ConnectionClosed, true));
  EXPECT_TRUE(plan("reset").wants_retry(ResetReason::ConnectionClosed, true));
  EXPECT_TRUE(plan("reset-before-request").wants_retry(ResetReason::ConnectionClosed, false));
  EXPECT_FALSE(plan("reset-before-request").wants_retry(ResetReason::ConnectionClosed, true));
  EXPECT_TRUE(plan("refused-stream").wants_retry(ResetReason::RemoteRefused, true));
  EXPECT_FALSE(plan("refused-stream").wants_retry(ResetReason::RemoteReset, true));
  EXPECT_FALSE(plan("5xx,reset,connect-failure").wants_retry(ResetReason::Overflow, false));
}

TEST_F(RetryTest, HeadersOfATrustedNeighbourArmAndLimitThePlan) {
  request_.add(HeaderId::XEnvoyRetryOn, "5xx");
  request_.add(HeaderId::XEnvoyMaxRetries, "3");
  RetryPlan plan(nullptr, request_);
  EXPECT_TRUE(plan.wants_retry(response(503)));
  EXPECT_EQ(plan.remaining(), 3u);
  EXPECT_FALSE(request_.has(HeaderId::XEnvoyRetryOn));
  EXPECT_FALSE(request_.has(HeaderId::XEnvoyMaxRetries));
}

TEST_F(RetryTest, BackOffDoublesUpToItsBound) {
  policy_.back_off_base_ms = 100;
  policy_.back_off_max_ms = 300;
  RetryPlan backing_off = plan("5xx", 5);
  const uint64_t most = UINT64_MAX;
  EXPECT_LT(backing_off.next_back_off_ms(most), 100u);
  EXPECT_EQ(backing_off.next_back_off_ms(199), 199u);
  EXPECT_EQ(backing_off.next_back_off_ms(299), 299u);
  EXPECT_LT(backing_off.next_back_off_ms(300), 300u);
}

TEST_F(RetryTest, TimeoutsComeFromTheRouteAndItsPolicy) {
  action_.timeout_ms = 500;
  policy_.per_try_timeout_ms = 100;
  Timeouts timeouts = timeouts_of(action_, &policy_, false, request_);
  EXPECT_EQ(timeouts.global_ms, 500u);
  EXPECT_EQ(timeouts.per_try_ms, 100u);
  EXPECT_EQ(expected_timeout_ms(timeouts, 0), 100u);
  EXPECT_EQ(expected_timeout_ms(timeouts, 450), 50u);
  EXPECT_EQ(expected_timeout_ms(timeouts, 600), 1u);
}

TEST_F(RetryTest, HeadersChangeTimeoutsAndAreTakenOut) {
  request_.add(HeaderId::XEnvoyUpstreamRqTimeoutMs, "50");
  request_.add(HeaderId::XEnvoyUpstreamRqPerTryTimeoutMs, "60");
  Timeouts timeouts = timeouts_of(action_, nullptr, false, request_);
  EXPECT_EQ(timeouts.global_ms, 50u);
  EXPECT_EQ(timeouts.per_try_ms, 0u) << "a try never outlives the whole";
  EXPECT_EQ(request_.live_count(), 0u);
}

TEST_F(RetryTest, NonsenseInHeadersChangesNothing) {
  for (std::string_view junk : {"", "-1", "+5", "5 ", "0x10", "99999999999999999999999"}) {
    http::HeaderMap request(arena_);
    request.add(HeaderId::XEnvoyUpstreamRqTimeoutMs, junk);
    EXPECT_EQ(timeouts_of(action_, nullptr, false, request).global_ms, 15000u) << junk;
  }
}

TEST_F(RetryTest, GrpcTimeoutsInEveryUnitAndAtTheirExtremes) {
  EXPECT_EQ(parse_grpc_timeout("1H"), 3'600'000u);
  EXPECT_EQ(parse_grpc_timeout("2M"), 120'000u);
  EXPECT_EQ(parse_grpc_timeout("3S"), 3000u);
  EXPECT_EQ(parse_grpc_timeout("4m"), 4u);
  EXPECT_EQ(parse_grpc_timeout("1u"), 1u);
  EXPECT_EQ(parse_grpc_timeout("1n"), 1u);
  EXPECT_EQ(parse_grpc_timeout("99999999H"), 359'999'996'400'000u);
  for (std::string_view junk : {"", "m", "5", "5x", "-5m", "999999999m", "1 m"}) {
    EXPECT_EQ(parse_grpc_timeout(junk), std::nullopt) << junk;
  }
}

TEST_F(RetryTest, GrpcTimeoutTakesTheRoutesPlaceWithinItsBound) {
  action_.grpc_timeout_max_ms = 1000;
  action_.grpc_timeout_offset_ms = 10;
  request_.add(HeaderId::GrpcTimeout, "500m");
  EXPECT_EQ(timeouts_of(action_, nullptr, false, request_).global_ms, 490u);
  request_.set(HeaderId::GrpcTimeout, "5S");
  EXPECT_EQ(timeouts_of(action_, nullptr, false, request_).global_ms, 990u);
  action_.grpc_timeout_max_ms = 0;
  EXPECT_EQ(timeouts_of(action_, nullptr, false, request_).global_ms, 4990u);
}

}  // namespace
}  // namespace remora::router
