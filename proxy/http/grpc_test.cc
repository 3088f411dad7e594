#include "proxy/http/grpc.h"

#include <gtest/gtest.h>

namespace remora::http {
namespace {

class GrpcTest : public testing::Test {
 protected:
  BlockPool pool_;
  Arena arena_{pool_};
  HeaderMap headers_{arena_};
};

TEST_F(GrpcTest, OnlyItsOwnContentTypesAreGrpc) {
  for (std::string_view type :
       {"application/grpc", "application/grpc+proto", "application/grpc+"}) {
    headers_.set(HeaderId::ContentType, type);
    EXPECT_TRUE(has_grpc_content_type(headers_)) << type;
  }
  for (std::string_view type : {"application/grpc-web", "application/grpc;a=b", "application/grpcx",
                                "Application/grpc", "text/plain", ""}) {
    headers_.set(HeaderId::ContentType, type);
    EXPECT_FALSE(has_grpc_content_type(headers_)) << type;
  }
}

TEST_F(GrpcTest, AnAnswerOfHeadersAloneIsKnownByItsStatus) {
  headers_.set_status(200);
  headers_.set(HeaderId::ContentType, "application/grpc");
  EXPECT_TRUE(is_grpc_response(headers_, false));
  EXPECT_FALSE(is_grpc_response(headers_, true));
  headers_.set(HeaderId::GrpcStatus, "0");
  EXPECT_TRUE(is_grpc_response(headers_, true));
  headers_.set_status(503);
  EXPECT_FALSE(is_grpc_response(headers_, false));
}

TEST_F(GrpcTest, StatusesAreNumbers) {
  EXPECT_EQ(grpc_status_in(headers_), std::nullopt);
  headers_.set(HeaderId::GrpcStatus, "014");
  EXPECT_EQ(grpc_status_in(headers_), 14);
  headers_.set(HeaderId::GrpcStatus, "4294967295");
  EXPECT_EQ(grpc_status_in(headers_), 4294967295);
  for (std::string_view junk : {"", "x", "-1", "1x", "4294967296"}) {
    headers_.set(HeaderId::GrpcStatus, junk);
    EXPECT_EQ(grpc_status_in(headers_), -1) << junk;
  }
}

TEST_F(GrpcTest, HttpStatusesStandForGrpcs) {
  EXPECT_EQ(grpc_status_of_http(200), GrpcStatus::Unknown);
  EXPECT_EQ(grpc_status_of_http(400), GrpcStatus::Internal);
  EXPECT_EQ(grpc_status_of_http(401), GrpcStatus::Unauthenticated);
  EXPECT_EQ(grpc_status_of_http(403), GrpcStatus::PermissionDenied);
  EXPECT_EQ(grpc_status_of_http(404), GrpcStatus::Unimplemented);
  EXPECT_EQ(grpc_status_of_http(429), GrpcStatus::Unavailable);
  EXPECT_EQ(grpc_status_of_http(504), GrpcStatus::Unavailable);
  EXPECT_EQ(grpc_status_of_http(418), GrpcStatus::Unknown);
}

TEST_F(GrpcTest, WhatTheHostIsToBlameFor) {
  for (int64_t status : {2, 4, 12, 13, 14, 15, 17, 258, -1}) EXPECT_TRUE(is_server_error(status));
  for (int64_t status : {0, 1, 3, 5, 8, 16}) EXPECT_FALSE(is_server_error(status)) << status;
}

TEST_F(GrpcTest, TimeoutsInEveryUnitAndAtTheirExtremes) {
  EXPECT_EQ(parse_grpc_timeout("1H"), 3'600'000u);
  EXPECT_EQ(parse_grpc_timeout("2M"), 120'000u);
  EXPECT_EQ(parse_grpc_timeout("3S"), 3000u);
  EXPECT_EQ(parse_grpc_timeout("4m"), 4u);
  EXPECT_EQ(parse_grpc_timeout("0m"), 0u);
  EXPECT_EQ(parse_grpc_timeout("1u"), 1u);
  EXPECT_EQ(parse_grpc_timeout("1001u"), 2u);
  EXPECT_EQ(parse_grpc_timeout("1n"), 1u);
  EXPECT_EQ(parse_grpc_timeout("1000001n"), 2u);
  EXPECT_EQ(parse_grpc_timeout("+05 m"), 5u);
  EXPECT_EQ(parse_grpc_timeout("99999999H"), 359'999'996'400'000u);
  for (std::string_view junk : {"", "m", "5", "5x", "5s", "-5m", "100000000m", "1.5S", "5S, 6S",
                                "99999999999999999999999999H"}) {
    EXPECT_EQ(parse_grpc_timeout(junk), std::nullopt) << junk;
  }
}

TEST_F(GrpcTest, TimeoutsAreToldInTheSmallestUnitThatWillDo) {
  const std::pair<uint64_t, std::string_view> cases[] = {
      {0, "0m"},
      {99'999'999, "99999999m"},
      {100'000'000, "100000S"},
      {100'000'000'000, "1666666M"},
      {359'999'996'400'000, "99999999H"},
      {UINT64_MAX, "99999999H"},
  };
  for (const auto& [ms, text] : cases) {
    set_grpc_timeout(ms, headers_);
    EXPECT_EQ(headers_.get(HeaderId::GrpcTimeout), text);
  }
}

}  // namespace
}  // namespace remora::http
