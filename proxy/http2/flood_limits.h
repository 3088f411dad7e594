// What an HTTP/2 peer may do that costs it little and us much: counted per connection, judged per
// frame as a pure function of the counts. Owned by the Session; its thread only.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/stats/schemas.h"

namespace remora::http2 {

/// Defaults are Envoy's where Envoy has a limit (envoy.config.core.v3.Http2ProtocolOptions).
struct FloodLimits {
  uint32_t max_consecutive_empty_frames =
      1;  // DATA and HEADERS without payload and without END_STREAM
  uint32_t max_priority_frames_per_stream = 100;
  uint32_t max_window_updates_per_data_frame = 10;
  uint32_t max_outbound_frames = 10'000;        // that wait because the peer does not read
  uint32_t max_outbound_control_frames = 1000;  // answers among them
  // Per window of kRateWindowMs:
  uint32_t max_settings_frames = 100;
  uint32_t max_ping_frames = 1000;
  // RST_STREAM for streams that are over, beyond the one that each stream opened may cross: a peer
  // that answers early resets every stream whose rest it does not want (RFC 9113 section 8.1).
  uint32_t max_stray_resets = 1000;
  bool operator==(const FloodLimits&) const = default;
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
  void on_stream_opened() {
    ++streams_opened_;
    ++streams_in_window_;
  }
  void on_data_frame_sent() { ++data_frames_sent_; }
  /// The counter of a limit that was passed, by its detail.
  static std::optional<stats::Http2Stat> counter_of(std::string_view detail);

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
  uint32_t streams_in_window_ = 0;
};

/// Frames that were written and have not left yet, told from how many bytes have not.
class OutboundFrames {
 public:
  explicit OutboundFrames(const FloodLimits& limits) : limits_(limits) {}

  /// A frame was appended to the connection's bytes.
  void on_frame(uint8_t type);
  /// At the end of a turn: `appended` bytes were written in it, `waiting` are in the buffer now.
  void on_turn(size_t appended, size_t waiting);
  /// Empty while all is well; `queued` more frames wait to be written.
  std::string_view flood(size_t queued) const;
  uint64_t frames() const { return frames_; }
  uint64_t control_frames() const { return control_; }

 private:
  struct Turn {
    uint64_t end = 0;  // bytes written in all
    uint32_t frames = 0;
    uint32_t control = 0;
  };

  FloodLimits limits_;
  absl::InlinedVector<Turn, 4> turns_;
  Turn now_;
  uint64_t written_ = 0;
  uint64_t frames_ = 0;
  uint64_t control_ = 0;
};

}  // namespace remora::http2
