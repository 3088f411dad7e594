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

WeightedRoundRobin::WeightedRoundRobin(const HostList& hosts, WorkerContext& worker)
    : hosts_(hosts) {
  queue_.reserve(hosts.size());
  for (uint32_t i = 0; i < hosts.size(); ++i) queue_.add(hosts[i]->weight(), i);
  for (uint64_t skip = worker.random() % hosts.size(); skip > 0; --skip) pick();
}

const HostPtr& WeightedRoundRobin::pick() {
  return hosts_[queue_.next([this](uint32_t i) { return hosts_[i]->weight(); })];
}

}  // namespace remora::upstream
