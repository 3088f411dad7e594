// Weights that hosts earn by their own load reports: every worker notes the reports in the host,
// and works out now and then what weights follow. Owned by a list balancer; one thread (what is
// noted is shared atomics). Document:
// envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "proxy/base/timer_wheel.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/load_report.h"
#include "proxy/upstream/worker_context.h"

namespace remora::upstream {

struct ReportedWeightsConfig {
  uint64_t blackout_ms = 10'000;     // for so long reports have come before they count
  uint64_t expiration_ms = 180'000;  // after so long without one they no longer do
  uint64_t update_ms = 1000;
  double error_penalty = 0;
  MetricNames metrics;  // that tell the utilization, rather than what the report says of it
};

/// Notes the report in `headers`, if there is one. Answers whether there was.
bool note_load_report(const Host& host, const http::HeaderMap& headers,
                      const ReportedWeightsConfig& config, MonotonicMs now);

class ReportedWeights {
 public:
  /// Sets the weights of `hosts` at once. `on_change`: some were changed, later.
  ReportedWeights(std::shared_ptr<const ReportedWeightsConfig> config, const HostSet& hosts,
                  WorkerContext& worker, std::function<void()> on_change);

 private:
  void on_timer();
  /// Answers whether any weight is another than before.
  bool update();

  std::shared_ptr<const ReportedWeightsConfig> config_;
  const HostSet& hosts_;
  WorkerContext& worker_;
  std::function<void()> on_change_;
  std::vector<uint32_t> weights_;  // in the order of the hosts
  Timer timer_;
};

}  // namespace remora::upstream
