#include "proxy/telemetry/log_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace remora::telemetry {
namespace {

using http::HeaderId;
using http::ResponseFlag;
using ::testing::HasSubstr;

class LogFormatTest : public ::testing::Test {
 protected:
  LogFormatTest() {
    request_.add(HeaderId::Method, "GET");
    request_.add(HeaderId::Path, "/index.html?a=b");
    request_.add(HeaderId::Authority, "example.com");
    request_.add(HeaderId::UserAgent, "tester");
    request_.add("x-quoted",
                 "a\"b\\c\nd\xff"
                 "é");
    response_.add(HeaderId::Status, "200");
    response_.add(HeaderId::XEnvoyUpstreamServiceTime, "7");
    facts_.local = *Address::from_ip("10.0.0.1", 8080);
    facts_.direct_local = *Address::from_ip("10.0.0.9", 15006);
    facts_.remote = *Address::from_ip("10.1.2.3", 4444);
    facts_.direct_remote = *Address::from_ip("::1", 5555);
    facts_.requested_server_name = "sni.example";
    facts_.connection_id = 42;
    info_.connection = &facts_;
    info_.request_headers = &request_;
    info_.response_headers = &response_;
    info_.remote = *Address::from_ip("192.0.2.7", 0);
    info_.start_wall_ns = 1460751420'310'000'000;
    info_.start_us = 1'000'000;
    info_.request_end_us = 1'001'500;
    info_.upstream_last_tx_us = 1'002'000;
    info_.upstream_first_rx_us = 1'010'000;
    info_.end_us = 1'012'345;
    info_.response_code = 200;
    info_.response_code_details = "via upstream";
    info_.bytes_received = 11;
    info_.bytes_sent = 1024;
    info_.upstream_host = &host_;
    info_.upstream_cluster = "outbound|80||a";
    info_.request_id = "8b344359-6719-4123-81de-e6ccda8c6153";
    info_.attempt_count = 2;
  }

  std::string text(std::string_view format, Missing missing = Missing::Dash) {
    auto compiled = LogFormat::text(format, missing);
    if (!compiled.ok()) return "refused: " + std::string(compiled.status().message());
    std::string out;
    compiled->append(info_, out);
    return out;
  }
  std::string json(JsonTemplate::Fields fields, Missing missing = Missing::Dash) {
    auto compiled = LogFormat::json({std::move(fields)}, missing);
    if (!compiled.ok()) return "refused: " + std::string(compiled.status().message());
    std::string out;
    compiled->append(info_, out);
    return out;
  }

  BlockPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_}, response_{arena_};
  ConnectionFacts facts_;
  Address host_ = *Address::from_ip("10.9.9.9", 80);
  http::StreamInfo info_;
};

TEST_F(LogFormatTest, TheDefaultFormatIsEnvoys) {
  EXPECT_EQ(text(kDefaultLogFormat),
            "[2016-04-15T20:17:00.310Z] \"GET /index.html?a=b HTTP/1.1\" 200 - 11 1024 12 7 \"-\" "
            "\"tester\" "
            "\"-\" \"example.com\" \"10.9.9.9:80\"\n");
}

TEST_F(LogFormatTest, HeadersHaveAlternativesAndALength) {
  EXPECT_EQ(text("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"), "/index.html?a=b");
  EXPECT_EQ(text("%REQ(:PATH):6%"), "/index");
  EXPECT_EQ(text("%REQ(absent?also-absent)%"), "-");
  EXPECT_EQ(text("%RESP(:STATUS)% %TRAILER(grpc-status)%"), "200 -");
}

TEST_F(LogFormatTest, Durations) {
  EXPECT_EQ(text("%DURATION% %REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% "
                 "%RESPONSE_TX_DURATION%"),
            "12 1 2 10 2");
  EXPECT_EQ(text("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %COMMON_DURATION(DS_RX_BEG:DS_RX_END)% "
                 "%COMMON_DURATION(US_RX_BEG:DS_TX_END:ns)%"),
            "12345 1 2345000");
  info_.upstream_first_rx_us = 0;
  EXPECT_EQ(text("%RESPONSE_DURATION%"), "-");
}

TEST_F(LogFormatTest, Addresses) {
  EXPECT_EQ(text("%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% "
                 "%DOWNSTREAM_LOCAL_PORT%"),
            "10.0.0.1:8080 10.0.0.1 8080");
  EXPECT_EQ(text("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
            "192.0.2.7:0 192.0.2.7");
  EXPECT_EQ(
      text("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
      "[::1]:5555 ::1");
  EXPECT_EQ(text("%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%"),
            "10.9.9.9:80 10.9.9.9 80");
  EXPECT_EQ(text("%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_PORT%"), "- -");
}

TEST_F(LogFormatTest, FailuresAreNamed) {
  EXPECT_EQ(text("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%"), "- -");
  info_.flags.set(ResponseFlag::UF);
  info_.upstream_transport_failure = "TLS error";
  EXPECT_EQ(text("%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%"),
            "UF via_upstream TLS_error");
}

TEST_F(LogFormatTest, TheStreamAndItsConnection) {
  EXPECT_EQ(text("%UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %ROUTE_NAME% "
                 "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
            "outbound|80||a outbound|80||a - 2");
  EXPECT_EQ(text("%CONNECTION_ID% %REQUESTED_SERVER_NAME% %FILTER_CHAIN_NAME% %STREAM_ID:8%"),
            "42 sni.example - 8b344359");
}

TEST_F(LogFormatTest, WhatTheProcessKnows) {
  setenv("REMORA_LOG_TEST", "value", 1);
  EXPECT_EQ(text("%ENVIRONMENT(REMORA_LOG_TEST)% %ENVIRONMENT(REMORA_NO_SUCH)%"), "value -");
  EXPECT_NE(text("%HOSTNAME%"), "-");
}

TEST_F(LogFormatTest, GrpcStatusInThreeSpellings) {
  EXPECT_EQ(text("%GRPC_STATUS%"), "-");
  request_.add(HeaderId::ContentType, "application/grpc+proto");
  response_.add(HeaderId::GrpcStatus, "4");
  EXPECT_EQ(
      text("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%"),
      "DeadlineExceeded DEADLINE_EXCEEDED 4 4");
  response_.set(HeaderId::GrpcStatus, "99");
  EXPECT_EQ(text("%GRPC_STATUS%"), "99");
  response_.set(HeaderId::GrpcStatus, "junk");
  EXPECT_EQ(text("%GRPC_STATUS% %GRPC_STATUS_NUMBER%"), "-1 -1");
  response_.remove(HeaderId::GrpcStatus);
  info_.response_code = 503;
  EXPECT_EQ(text("%GRPC_STATUS%"), "Unavailable");
}

TEST_F(LogFormatTest, ATcpSessionHasNoHttpFacts) {
  info_.is_http = false;
  info_.request_headers = info_.response_headers = nullptr;
  info_.response_code = 0;
  EXPECT_EQ(text("%PROTOCOL% %REQ(:PATH)% %RESPONSE_CODE% %BYTES_SENT% %ACCESS_LOG_TYPE%"),
            "- - 0 1024 TcpConnectionEnd");
}

TEST_F(LogFormatTest, OmittedValuesLeaveNothing) {
  EXPECT_EQ(text("a%REQ(absent)%b", Missing::Empty), "ab");
  EXPECT_EQ(text("a%REQ(absent)%b"), "a-b");
}

TEST_F(LogFormatTest, APercentSignIsWrittenTwice) {
  EXPECT_EQ(text("100%% of %RESPONSE_CODE%"), "100% of 200");
}

TEST_F(LogFormatTest, MistakesAreRefusedWithTheirPosition) {
  EXPECT_EQ(text("ab %NO_SUCH%"), "refused: at position 3: command 'NO_SUCH': unknown");
  EXPECT_EQ(text("%RESPONSE_CODE"), "refused: at position 0: the closing '%' is missing");
  EXPECT_EQ(text("%REQ(x%"), "refused: at position 0: the parenthesis is not closed");
  EXPECT_EQ(text("%REQ%"), "refused: at position 0: command 'REQ': needs an argument");
  EXPECT_EQ(text("%PROTOCOL(x)%"), "refused: at position 0: command 'PROTOCOL': takes no argument");
  EXPECT_EQ(text("%RESPONSE_CODE:3%"),
            "refused: at position 0: command 'RESPONSE_CODE': cannot be cut to that length");
  EXPECT_EQ(text("50% of"), "refused: at position 2: no command name");
  EXPECT_THAT(text("%REQ(a?b?c)%"), HasSubstr("more than one alternative"));
  EXPECT_THAT(text("%COMMON_DURATION(DS_RX_BEG)%"), HasSubstr("expected START:END"));
  EXPECT_THAT(text("%GRPC_STATUS(LOUD)%"), HasSubstr("expected CAMEL_STRING"));
}

TEST_F(LogFormatTest, JsonKeepsTypesAndSortsFields) {
  EXPECT_EQ(
      json({{"path", {"%REQ(:PATH)%"}},
            {"code", {"%RESPONSE_CODE%"}},
            {"missing", {"%REQ(absent)%"}},
            {"mixed", {"%PROTOCOL%/%REQ(absent)%"}},
            {"fixed", {"100%% \"here\""}},
            {"number", {2.5}},
            {"whole", {3.0}},
            {"flag", {true}},
            {"nothing", {nullptr}}}),
      R"({"code":200,"fixed":"100% \"here\"","flag":true,"missing":null,"mixed":"HTTP/1.1/-","nothing":null,)"
      R"("number":2.5,"path":"/index.html?a=b","whole":3})"
      "\n");
}

TEST_F(LogFormatTest, JsonNests) {
  EXPECT_EQ(json({{"a", {JsonTemplate::Fields{{"b", {"%BYTES_SENT%"}}}}},
                  {"l", {JsonTemplate::Items{{"%REQ(absent)%"}, {"x"}, {1.0}}}}}),
            R"({"a":{"b":1024},"l":[null,"x",1]})"
            "\n");
}

TEST_F(LogFormatTest, JsonLeavesOutWhatIsMissingWhenAsked) {
  EXPECT_EQ(json({{"a", {"%REQ(absent)%"}},
                  {"b", {"%RESPONSE_CODE%"}},
                  {"c", {"%RESPONSE_FLAGS%"}},
                  {"l", {JsonTemplate::Items{{"%REQ(absent)%"}, {"x"}}}}},
                 Missing::Empty),
            R"({"b":200,"c":"-","l":["x"]})"
            "\n");
}

TEST_F(LogFormatTest, JsonEscapesWhatClientsSend) {
  EXPECT_EQ(json({{"q", {"%REQ(x-quoted)%"}}, {"s", {"<%REQ(x-quoted)%>"}}}),
            R"({"q":"a\"b\\c\nd\ufffdé","s":"<a\"b\\c\nd\ufffdé>"})"
            "\n");
}

TEST_F(LogFormatTest, MistakesInJsonNameTheField) {
  EXPECT_EQ(json({{"a", {JsonTemplate::Fields{{"b", {"%NO%"}}}}}}),
            "refused: field 'a': field 'b': at position 0: command 'NO': unknown");
}

}  // namespace
}  // namespace remora::telemetry
