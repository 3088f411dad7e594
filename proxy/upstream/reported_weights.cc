#include "proxy/upstream/reported_weights.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace remora::upstream {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

/// None: the host has not reported for long enough, or not of late.
std::optional<uint32_t> weight_that_counts(HostLoad& load, const ReportedWeightsConfig& config,
                                           MonotonicMs now) {
  const MonotonicMs since = load.reports_since.load(kRelaxed);
  if (since == 0 || now < since + config.blackout_ms) return std::nullopt;
  if (load.last_report.load(kRelaxed) + config.expiration_ms < now) {
    load.reports_since.store(0, kRelaxed);
    return std::nullopt;
  }
  return std::max<uint32_t>(load.reported_weight.load(kRelaxed), 1);
}

/// The mean of the two in the middle when there is none; 1 without any. Reorders `weights`.
uint32_t median(std::vector<uint32_t>& weights) {
  if (weights.empty()) return 1;
  const auto middle = weights.begin() + static_cast<std::ptrdiff_t>(weights.size() / 2);
  std::nth_element(weights.begin(), middle, weights.end());
  if (weights.size() % 2 == 1) return *middle;
  const uint64_t below = *std::max_element(weights.begin(), middle);
  return static_cast<uint32_t>((below + *middle) / 2);
}

}  // namespace

bool note_load_report(const Host& host, const http::HeaderMap& headers,
                      const ReportedWeightsConfig& config, MonotonicMs now) {
  const auto report = read_load_report(headers, config.metrics);
  if (!report) return false;
  const auto weight = weight_by_report(*report, config.error_penalty);
  if (!weight) return true;
  const MonotonicMs at = std::max<MonotonicMs>(now, 1);
  host.load.reported_weight.store(*weight, kRelaxed);
  host.load.last_report.store(at, kRelaxed);
  MonotonicMs none = 0;
  host.load.reports_since.compare_exchange_strong(none, at, kRelaxed);
  return true;
}

ReportedWeights::ReportedWeights(std::shared_ptr<const ReportedWeightsConfig> config,
                                 const HostSet& hosts, WorkerContext& worker,
                                 std::function<void()> on_change)
    : config_(std::move(config)),
      hosts_(hosts),
      worker_(worker),
      on_change_(std::move(on_change)),
      timer_(worker.timers(), Timer::bind<&ReportedWeights::on_timer, ReportedWeights>(), this) {
  update();
  timer_.arm(config_->update_ms);
}

void ReportedWeights::on_timer() {
  timer_.arm(config_->update_ms);
  if (update()) on_change_();
}

bool ReportedWeights::update() {
  const MonotonicMs now = worker_.loop().time().now_ms;
  std::vector<uint32_t> all;
  std::vector<uint32_t> known;
  for (const PriorityHosts& priority : hosts_.priorities) {
    const size_t first = all.size();
    known.clear();
    for (const HostPtr& host : priority.hosts) {
      all.push_back(weight_that_counts(host->load, *config_, now).value_or(0));
      if (all.back() != 0) known.push_back(all.back());
    }
    const uint32_t otherwise = median(known);
    for (size_t i = 0; i < priority.hosts.size(); ++i) {
      uint32_t& weight = all[first + i];
      if (weight == 0) weight = otherwise;
      priority.hosts[i]->set_weight(weight);
    }
  }
  const bool changed = all != weights_;
  weights_ = std::move(all);
  return changed;
}

}  // namespace remora::upstream
