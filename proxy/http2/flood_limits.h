// What an HTTP/2 peer may do that costs it little and us much: counted per connection, judged per
// frame as a pure function of the counts. Owned by the Session; its thread only.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/clock.h"

namespace remora::http2 {

/// Defaults are Envoy's where Envoy has a limit (envoy.config.core.v3.Http2ProtocolOptions).
struct FloodLimits {
  uint32_t max_consecutive_empty_frames =
      1;  // DATA and HEADERS without payload and without END_STREAM
  uint32_t max_priority_frames_per_stream = 100;
  uint32_t max_window_updates_per_data_frame = 10;
  uint32_t max_outbound_control_frames = 1000;  // answers that wait because the peer does not read
  // Per window of kRateWindowMs:
  uint32_t max_settings_frames = 100;
  uint32_t max_ping_frames = 1000;
  uint32_t max_stray_resets = 1000;  // RST_STREAM for streams that are over
};

class FloodGuard {
 public:
  static constexpr uint64_t kRateWindowMs = 10'000;

  explicit FloodGuard(const FloodLimits& limits) : limits_(limits) {}

  struct Frame {
    uint8_t type = 0;  // as on the wire
    uint8_t flags = 0;
    size_t length = 0;  // of the payload
    bool stream_known = false;
  };
  /// Empty while all is well, else the response-code detail of the limit that was passed.
  std::string_view on_frame(const Frame& frame, MonotonicMs now);
  void on_stream_opened() { ++streams_opened_; }
  void on_data_frame_sent() { ++data_frames_sent_; }

 private:
  std::string_view on_rated(uint32_t& count, uint32_t limit, std::string_view detail);

  FloodLimits limits_;
  uint32_t consecutive_empty_ = 0;
  uint64_t priority_frames_ = 0;
  uint64_t window_updates_ = 0;
  uint64_t streams_opened_ = 0;
  uint64_t data_frames_sent_ = 0;
  MonotonicMs window_began_ = 0;
  uint32_t settings_ = 0;
  uint32_t pings_ = 0;
  uint32_t stray_resets_ = 0;
};

}  // namespace remora::http2
