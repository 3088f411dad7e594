// Round robin and random choice within a list of hosts. Owned by the list balancer; one thread.
#pragma once

#include "proxy/upstream/balancer.h"
#include "proxy/upstream/edf.h"
#include "proxy/upstream/slow_start.h"

namespace remora::upstream {

/// In turn, from a random start so that workers do not march in step.
class RoundRobin final : public ListPicker {
 public:
  RoundRobin(const HostList& hosts, WorkerContext& worker);
  const HostPtr& pick() override;

 private:
  const HostList& hosts_;
  size_t next_;
};

/// In turn, each as often as its weight says; a host that has only begun less often.
class WeightedRoundRobin final : public ListPicker {
 public:
  WeightedRoundRobin(const HostList& hosts, const SlowStart& slow_start, WorkerContext& worker);
  const HostPtr& pick() override;

 private:
  double weight_of(uint32_t index) const;

  const HostList& hosts_;
  const SlowStart slow_start_;
  WorkerContext& worker_;
  EdfQueue queue_;
};

class RandomPicker final : public ListPicker {
 public:
  RandomPicker(const HostList& hosts, WorkerContext& worker) : hosts_(hosts), worker_(worker) {}
  const HostPtr& pick() override { return hosts_[worker_.random() % hosts_.size()]; }

 private:
  const HostList& hosts_;
  WorkerContext& worker_;
};

}  // namespace remora::upstream
