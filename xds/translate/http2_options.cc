#include "xds/translate/http2_options.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>

#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
using core::Http2ProtocolOptions;
using google::protobuf::UInt32Value;
using http2::SessionOptions;

constexpr uint32_t kMax31 = 0x7fffffff;
constexpr uint32_t kMinWindow = 65535;
constexpr int kMaxCustomSettings = 64;

// Identifiers in SETTINGS (RFC 9113 section 6.5.2, RFC 8441, RFC 9218).
enum Setting : uint32_t {
  kHeaderTableSize = 1,
  kEnablePush = 2,
  kMaxConcurrentStreams = 3,
  kInitialWindowSize = 4,
  kMaxFrameSize = 5,
  kMaxHeaderListSize = 6,
  kEnableConnectProtocol = 8,
  kNoPriorities = 9,
};

struct Range {
  uint32_t low = 0;
  uint32_t high = UINT32_MAX;
};

absl::Status check(uint32_t value, Range range, const Path& path) {
  if (value >= range.low && value <= range.high) return absl::OkStatus();
  if (range.high == UINT32_MAX) return path.error(absl::StrCat("must be at least ", range.low));
  return path.error(absl::StrCat("must be from ", range.low, " to ", range.high));
}

/// Leaves `out` as it is when nothing is said.
absl::Status read(bool said, const UInt32Value& from, Range range, uint32_t* out,
                  const Path& path) {
  if (!said) return absl::OkStatus();
  *out = from.value();
  return check(*out, range, path);
}

absl::Status read(bool said, const UInt32Value& from, Range range, std::optional<uint32_t>* out,
                  const Path& path) {
  if (!said) return absl::OkStatus();
  *out = from.value();
  return check(**out, range, path);
}

absl::Status read_settings(const Http2ProtocolOptions& from, SessionOptions* out,
                           const Path& path) {
  REMORA_TRY(read(from.has_hpack_table_size(), from.hpack_table_size(), {}, &out->hpack_table_bytes,
                  path.field("hpack_table_size")));
  REMORA_TRY(read(from.has_max_concurrent_streams(), from.max_concurrent_streams(), {1, kMax31},
                  &out->max_concurrent_streams, path.field("max_concurrent_streams")));
  REMORA_TRY(read(from.has_initial_stream_window_size(), from.initial_stream_window_size(),
                  {kMinWindow, kMax31}, &out->initial_stream_window,
                  path.field("initial_stream_window_size")));
  REMORA_TRY(read(from.has_initial_connection_window_size(), from.initial_connection_window_size(),
                  {kMinWindow, kMax31}, &out->initial_connection_window,
                  path.field("initial_connection_window_size")));
  out->allow_connect = from.allow_connect();
  return absl::OkStatus();
}

absl::Status read_flood_limits(const Http2ProtocolOptions& from, http2::FloodLimits* out,
                               const Path& path) {
  REMORA_TRY(read(from.has_max_outbound_frames(), from.max_outbound_frames(), {1},
                  &out->max_outbound_frames, path.field("max_outbound_frames")));
  REMORA_TRY(read(from.has_max_outbound_control_frames(), from.max_outbound_control_frames(), {1},
                  &out->max_outbound_control_frames, path.field("max_outbound_control_frames")));
  REMORA_TRY(read(from.has_max_consecutive_inbound_frames_with_empty_payload(),
                  from.max_consecutive_inbound_frames_with_empty_payload(), {},
                  &out->max_consecutive_empty_frames,
                  path.field("max_consecutive_inbound_frames_with_empty_payload")));
  REMORA_TRY(read(from.has_max_inbound_priority_frames_per_stream(),
                  from.max_inbound_priority_frames_per_stream(), {},
                  &out->max_priority_frames_per_stream,
                  path.field("max_inbound_priority_frames_per_stream")));
  return read(from.has_max_inbound_window_update_frames_per_data_frame_sent(),
              from.max_inbound_window_update_frames_per_data_frame_sent(), {1},
              &out->max_window_updates_per_data_frame,
              path.field("max_inbound_window_update_frames_per_data_frame_sent"));
}

absl::StatusOr<uint64_t> one_millisecond_or_more(const google::protobuf::Duration& duration,
                                                 const Path& path) {
  if (duration.seconds() == 0 && duration.nanos() >= 0 && duration.nanos() < 1'000'000) {
    return path.error("must be at least 0.001s");
  }
  return milliseconds(duration, path);
}

absl::Status read_keepalive(const core::KeepaliveSettings& from, SessionOptions* out,
                            const Path& path) {
  if (!from.has_timeout()) return path.field("timeout").error("is required");
  REMORA_TRY_ASSIGN(out->keepalive_timeout_ms,
                    one_millisecond_or_more(from.timeout(), path.field("timeout")));
  if (from.has_interval()) {
    REMORA_TRY_ASSIGN(out->keepalive_interval_ms,
                      one_millisecond_or_more(from.interval(), path.field("interval")));
  }
  if (from.has_interval_jitter()) {
    out->keepalive_jitter_percent = from.interval_jitter().value();
    if (!(out->keepalive_jitter_percent >= 0 && out->keepalive_jitter_percent <= 100)) {
      return path.field("interval_jitter").error("must be from 0 to 100");
    }
  }
  if (!from.has_connection_idle_interval()) return absl::OkStatus();
  REMORA_TRY_ASSIGN(out->keepalive_idle_ms,
                    one_millisecond_or_more(from.connection_idle_interval(),
                                            path.field("connection_idle_interval")));
  return absl::OkStatus();
}

/// A custom parameter that has a field of its own means that field.
absl::Status read_custom_setting(uint32_t id, uint32_t value, const Http2ProtocolOptions& from,
                                 SessionOptions* out, const Path& path) {
  const auto named = [&](bool said, Range range, auto* target, const char* name) {
    if (said) return path.error(absl::StrCat("is what ", name, " says already"));
    *target = value;
    return check(value, range, path.field("value"));
  };
  switch (id) {
    case kHeaderTableSize:
      return named(from.has_hpack_table_size(), {}, &out->hpack_table_bytes, "hpack_table_size");
    case kMaxConcurrentStreams:
      return named(from.has_max_concurrent_streams(), {1, kMax31}, &out->max_concurrent_streams,
                   "max_concurrent_streams");
    case kInitialWindowSize:
      return named(from.has_initial_stream_window_size(), {kMinWindow, kMax31},
                   &out->initial_stream_window, "initial_stream_window_size");
    case kEnablePush:
      return value == 0 ? absl::OkStatus() : path.error("server push is not supported");
    case kEnableConnectProtocol:
      return path.error("is to be said with allow_connect");
    case kMaxHeaderListSize:
      return path.error("is what the limits of headers say already");
    case kMaxFrameSize:
      REMORA_TRY(check(value, {16384, 16777215}, path.field("value")));
      break;
    case kNoPriorities:
      REMORA_TRY(check(value, {0, 1}, path.field("value")));
      break;
    default:
      break;
  }
  out->extra_settings.emplace_back(static_cast<uint16_t>(id), value);
  return absl::OkStatus();
}

absl::Status read_custom_settings(const Http2ProtocolOptions& from, SessionOptions* out,
                                  const Path& path) {
  const auto& parameters = from.custom_settings_parameters();
  if (parameters.size() > kMaxCustomSettings) {
    return path.field("custom_settings_parameters").error("has more than 64 elements");
  }
  for (int i = 0; i < parameters.size(); ++i) {
    const Path here = path.at("custom_settings_parameters", i);
    if (!parameters[i].has_identifier()) return here.field("identifier").error("is required");
    if (!parameters[i].has_value()) return here.field("value").error("is required");
    const uint32_t id = parameters[i].identifier().value();
    const uint32_t value = parameters[i].value().value();
    REMORA_TRY(check(id, {0, UINT16_MAX}, here.field("identifier")));
    const auto earlier =
        std::find_if(parameters.begin(), parameters.begin() + i,
                     [id](const auto& parameter) { return parameter.identifier().value() == id; });
    if (earlier == parameters.begin() + i) {
      REMORA_TRY(read_custom_setting(id, value, from, out, here));
    } else if (earlier->value().value() != value) {
      return here.error("contradicts an earlier element with the same identifier");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SessionOptions> http2_options(const Http2ProtocolOptions& from, const Path& path,
                                             std::optional<bool> stream_error) {
  SessionOptions out;
  REMORA_TRY(read_settings(from, &out, path));
  REMORA_TRY(read_flood_limits(from, &out.flood, path));
  REMORA_TRY(read_custom_settings(from, &out, path));
  if (from.has_connection_keepalive()) {
    REMORA_TRY(
        read_keepalive(from.connection_keepalive(), &out, path.field("connection_keepalive")));
  }
  out.stream_error_on_invalid_message =
      from.has_override_stream_error_on_invalid_http_message()
          ? from.override_stream_error_on_invalid_http_message().value()
          : stream_error.value_or(from.stream_error_on_invalid_http_messaging());
  return out;
}

}  // namespace remora::xds::translate
