#include "proxy/router/retry.h"

#include <gtest/gtest.h>

#include "proxy/router/retry_extras.h"

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

TEST_F(RetryTest, HeadersOfAnswersThatThePolicyOrAHeaderLists) {
  RetryExtras extras;
  extras.retriable_headers.resize(1);
  extras.retriable_headers[0].name = "x-again";
  policy_.extras = std::make_shared<const RetryExtras>(extras);
  request_.add(HeaderId::XEnvoyRetriableHeaderNames, "x-other, X-Sorry");
  RetryPlan words = plan("retriable-headers");
  EXPECT_FALSE(words.wants_retry(response(503)));
  http::HeaderMap& again = response(200);
  again.add("x-again", "yes");
  http::HeaderMap& sorry = response(200);
  sorry.add("x-sorry", "");
  EXPECT_TRUE(words.wants_retry(again));
  EXPECT_TRUE(words.wants_retry(sorry));
  EXPECT_FALSE(plan("5xx").wants_retry(again));
  EXPECT_FALSE(request_.has(HeaderId::XEnvoyRetriableHeaderNames));
}

TEST_F(RetryTest, OnlyRequestsWithTheHeadersOfThePolicyAreRepeated) {
  RetryExtras extras;
  extras.retriable_request_headers.resize(1);
  extras.retriable_request_headers[0].name = "x-safe";
  policy_.extras = std::make_shared<const RetryExtras>(extras);
  EXPECT_FALSE(plan("5xx").armed());
  request_.add("x-safe", "1");
  EXPECT_TRUE(plan("5xx").armed());
}

TEST_F(RetryTest, AnswersMaySayWhenToComeAgain) {
  RetryExtras extras;
  extras.reset_headers = {{"retry-after", false}, {"x-reset", true}};
  extras.reset_max_ms = 10'000;
  policy_.extras = std::make_shared<const RetryExtras>(extras);
  RetryPlan told = plan("5xx", 9);
  constexpr uint64_t kNow = 1000;
  const auto wait = [&](std::string_view name, std::string_view value) {
    http::HeaderMap& answer = response(503);
    answer.add(name, value);
    told.heed_reset_headers(answer, kNow);
    return told.told_when() ? told.next_back_off_ms(0) : 0;
  };
  EXPECT_EQ(wait("retry-after", "2"), 2000u);
  EXPECT_EQ(wait("retry-after", "10"), 10'000u);
  EXPECT_EQ(wait("retry-after", "11"), 0u) << "above the bound";
  EXPECT_EQ(wait("retry-after", "soon"), 0u);
  EXPECT_EQ(wait("retry-after", "0"), 0u);
  EXPECT_EQ(wait("retry-after", "99999999999999999999"), 0u);
  EXPECT_EQ(wait("x-reset", "1003"), 3000u);
  EXPECT_EQ(wait("x-reset", "999"), 0u) << "in the past";
  EXPECT_EQ(wait("x-wait", "2"), 0u);
  wait("x-wait", "2");
  EXPECT_LT(told.next_back_off_ms(UINT64_MAX), 250u) << "as ever";
}

TEST_F(RetryTest, WhatAnAnswerAsksForIsSpreadOverHalfOfItBesides) {
  RetryExtras extras;
  extras.reset_headers = {{"retry-after", false}};
  policy_.extras = std::make_shared<const RetryExtras>(extras);
  RetryPlan told = plan("5xx", 9);
  http::HeaderMap& answer = response(503);
  answer.add("retry-after", "2");
  told.heed_reset_headers(answer, 0);
  EXPECT_EQ(told.next_back_off_ms(999), 2999u);
  told.heed_reset_headers(answer, 0);
  EXPECT_EQ(told.next_back_off_ms(1000), 2000u);
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

}  // namespace
}  // namespace remora::router
