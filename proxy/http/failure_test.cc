// The table of failures and the names of response flags.
#include "proxy/http/failure.h"

#include <gtest/gtest.h>

#include "proxy/http/codec.h"
#include "proxy/http/status_text.h"

namespace remora::http {
namespace {

TEST(ResponseFlags, AreWrittenAsLogsShowThem) {
  ResponseFlags flags;
  EXPECT_EQ(flags.short_text(), "-");
  EXPECT_EQ(flags.long_text(), "-");
  flags.set(ResponseFlag::UF);
  flags.set(ResponseFlag::URX);
  EXPECT_EQ(flags.short_text(), "URX,UF");
  EXPECT_EQ(flags.long_text(), "UpstreamRetryLimitExceeded,UpstreamConnectionFailure");
  EXPECT_TRUE(flags.has(ResponseFlag::UF));
  EXPECT_FALSE(flags.has(ResponseFlag::UH));
}

TEST(ResponseFlags, EachHasBothNamesAndIsFoundByTheShortOne) {
  for (int i = 0; i < static_cast<int>(ResponseFlag::kCount); ++i) {
    const auto flag = static_cast<ResponseFlag>(i);
    EXPECT_NE(short_name(flag), "") << i;
    EXPECT_NE(long_name(flag), "") << i;
    EXPECT_EQ(response_flag_of(short_name(flag)), flag);
  }
  EXPECT_EQ(response_flag_of("XX"), kNoFlag);
  EXPECT_EQ(short_name(kNoFlag), "");
}

TEST(Failures, AnswerWhatEnvoyAnswers) {
  EXPECT_EQ(failures::kNoHealthyUpstream.status, 503);
  EXPECT_EQ(failures::kNoHealthyUpstream.flag, ResponseFlag::UH);
  EXPECT_EQ(failures::kNoHealthyUpstream.details, "no_healthy_upstream");
  EXPECT_EQ(failures::kNoHealthyUpstream.body, "no healthy upstream");
  EXPECT_EQ(failures::kUpstreamReset.details,
            "upstream_reset_before_response_started{connection_termination}");
  EXPECT_EQ(failures::kUpstreamReset.body,
            "upstream connect error or disconnect/reset before headers. reset reason: connection "
            "termination");
  EXPECT_EQ(failures::kRouteNotFound.body, "");
  EXPECT_EQ(failures::kDownstreamDisconnect.status, 0);
}

TEST(Words, OfTheProtocol) {
  EXPECT_EQ(protocol_name(Protocol::Http10), "HTTP/1.0");
  EXPECT_EQ(protocol_name(Protocol::Http2), "HTTP/2");
  EXPECT_EQ(reset_reason_text(ResetReason::IncompleteBody), "protocol error");
  EXPECT_EQ(status_text(200), "OK");
  EXPECT_EQ(status_text(431), "Request Header Fields Too Large");
  EXPECT_EQ(status_text(600), "Unknown");
}

}  // namespace
}  // namespace remora::http
