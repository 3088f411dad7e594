// Limits on inbound frames.
#include "proxy/http2/flood_limits.h"

#include <nghttp2/nghttp2.h>

namespace remora::http2 {

std::string_view FloodGuard::on_rated(uint32_t& count, uint32_t limit, std::string_view detail) {
  return ++count > limit ? detail : std::string_view();
}

std::string_view FloodGuard::on_frame(const Frame& frame, MonotonicMs now) {
  if (now - window_began_ >= kRateWindowMs) {
    window_began_ = now;
    settings_ = pings_ = stray_resets_ = 0;
  }
  switch (frame.type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
      if (frame.length > 0 || (frame.flags & NGHTTP2_FLAG_END_STREAM)) {
        consecutive_empty_ = 0;
        return {};
      }
      return on_rated(consecutive_empty_, limits_.max_consecutive_empty_frames,
                      "http2.inbound_empty_frames_flood");
    case NGHTTP2_PRIORITY:
      return ++priority_frames_ > limits_.max_priority_frames_per_stream * (1 + streams_opened_)
                 ? "http2.priority_frames_flood"
                 : "";
    case NGHTTP2_WINDOW_UPDATE:
      return ++window_updates_ >
                     5 + 2 * (streams_opened_ +
                              limits_.max_window_updates_per_data_frame * data_frames_sent_)
                 ? "http2.window_update_flood"
                 : "";
    case NGHTTP2_SETTINGS:
      return on_rated(settings_, limits_.max_settings_frames, "http2.settings_flood");
    case NGHTTP2_PING:
      return on_rated(pings_, limits_.max_ping_frames, "http2.ping_flood");
    case NGHTTP2_RST_STREAM:
      if (frame.stream_known) return {};
      return on_rated(stray_resets_, limits_.max_stray_resets, "http2.reset_flood");
    default:
      return {};
  }
}

}  // namespace remora::http2
