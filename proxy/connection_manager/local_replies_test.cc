#include "proxy/connection_manager/local_replies.h"

#include <gmock/gmock.h>

#include "proxy/connection_manager/test_support.h"

namespace remora::connection_manager {
namespace {

using telemetry::LogFilter;
using telemetry::LogFormat;
using ::testing::HasSubstr;
using ::testing::Not;

LocalReplies::BodyFormat body_format(std::string_view text, std::string type = "text/plain") {
  return {std::make_shared<const LogFormat>(*LogFormat::text(text)), std::move(type)};
}

LocalReplies::Mapper mapper(uint64_t at_least) {
  LocalReplies::Mapper out;
  out.filter.what = LogFilter::StatusCode{{LogFilter::Comparison::Op::AtLeast, at_least}};
  return out;
}

class LocalRepliesTest : public testing::HttpTest {
 protected:
  LocalRepliesTest() { no_cluster = true; }
  /// The answer to a request for a cluster that is not there: 503.
  std::string answer(const LocalReplies& replies, std::string_view request = kGet) {
    http.local_replies = std::make_shared<const LocalReplies>(replies);
    testing::TestClient& client = connect();
    client.send(request);
    settle();
    return client.received();
  }
};

TEST_F(LocalRepliesTest, WithoutConfigurationAnAnswerStaysAsItIs) {
  const std::string got = answer({});
  EXPECT_THAT(got, HasSubstr("HTTP/1.1 503 Service Unavailable\r\n"));
}

TEST_F(LocalRepliesTest, TheFirstMapperWhoseFilterHoldsCounts) {
  LocalReplies replies;
  replies.mappers = {mapper(504), mapper(500), mapper(400)};
  replies.mappers[1].status = 418;
  replies.mappers[1].body = "mapped";
  replies.mappers[2].status = 419;
  const std::string got = answer(replies);
  EXPECT_THAT(got, HasSubstr("HTTP/1.1 418 "));
  EXPECT_THAT(got, HasSubstr("content-length: 6\r\ncontent-type: text/plain\r\n"));
  EXPECT_THAT(got, HasSubstr("\r\n\r\nmapped"));
  EXPECT_EQ(http_stat(stats::HttpStat::downstream_rq_4xx), 1u);
}

TEST_F(LocalRepliesTest, TheFormatIsWrittenWithWhatTheMapperMade) {
  LocalReplies replies;
  replies.mappers = {mapper(500)};
  replies.mappers[0].status = 504;
  replies.mappers[0].body = "b";
  replies.format = body_format(
      "%LOCAL_REPLY_BODY%|%RESPONSE_CODE%|%REQ(:path)%|%RESPONSE_FLAGS%|"
      "%RESP(:status)%|%ACCESS_LOG_TYPE%",
      "text/html");
  const std::string got = answer(replies);
  EXPECT_THAT(got, HasSubstr("content-type: text/html\r\n"));
  EXPECT_THAT(got, HasSubstr("b|504|/x|NC|504|NotSet"));
}

TEST_F(LocalRepliesTest, AMapperMayHaveAFormatOfItsOwn) {
  LocalReplies replies;
  replies.mappers = {mapper(500)};
  replies.mappers[0].format = body_format("own");
  replies.format = body_format("general");
  EXPECT_THAT(answer(replies), HasSubstr("\r\n\r\nown"));
}

TEST_F(LocalRepliesTest, HeadersAreAddedAndAContentTypeAmongThemStays) {
  HeaderMutation header;
  header.name = "content-type";
  header.id = http::HeaderId::ContentType;
  header.action = router::HeaderEdit::Action::OverwriteOrAdd;
  header.value = body_format("a/b").format;
  LocalReplies replies;
  replies.mappers = {mapper(500)};
  replies.mappers[0].headers = {header};
  replies.format = body_format("x", "q/q");
  const std::string got = answer(replies);
  EXPECT_THAT(got, HasSubstr("content-type: a/b\r\n"));
  EXPECT_THAT(got, Not(HasSubstr("q/q")));
}

TEST_F(LocalRepliesTest, GrpcIsToldTheMappedStatusItsOwnWay) {
  LocalReplies replies;
  replies.mappers = {mapper(500)};
  replies.mappers[0].status = 403;
  replies.mappers[0].body = "no\n";
  const std::string got = answer(replies,
                                 "POST /s HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n"
                                 "content-length: 0\r\n\r\n");
  EXPECT_THAT(got, HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(got, HasSubstr("grpc-status: 7\r\ngrpc-message: no%0A\r\n"));
}

TEST_F(LocalRepliesTest, ARequestThatWasNotUnderstoodIsAnsweredLikeThat) {
  LocalReplies replies;
  replies.format = body_format("%LOCAL_REPLY_BODY%:%REQ(:path)%:%RESPONSE_CODE_DETAILS%");
  EXPECT_THAT(answer(replies, "GET / HTTP/1.1\r\nbad header\r\n\r\n"),
              HasSubstr("\r\n\r\nBad Request:-:http1.codec_error"));
}

TEST_F(LocalRepliesTest, AnEmptyBodyIsDescribedByNothing) {
  LocalReplies replies;
  replies.mappers = {mapper(500)};
  replies.mappers[0].body = "";
  EXPECT_THAT(answer(replies), Not(HasSubstr("content-type")));
}

}  // namespace
}  // namespace remora::connection_manager
