#include "proxy/upstream/peak_ewma.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace remora::upstream {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// The average and when it was last added to, in one word that threads exchange: milliseconds as a
// float, and the lower half of the clock.
struct Average {
  float ms;
  uint32_t at;

  static Average unpack(uint64_t word) {
    return {std::bit_cast<float>(static_cast<uint32_t>(word >> 32)), static_cast<uint32_t>(word)};
  }
  uint64_t pack() const { return uint64_t{std::bit_cast<uint32_t>(ms)} << 32 | at; }
};

/// Of an average, when it was added to `passed_ms` ago.
double part_left(int32_t passed_ms, double decay_ms) {
  if (passed_ms <= 0) return 1;  // another thread's clock reads later
  return decay_ms > 0 ? std::exp(-passed_ms / decay_ms) : 0;
}

float next_average(const Average& before, double took_ms, uint32_t now, double decay_ms) {
  if (before.ms <= 0 || took_ms >= before.ms) return static_cast<float>(took_ms);
  const auto passed = static_cast<int32_t>(now - before.at);
  const double stays = part_left(passed, decay_ms);
  return static_cast<float>(before.ms * stays + took_ms * (1 - stays));
}

}  // namespace

double average_answer_ms(const Host& host) {
  return Average::unpack(host.load.answer_time.load(kRelaxed)).ms;
}

void note_answer(const Host& host, double took_ms, MonotonicMs now, const PeakEwmaConfig& config) {
  constexpr double kLeastMs = 0.001;  // 0 would mean that nothing was measured
  const auto at = static_cast<uint32_t>(now);
  uint64_t word = host.load.answer_time.load(kRelaxed);
  Average next = {};
  do {
    const Average before = Average::unpack(word);
    next = {next_average(before, std::max(took_ms, kLeastMs), at, config.decay_ms), at};
  } while (!host.load.answer_time.compare_exchange_weak(word, next.pack(), kRelaxed));
}

double PeakEwma::cost(const Host& host, MonotonicMs now) const {
  const double active = host.counters.rq_active.load(kRelaxed);
  const Average average = Average::unpack(host.load.answer_time.load(kRelaxed));
  // It falls back while nothing is asked, or a host would never be tried again.
  const auto passed = static_cast<int32_t>(static_cast<uint32_t>(now) - average.at);
  if (average.ms > 0) return average.ms * part_left(passed, config_->decay_ms) * (active + 1);
  return active > 0 ? config_->penalty + active : config_->default_answer_ms;
}

const HostPtr& PeakEwma::pick() {
  const uint64_t random = worker_.random();
  const size_t first = (random >> 32) % hosts_.size();
  size_t second = (random & UINT32_MAX) % (hosts_.size() - 1);
  if (second >= first) ++second;
  // Of two that are alike either was drawn first as likely as the other.
  const MonotonicMs now = worker_.loop().time().now_ms;
  return cost(*hosts_[second], now) < cost(*hosts_[first], now) ? hosts_[second] : hosts_[first];
}

}  // namespace remora::upstream
