// Limits on inbound frames.
#include "proxy/http2/flood_limits.h"

#include <nghttp2/nghttp2.h>

#include <utility>

namespace remora::http2 {

std::string_view FloodGuard::on_rated(uint32_t& count, uint32_t limit, std::string_view detail) {
  return ++count > limit ? detail : std::string_view();
}

std::string_view FloodGuard::on_frame(const Frame& frame, MonotonicMs now) {
  if (now - window_began_ >= kRateWindowMs) {
    window_began_ = now;
    settings_ = pings_ = stray_resets_ = streams_in_window_ = 0;
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
      return on_rated(stray_resets_, limits_.max_stray_resets + streams_in_window_,
                      "http2.reset_flood");
    default:
      return {};
  }
}

std::optional<stats::Http2Stat> FloodGuard::counter_of(std::string_view detail) {
  using Stat = stats::Http2Stat;
  static constexpr std::pair<std::string_view, Stat> kCounters[] = {
      {"http2.inbound_empty_frames_flood", Stat::inbound_empty_frames_flood},
      {"http2.priority_frames_flood", Stat::inbound_priority_frames_flood},
      {"http2.window_update_flood", Stat::inbound_window_update_frames_flood},
      {"http2.settings_flood", Stat::outbound_control_flood},
      {"http2.ping_flood", Stat::outbound_control_flood},
      {"http2.outbound_control_frames_flood", Stat::outbound_control_flood},
      {"http2.outbound_frames_flood", Stat::outbound_flood},
  };
  for (const auto& [name, stat] : kCounters) {
    if (name == detail) return stat;
  }
  return std::nullopt;
}

void OutboundFrames::on_frame(uint8_t type) {
  ++frames_;
  ++now_.frames;
  const bool control =
      type == NGHTTP2_PING || type == NGHTTP2_SETTINGS || type == NGHTTP2_RST_STREAM;
  control_ += control;
  now_.control += control;
}

void OutboundFrames::on_turn(size_t appended, size_t waiting) {
  written_ += appended;
  if (now_.frames > 0) {
    now_.end = written_;
    turns_.push_back(std::exchange(now_, {}));
  }
  const uint64_t left = written_ - waiting;
  size_t gone = 0;
  for (; gone < turns_.size() && turns_[gone].end <= left; ++gone) {
    frames_ -= turns_[gone].frames;
    control_ -= turns_[gone].control;
  }
  turns_.erase(turns_.begin(), turns_.begin() + static_cast<ptrdiff_t>(gone));
}

std::string_view OutboundFrames::flood(size_t queued) const {
  if (control_ > limits_.max_outbound_control_frames) return "http2.outbound_control_frames_flood";
  if (frames_ + queued > limits_.max_outbound_frames) return "http2.outbound_frames_flood";
  return {};
}

}  // namespace remora::http2
