#include "xds/translate/access_log.h"

#include <gmock/gmock.h>

#include <variant>

#include "proxy/http/failure.h"
#include "proxy/telemetry/access_log.h"
#include "xds/translate/log_filter.h"
#include "xds/translate/test_support.h"

namespace remora::xds::translate {
namespace {

using envoy::config::accesslog::v3::AccessLogFilter;
using telemetry::LogFilter;
using testing::ElementsAre;
using testing::HasSubstr;

class AccessLogTest : public TranslateTest {
 protected:
  AccessLogTest() { context.access_logs = &sinks; }

  absl::StatusOr<AccessLogs> compile(std::string_view yaml) {
    google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog> logs;
    logs.Add(from_yaml<envoy::config::accesslog::v3::AccessLog>(yaml));
    return access_logs(logs, "access_log", context, Path());
  }
  /// `fields` of a log to standard output.
  absl::StatusOr<AccessLogs> to_stdout(std::string_view fields) {
    return compile(
        "typed_config: {'@type': "
        "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog, " +
        std::string(fields) + "}");
  }
  LogFilter filter(std::string_view yaml) {
    auto compiled = log_filter(from_yaml<AccessLogFilter>(yaml), context, Path());
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    return compiled.ok() ? *compiled : LogFilter();
  }

  telemetry::AccessLogSinks sinks{1000, 2};
};

TEST_F(AccessLogTest, GoesToFilesAndStreams) {
  auto file = compile(
      "typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, "
      "path: /dev/null, log_format: {text_format_source: {inline_string: "
      "'%RESPONSE_CODE%'}}}");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->size(), 1u);
  EXPECT_TRUE(to_stdout("log_format: {json_format: {code: '%RESPONSE_CODE%', nested: [1, true, "
                        "null]}, omit_empty_values: true}")
                  .ok());
  auto stderr_log = compile(
      "typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog}");
  EXPECT_EQ(stderr_log->size(), 1u);
}

TEST_F(AccessLogTest, LoggersOfUnknownTypesAreReportedAndLeftOut) {
  auto logs = compile("typed_config: {'@type': type.googleapis.com/a.b.Logger}");
  ASSERT_TRUE(logs.ok()) << logs.status();
  EXPECT_TRUE(logs->empty());
  EXPECT_THAT(reported,
              ElementsAre(HasSubstr("access_log[0].typed_config: unknown type a.b.Logger")));
}

TEST_F(AccessLogTest, FiltersKeepWhatTheySay) {
  const auto code = std::get<LogFilter::StatusCode>(
      filter("status_code_filter: {comparison: {op: GE, value: {default_value: 400}}}").what);
  EXPECT_EQ(code.comparison.op, LogFilter::Comparison::Op::AtLeast);
  EXPECT_EQ(code.comparison.value, 400u);
  const auto flags =
      std::get<LogFilter::ResponseFlags>(filter("response_flag_filter: {flags: [UH, DC]}").what);
  EXPECT_EQ(flags.bits, 1ull << static_cast<int>(http::ResponseFlag::UH) |
                            1ull << static_cast<int>(http::ResponseFlag::DC));
  const auto grpc = std::get<LogFilter::GrpcStatus>(
      filter("grpc_status_filter: {statuses: [UNAVAILABLE], exclude: true}").what);
  EXPECT_EQ(grpc.statuses, 1ull << 14);
  EXPECT_TRUE(grpc.exclude);
  const auto sampled = std::get<LogFilter::Sampled>(
      filter("runtime_filter: {runtime_key: k, percent_sampled: {numerator: 5, denominator: "
             "TEN_THOUSAND}}")
          .what);
  EXPECT_EQ(sampled.numerator, 5u);
  EXPECT_EQ(sampled.denominator, 10'000u);
  const auto all = std::get<LogFilter::All>(
      filter("and_filter: {filters: [{not_health_check_filter: {}}, {or_filter: {filters: "
             "[{header_filter: {header: {name: a}}}, {duration_filter: {comparison: {value: "
             "{default_value: 7}}}}]}}]}")
          .what);
  ASSERT_EQ(all.of.size(), 2u);
  EXPECT_EQ(std::get<LogFilter::Any>(all.of[1].what).of.size(), 2u);
}

TEST_F(AccessLogTest, RuntimeReplacesNumbers) {
  google::protobuf::Struct layer;
  (*layer.mutable_fields())["code"].set_number_value(500);
  (*layer.mutable_fields())["share"].set_number_value(30);
  runtime.add_layer("base", &layer);
  EXPECT_EQ(std::get<LogFilter::StatusCode>(
                filter("status_code_filter: {comparison: {value: {default_value: 400, "
                       "runtime_key: code}}}")
                    .what)
                .comparison.value,
            500u);
  EXPECT_EQ(
      std::get<LogFilter::Sampled>(filter("runtime_filter: {runtime_key: share}").what).numerator,
      300'000u);
}

TEST_F(AccessLogTest, AFilterThatIsNotSupportedLogsEverythingAndIsReported) {
  EXPECT_TRUE(std::holds_alternative<LogFilter::Everything>(filter("{}").what));
  EXPECT_EQ(reported.size(), 1u);
}

TEST_F(AccessLogTest, WhatCannotBeHonouredIsRefusedWithItsPlace) {
  const auto said = [](const absl::StatusOr<AccessLogs>& logs) {
    return std::string(logs.status().message());
  };
  EXPECT_THAT(said(to_stdout("log_format: {text_format: '%NONESUCH%'}")),
              HasSubstr("access_log[0].typed_config.log_format.text_format: "));
  EXPECT_THAT(said(to_stdout("log_format: {}")), HasSubstr("log_format: has no format"));
  EXPECT_THAT(said(to_stdout("log_format: {json_format: {a: '%NONESUCH%'}}")),
              HasSubstr("log_format.json_format: "));
  EXPECT_THAT(said(compile("typed_config: {'@type': "
                           "type.googleapis.com/"
                           "envoy.extensions.access_loggers.file.v3.FileAccessLog}")),
              HasSubstr("access_log[0].typed_config.path: is required"));
  EXPECT_THAT(said(compile("typed_config: {'@type': "
                           "type.googleapis.com/"
                           "envoy.extensions.access_loggers.file.v3.FileAccessLog, path: "
                           "/nonesuch/log}")),
              HasSubstr("access_log[0].typed_config.path: "));
  EXPECT_THAT(said(compile("filter: {and_filter: {filters: [{}]}}")),
              HasSubstr("access_log[0].filter.and_filter.filters: must have at least two"));
}

}  // namespace
}  // namespace remora::xds::translate
