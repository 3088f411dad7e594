// Least request within a list of hosts, by the requests that all workers have in flight to each.
// Owned by the list balancer; one thread (the counts it reads are shared atomics).
#pragma once

#include "proxy/upstream/balancer.h"
#include "proxy/upstream/edf.h"
#include "proxy/upstream/slow_start.h"

namespace remora::upstream {

/// Equal weights: the least busy of `choice_count` hosts drawn at random.
class LeastRequest final : public ListPicker {
 public:
  LeastRequest(const HostList& hosts, uint32_t choice_count, WorkerContext& worker)
      : hosts_(hosts), choice_count_(choice_count), worker_(worker) {}
  const HostPtr& pick() override;

 private:
  const HostList& hosts_;
  uint32_t choice_count_;
  WorkerContext& worker_;
};

/// Equal weights: the least busy of all, by chance when there are several.
class FullScan final : public ListPicker {
 public:
  FullScan(const HostList& hosts, WorkerContext& worker) : hosts_(hosts), worker_(worker) {}
  const HostPtr& pick() override;

 private:
  const HostList& hosts_;
  WorkerContext& worker_;
};

/// Different weights, or hosts that have only begun: in turn by weight / (requests in flight + 1) ^
/// bias.
class WeightedLeastRequest final : public ListPicker {
 public:
  WeightedLeastRequest(const HostList& hosts, double active_request_bias,
                       const SlowStart& slow_start, WorkerContext& worker);
  const HostPtr& pick() override;

 private:
  double weight_of(uint32_t index) const;

  const HostList& hosts_;
  double bias_;
  const SlowStart slow_start_;
  WorkerContext& worker_;
  EdfQueue queue_;
};

}  // namespace remora::upstream
