#include "xds/translate/http2_options.h"

#include <gmock/gmock.h>

#include "xds/translate/test_support.h"

namespace remora::xds::translate {
namespace {

using envoy::config::core::v3::Http2ProtocolOptions;
using http2::SessionOptions;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class Http2OptionsTest : public TranslateTest {
 protected:
  SessionOptions compile(std::string_view yaml, std::optional<bool> stream_error = std::nullopt) {
    auto options = http2_options(from_yaml<Http2ProtocolOptions>(yaml), Path(), stream_error);
    EXPECT_TRUE(options.ok()) << options.status();
    return options.ok() ? *options : SessionOptions();
  }
};

TEST_F(Http2OptionsTest, DefaultsAreEnvoys) {
  const SessionOptions options = compile("{}");
  EXPECT_EQ(options, SessionOptions());
  EXPECT_FALSE(options.initial_stream_window) << "follows the link";
  EXPECT_FALSE(options.initial_connection_window);
  EXPECT_EQ(options.max_concurrent_streams, 1024u);
  EXPECT_EQ(options.hpack_table_bytes, 4096u);
  EXPECT_EQ(options.flood.max_outbound_frames, 10'000u);
  EXPECT_EQ(options.flood.max_outbound_control_frames, 1000u);
  EXPECT_EQ(options.flood.max_consecutive_empty_frames, 1u);
  EXPECT_EQ(options.flood.max_priority_frames_per_stream, 100u);
  EXPECT_EQ(options.flood.max_window_updates_per_data_frame, 10u);
  EXPECT_EQ(options.keepalive_interval_ms, 0u);
  EXPECT_FALSE(options.stream_error_on_invalid_message);
}

TEST_F(Http2OptionsTest, EverythingThatCanBeSaid) {
  const SessionOptions options = compile(R"yaml(
hpack_table_size: 0
max_concurrent_streams: 2147483647
initial_stream_window_size: 65535
initial_connection_window_size: 65536
allow_connect: true
max_outbound_frames: 2
max_outbound_control_frames: 3
max_consecutive_inbound_frames_with_empty_payload: 0
max_inbound_priority_frames_per_stream: 5
max_inbound_window_update_frames_per_data_frame_sent: 6
connection_keepalive:
  interval: 10s
  timeout: 1.5s
  interval_jitter: {value: 2.5}
  connection_idle_interval: 0.001s
)yaml");
  EXPECT_EQ(options.hpack_table_bytes, 0u);
  EXPECT_EQ(options.max_concurrent_streams, 2147483647u);
  EXPECT_EQ(options.initial_stream_window, 65535u);
  EXPECT_EQ(options.initial_connection_window, 65536u);
  EXPECT_TRUE(options.allow_connect);
  EXPECT_EQ(options.flood.max_outbound_frames, 2u);
  EXPECT_EQ(options.flood.max_outbound_control_frames, 3u);
  EXPECT_EQ(options.flood.max_consecutive_empty_frames, 0u);
  EXPECT_EQ(options.flood.max_priority_frames_per_stream, 5u);
  EXPECT_EQ(options.flood.max_window_updates_per_data_frame, 6u);
  EXPECT_EQ(options.keepalive_interval_ms, 10'000u);
  EXPECT_EQ(options.keepalive_timeout_ms, 1500u);
  EXPECT_EQ(options.keepalive_jitter_percent, 2.5);
  EXPECT_EQ(options.keepalive_idle_ms, 1u);
}

TEST_F(Http2OptionsTest, WhoDecidesAboutInvalidMessages) {
  EXPECT_FALSE(compile("{}").stream_error_on_invalid_message);
  EXPECT_TRUE(compile("{}", true).stream_error_on_invalid_message);
  const std::string old = "{stream_error_on_invalid_http_messaging: true}";
  EXPECT_TRUE(compile(old).stream_error_on_invalid_message);
  EXPECT_FALSE(compile(old, false).stream_error_on_invalid_message);
  EXPECT_FALSE(compile("{override_stream_error_on_invalid_http_message: false}", true)
                   .stream_error_on_invalid_message);
}

TEST_F(Http2OptionsTest, CustomSettingsMeanTheFieldsThatThereAre) {
  const SessionOptions options = compile(R"yaml(
custom_settings_parameters:
- {identifier: 1, value: 7}
- {identifier: 3, value: 8}
- {identifier: 4, value: 70000}
- {identifier: 2, value: 0}
- {identifier: 10, value: 4294967295}
- {identifier: 10, value: 4294967295}
)yaml");
  EXPECT_EQ(options.hpack_table_bytes, 7u);
  EXPECT_EQ(options.max_concurrent_streams, 8u);
  EXPECT_EQ(options.initial_stream_window, 70000u);
  EXPECT_THAT(options.extra_settings, ElementsAre(Pair(10, 4294967295u)));
}

TEST_F(Http2OptionsTest, Refusals) {
  const Refusal refused[] = {
      {"{max_concurrent_streams: 0}", "max_concurrent_streams: must be from 1 to 2147483647"},
      {"{max_concurrent_streams: 2147483648}", "max_concurrent_streams: must be from 1"},
      {"{initial_stream_window_size: 65534}",
       "initial_stream_window_size: must be from 65535 to 2147483647"},
      {"{initial_stream_window_size: 2147483648}", "initial_stream_window_size: must be from"},
      {"{initial_connection_window_size: 65534}", "initial_connection_window_size: must be from"},
      {"{max_outbound_frames: 0}", "max_outbound_frames: must be at least 1"},
      {"{max_outbound_control_frames: 0}", "max_outbound_control_frames: must be at least 1"},
      {"{max_inbound_window_update_frames_per_data_frame_sent: 0}",
       "max_inbound_window_update_frames_per_data_frame_sent: must be at least 1"},
      {"{connection_keepalive: {}}", "connection_keepalive.timeout: is required"},
      {"{connection_keepalive: {timeout: 0s}}", "connection_keepalive.timeout: must be at least"},
      {"{connection_keepalive: {timeout: 1s, interval: 0.0009s}}",
       "connection_keepalive.interval: must be at least 0.001s"},
      {"{connection_keepalive: {timeout: 1s, connection_idle_interval: 0s}}",
       "connection_keepalive.connection_idle_interval: must be at least"},
      {"{connection_keepalive: {timeout: 1s, interval_jitter: {value: 101}}}",
       "connection_keepalive.interval_jitter: must be from 0 to 100"},
      {"{connection_keepalive: {timeout: 1s, interval_jitter: {value: NaN}}}",
       "connection_keepalive.interval_jitter: must be from 0 to 100"},
      {"{custom_settings_parameters: [{identifier: 10}]}",
       "custom_settings_parameters[0].value: is required"},
      {"{custom_settings_parameters: [{value: 1}]}",
       "custom_settings_parameters[0].identifier: is required"},
      {"{custom_settings_parameters: [{identifier: 65536, value: 1}]}",
       "custom_settings_parameters[0].identifier: must be from 0 to 65535"},
      {"{custom_settings_parameters: [{identifier: 2, value: 1}]}",
       "custom_settings_parameters[0]: server push is not supported"},
      {"{custom_settings_parameters: [{identifier: 6, value: 1}]}",
       "custom_settings_parameters[0]: is what the limits of headers say already"},
      {"{custom_settings_parameters: [{identifier: 8, value: 1}]}",
       "custom_settings_parameters[0]: is to be said with allow_connect"},
      {"{custom_settings_parameters: [{identifier: 4, value: 4294967295}]}",
       "custom_settings_parameters[0].value: must be from 65535 to 2147483647"},
      {"{custom_settings_parameters: [{identifier: 5, value: 1}]}",
       "custom_settings_parameters[0].value: must be from 16384 to 16777215"},
      {"{custom_settings_parameters: [{identifier: 9, value: 2}]}",
       "custom_settings_parameters[0].value: must be from 0 to 1"},
      {"{hpack_table_size: 1, custom_settings_parameters: [{identifier: 1, value: 1}]}",
       "custom_settings_parameters[0]: is what hpack_table_size says already"},
      {"{custom_settings_parameters: [{identifier: 10, value: 1}, {identifier: 10, value: 2}]}",
       "custom_settings_parameters[1]: contradicts an earlier element"},
  };
  for (const Refusal& c : refused) {
    auto options = http2_options(from_yaml<Http2ProtocolOptions>(c.yaml), Path());
    ASSERT_FALSE(options.ok()) << "accepted: " << c.yaml;
    EXPECT_THAT(std::string(options.status().message()), HasSubstr(std::string(c.reason)));
  }
}

}  // namespace
}  // namespace remora::xds::translate
