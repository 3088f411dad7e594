// What one HTTP/2 connection is held to, compiled from the configuration: an immutable value.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "proxy/http/underscores.h"
#include "proxy/http2/flood_limits.h"

namespace remora::http2 {

struct SessionOptions {
  // Bytes that one stream, and all, may have in flight to us; nothing: what the link asks for.
  std::optional<uint32_t> initial_stream_window;
  std::optional<uint32_t> initial_connection_window;
  uint32_t hpack_table_bytes = 4096;
  uint32_t max_concurrent_streams = 1024;   // that the peer may open, and we if it allows as many
  uint32_t first_max_streams = 0x7fffffff;  // that we open before the peer says how many
  uint32_t max_header_list_bytes = 60 * 1024;  // received, decoded, 32 more per field
  uint32_t max_headers = 100;
  uint32_t stream_send_high_water =
      256 * 1024;              // bytes waiting in one stream before its user is asked to stop
  bool allow_connect = false;  // SETTINGS_ENABLE_CONNECT_PROTOCOL
  std::vector<std::pair<uint16_t, uint32_t>> extra_settings;  // more parameters, value by number
  /// A malformed message ends its stream alone; otherwise the connection.
  bool stream_error_on_invalid_message = false;
  uint64_t keepalive_interval_ms = 0;  // PING when nothing was read for so long; 0: never
  uint64_t keepalive_timeout_ms = 20'000;
  double keepalive_jitter_percent = 15;  // of the interval, added to it at random
  uint64_t keepalive_idle_ms = 0;  // PING before a stream that comes after so much silence; 0: none
  /// Server: how long the rest of a finished response waits for the client to take more; 0: for
  /// ever.
  uint64_t stream_flush_timeout_ms = 300'000;
  /// Server: what becomes of fields with such names.
  http::Underscores underscores = http::Underscores::Allow;
  FloodLimits flood;
  bool operator==(const SessionOptions&) const = default;
};

}  // namespace remora::http2
