// Least request within a list of hosts, by the requests that all workers have in flight to each.
// Owned by the list balancer; one thread (the counts it reads are shared atomics).
#pragma once

#include "proxy/upstream/balancer.h"
#include "proxy/upstream/edf.h"

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

/// Different weights: in turn by weight / (requests in flight + 1) ^ bias.
class WeightedLeastRequest final : public ListPicker {
 public:
  WeightedLeastRequest(const HostList& hosts, double active_request_bias, WorkerContext& worker);
  const HostPtr& pick() override;

 private:
  double weight_of(uint32_t index) const;

  const HostList& hosts_;
  double bias_;
  EdfQueue queue_;
};

}  // namespace remora::upstream
