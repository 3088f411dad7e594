// Chooses of two hosts the one that is likely to answer sooner: by a moving average of how long its
// answers took to begin, which follows peaks at once and falls back with time, times the requests
// that it has in flight. What is measured is kept in the host, for all workers; the picker is owned
// by the list balancer; one thread. Document:
// envoy.extensions.load_balancing_policies.peak_ewma.v3alpha.PeakEwma.
#pragma once

#include <cstdint>
#include <memory>

#include "proxy/upstream/balancer.h"

namespace remora::upstream {

struct PeakEwmaConfig {
  double decay_ms = 10'000;       // in so long the average goes the better part of the way
  double default_answer_ms = 10;  // of a host that was never asked
  double penalty = 1'000'000;     // the cost of one that has been asked and never answered
};

/// The average of `host` in milliseconds when it was last measured; 0: it never was.
double average_answer_ms(const Host& host);

/// An answer of `host` began `took_ms` after its request, at `now`. No lock, no allocation.
void note_answer(const Host& host, double took_ms, MonotonicMs now, const PeakEwmaConfig& config);

class PeakEwma final : public ListPicker {
 public:
  PeakEwma(const HostList& hosts, std::shared_ptr<const PeakEwmaConfig> config,
           WorkerContext& worker)
      : hosts_(hosts), config_(std::move(config)), worker_(worker) {}
  const HostPtr& pick() override;

 private:
  double cost(const Host& host, MonotonicMs now) const;

  const HostList& hosts_;
  std::shared_ptr<const PeakEwmaConfig> config_;
  WorkerContext& worker_;
};

}  // namespace remora::upstream
