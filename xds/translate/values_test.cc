#include "xds/translate/values.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "xds/translate/test_support.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
using testing::HasSubstr;

class ValuesTest : public TranslateTest {};

TEST_F(ValuesTest, DurationsAreMillisecondsAndNeverLostToRounding) {
  const auto ms = [](int64_t seconds, int32_t nanos) {
    google::protobuf::Duration duration;
    duration.set_seconds(seconds);
    duration.set_nanos(nanos);
    return milliseconds(duration, Path("d"));
  };
  EXPECT_EQ(*ms(0, 0), 0u);
  EXPECT_EQ(*ms(0, 1), 1u) << "an almost-zero time is not 'none'";
  EXPECT_EQ(*ms(1, 999'999'999), 1999u);
  EXPECT_EQ(*ms(9223372035, 0), 9223372035'000u);
  EXPECT_FALSE(ms(-1, 0).ok());
  EXPECT_FALSE(ms(0, -1).ok());
  EXPECT_FALSE(ms(1'000'000'000'000, 0).ok());
}

TEST_F(ValuesTest, ConfigSourcesOfEveryKind) {
  const auto source = [](std::string_view yaml) {
    return config_source(from_yaml<core::ConfigSource>(yaml), Path("s"));
  };
  auto file = source("{path_config_source: {path: /, watched_directory: {path: /b}}}");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->kind, ConfigSource::Kind::Path);
  EXPECT_EQ(file->watched_directory, "/b");
  EXPECT_EQ(file->initial_fetch_timeout_ms, 15'000u);
  EXPECT_THAT(std::string(source("{path: /nonesuch}").status().message()),
              HasSubstr("s.path: must refer to an existing path"));
  auto grpc = source(
      "{api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: "
      "[{envoy_grpc: {cluster_name: c, authority: a}, initial_metadata: [{key: k, value: v}]}]}}");
  ASSERT_TRUE(grpc.ok()) << grpc.status();
  EXPECT_EQ(grpc->kind, ConfigSource::Kind::Grpc);
  EXPECT_EQ(grpc->cluster, "c");
  EXPECT_EQ(grpc->initial_metadata.size(), 2u);
  EXPECT_THAT(std::string(source("{}").status().message()), HasSubstr("s: says no source"));
  EXPECT_FALSE(source("{ads: {}, resource_api_version: V2}").ok());
}

TEST_F(ValuesTest, DataSources) {
  const auto text = [](std::string_view yaml) {
    return data_source(from_yaml<core::DataSource>(yaml), Path("d"), 10);
  };
  setenv("REMORA_VALUES_TEST", "from env", 1);
  EXPECT_EQ(*text("{inline_string: a}"), "a");
  EXPECT_EQ(*text("{inline_bytes: YWI=}"), "ab");
  EXPECT_EQ(*text("{environment_variable: REMORA_VALUES_TEST}"), "from env");
  EXPECT_FALSE(text("{environment_variable: REMORA_NONESUCH}").ok());
  EXPECT_FALSE(text("{filename: /nonesuch}").ok());
  EXPECT_FALSE(text("{}").ok());
  EXPECT_THAT(std::string(text("{inline_string: 12345678901}").status().message()),
              HasSubstr("d: is longer than 10 bytes"));
  EXPECT_FALSE(text("{filename: /dev/zero}").ok()) << "a file without end is too long";
}

TEST_F(ValuesTest, HeaderNamesAndValuesThatBreakABlockAreRefused) {
  for (const char* good : {"a", "X-A_b.c", ":path", "!#$%&'*+-.^_`|~"}) {
    EXPECT_TRUE(check_header_name(good, Path("n")).ok()) << good;
  }
  for (const char* bad : {"", ":", "a b", "a:b", "a\r", "\xc3\xa9"}) {
    EXPECT_FALSE(check_header_name(bad, Path("n")).ok()) << bad;
  }
  EXPECT_TRUE(check_header_value("a b\t\xc3", Path("v")).ok());
  EXPECT_FALSE(check_header_value(std::string_view("a\0b", 3), Path("v")).ok());
  EXPECT_FALSE(check_header_value("a\nb", Path("v")).ok());
}

TEST_F(ValuesTest, SocketOptionsAreBytes) {
  const auto options = [](std::string_view yaml) {
    google::protobuf::RepeatedPtrField<core::SocketOption> protos;
    protos.Add(from_yaml<core::SocketOption>(yaml));
    return socket_options(protos, "socket_options", Path());
  };
  auto number = options("{level: 1, name: 9, int_value: 1}");
  ASSERT_TRUE(number.ok());
  EXPECT_EQ(number->at(0).value.size(), sizeof(int));
  EXPECT_EQ(options("{level: 1, name: 9, buf_value: YWJj}")->at(0).value, "abc");
  EXPECT_FALSE(options("{level: 1, name: 9}").ok());
  EXPECT_FALSE(options("{level: -1, name: 9, int_value: 1}").ok());
}

TEST_F(ValuesTest, FractionsFromTheRuntime) {
  auto base = from_yaml<google::protobuf::Struct>(
      "{share: {numerator: 5, denominator: TEN_THOUSAND}, hundredths: 7, much: 700, text: '3'}");
  runtime.add_layer("base", &base);
  const auto of = [this](const char* key) {
    core::RuntimeFractionalPercent percent;
    percent.mutable_default_value()->set_numerator(1);
    percent.set_runtime_key(key);
    return per_million(percent, &runtime);
  };
  EXPECT_EQ(of("share"), 500u);
  EXPECT_EQ(of("hundredths"), 70'000u);
  EXPECT_EQ(of("much"), 1'000'000u);
  EXPECT_EQ(of("text"), 30'000u);
  EXPECT_EQ(of("nonesuch"), 10'000u);
  EXPECT_EQ(of(""), 10'000u);
}

}  // namespace
}  // namespace remora::xds::translate
