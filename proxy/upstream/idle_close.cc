#include "proxy/upstream/idle_close.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <utility>

namespace remora::upstream {
namespace {

/// A server that closes sooner does not wait for more requests at all.
constexpr uint64_t kLeastIdleMs = 10;
/// How much sooner than the host connections are let go: a part of its time within bounds, for what
/// timers and the way there take.
constexpr uint64_t kMarginPart = 5;
constexpr uint64_t kLeastMarginMs = 10;
constexpr uint64_t kMostMarginMs = 2000;
constexpr uint64_t kMostSeconds = 86'400;

bool alike(uint64_t a, uint64_t b) {
  const auto [less, more] = std::minmax(a, b);
  return more - less <= less / 4;
}

}  // namespace

void IdleClose::closed_after(uint64_t idle_ms) {
  if (idle_ms < kLeastIdleMs) return;
  const uint64_t last = std::exchange(last_ms_, idle_ms);
  if (seen_ms_ != 0 && alike(seen_ms_, idle_ms)) {
    seen_ms_ = std::min(seen_ms_, idle_ms);
  } else if (alike(last, idle_ms)) {
    seen_ms_ = std::min(last, idle_ms);
  }
}

uint64_t IdleClose::idle_ms() const {
  if (seen_ms_ == 0 || announced_ms_ == 0) return std::max(seen_ms_, announced_ms_);
  return std::min(seen_ms_, announced_ms_);
}

uint64_t IdleClose::retire_after_ms() const {
  const uint64_t idle = idle_ms();
  if (idle == 0) return UINT64_MAX;
  const uint64_t margin = std::clamp(idle / kMarginPart, kLeastMarginMs, kMostMarginMs);
  return idle - std::min(margin, idle / 2);
}

std::optional<uint64_t> keep_alive_timeout_ms(std::string_view value) {
  for (absl::string_view part :
       absl::StrSplit(absl::string_view(value.data(), value.size()), absl::ByAnyChar(",;"))) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(pair.first), "timeout")) continue;
    uint64_t seconds = 0;
    if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(pair.second), &seconds) || seconds == 0) {
      return std::nullopt;
    }
    return std::min(seconds, kMostSeconds) * 1000;
  }
  return std::nullopt;
}

}  // namespace remora::upstream
