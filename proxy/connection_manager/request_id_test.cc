#include "proxy/connection_manager/request_id.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::connection_manager {
namespace {

using http::HeaderId;

constexpr uint32_t kAll = HttpConfig::TraceShares::kOf;

class RequestIdTest : public testing::Test {
 protected:
  RequestIdTest() : request_(arena_) {
    config_.tracing = HttpConfig::TraceShares{.client = kAll, .random = 0, .overall = kAll};
  }
  std::string value() { return std::string(request_.get(HeaderId::XRequestId)); }
  void set(char digit) {
    std::string id = "00000001-2222-?333-8444-555555555555";
    id[14] = digit;
    request_.set(HeaderId::XRequestId, arena_.copy(id));
  }
  /// The digit that says whether `digit`'s request is traced.
  char packed(char digit) {
    set(digit);
    pack_trace_reason(config_, 0, request_);
    return value()[14];
  }

  BlockPool pool_;
  Arena arena_{pool_};
  HttpConfig config_;
  http::HeaderMap request_;
};

TEST_F(RequestIdTest, AnIdIsAVersion4Uuid) {
  EXPECT_EQ(make_uuid(0, 0, arena_), "00000000-0000-4000-8000-000000000000");
  EXPECT_EQ(make_uuid(UINT64_MAX, UINT64_MAX, arena_), "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

TEST_F(RequestIdTest, StrangersGetANewIdNeighboursKeepTheirs) {
  request_.add(HeaderId::XRequestId, "mine");
  const Origin edge = {.remote = {}, .edge = true};
  apply_request_id(config_, Origin(), 1, 2, request_);
  EXPECT_EQ(value(), "mine");
  config_.preserve_external_request_id = true;
  apply_request_id(config_, edge, 1, 2, request_);
  EXPECT_EQ(value(), "mine");
  config_.preserve_external_request_id = false;
  apply_request_id(config_, edge, 1, 2, request_);
  EXPECT_EQ(value().size(), 36u);
}

TEST_F(RequestIdTest, NoIdIsMadeWhenNoneIsWanted) {
  config_.generate_request_id = false;
  apply_request_id(config_, Origin(), 1, 2, request_);
  EXPECT_FALSE(request_.has(HeaderId::XRequestId));
}

TEST_F(RequestIdTest, AStrangersIdThatIsKeptDoesNotSayThatItIsTraced) {
  config_.preserve_external_request_id = true;
  set('9');
  apply_request_id(config_, {.remote = {}, .edge = true}, 1, 2, request_);
  EXPECT_EQ(value()[14], '4');
  set('9');
  apply_request_id(config_, Origin(), 1, 2, request_);
  EXPECT_EQ(value()[14], '9') << "a neighbour is believed";
}

TEST_F(RequestIdTest, TheSampleIsTheSameEverywhere) {
  EXPECT_EQ(packed('4'), '4');
  config_.tracing->random = 1;  // of which 00000001 is none
  EXPECT_EQ(packed('4'), '4');
  config_.tracing->random = 2;
  EXPECT_EQ(packed('4'), '9');
  EXPECT_EQ(packed('0'), '9');
}

TEST_F(RequestIdTest, WhatIsTracedStaysTracedWithinTheOverallShare) {
  EXPECT_EQ(packed('9'), '9');
  EXPECT_EQ(packed('b'), 'b');
  config_.tracing->overall = 1;
  EXPECT_EQ(packed('9'), '4');
}

TEST_F(RequestIdTest, AClientOrANeighbourMayForceIt) {
  request_.add(HeaderId::XEnvoyForceTrace, "true");
  EXPECT_EQ(packed('4'), 'a');
  request_.add(HeaderId::XClientTraceId, "1");
  EXPECT_EQ(packed('4'), 'b');
  config_.tracing->client = 0;
  EXPECT_EQ(packed('4'), 'a');
}

TEST_F(RequestIdTest, NothingIsPackedWhereItIsNotWantedOrDoesNotFit) {
  config_.tracing->random = kAll;
  config_.packs_trace_reason = false;
  EXPECT_EQ(packed('4'), '4');
  config_.packs_trace_reason = true;
  config_.samples_by_request_id = false;
  EXPECT_EQ(packed('4'), '4');
  config_.samples_by_request_id = true;
  for (const char* other : {"junk", "zzzzzzzz-2222-4333-8444-555555555555",
                            "00000001-2222-4333-8444-555555555555-more"}) {
    request_.set(HeaderId::XRequestId, other);
    pack_trace_reason(config_, 0, request_);
    EXPECT_EQ(value(), other);
  }
  config_.tracing.reset();
  EXPECT_EQ(packed('4'), '4');
}

}  // namespace
}  // namespace remora::connection_manager
