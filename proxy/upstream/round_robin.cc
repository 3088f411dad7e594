// Round robin: a running index, or a queue by deadline when weights differ.
#include "proxy/upstream/round_robin.h"

namespace remora::upstream {

RoundRobin::RoundRobin(const HostList& hosts, WorkerContext& worker)
    : hosts_(hosts), next_(worker.random() % hosts.size()) {}

const HostPtr& RoundRobin::pick() {
  const HostPtr& host = hosts_[next_];
  if (++next_ == hosts_.size()) next_ = 0;
  return host;
}

WeightedRoundRobin::WeightedRoundRobin(const HostList& hosts, const SlowStart& slow_start,
                                       WorkerContext& worker)
    : hosts_(hosts), slow_start_(slow_start), worker_(worker) {
  queue_.reserve(hosts.size());
  for (uint32_t i = 0; i < hosts.size(); ++i) queue_.add(weight_of(i), i);
  for (uint64_t skip = worker.random() % hosts.size(); skip > 0; --skip) pick();
}

double WeightedRoundRobin::weight_of(uint32_t index) const {
  const Host& host = *hosts_[index];
  if (slow_start_.window_ms == 0) return host.weight();
  return host.weight() * slow_start_part(slow_start_, host, worker_.loop().time().now_ms);
}

const HostPtr& WeightedRoundRobin::pick() {
  return hosts_[queue_.next([this](uint32_t i) { return weight_of(i); })];
}

}  // namespace remora::upstream
