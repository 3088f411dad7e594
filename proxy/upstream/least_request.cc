// Least request: power of two choices, or a queue by deadline whose weights shrink with load.
#include "proxy/upstream/least_request.h"

#include <cmath>

namespace remora::upstream {
namespace {

uint32_t active_requests(const Host& host) {
  return host.counters.rq_active.load(std::memory_order_relaxed);
}

}  // namespace

const HostPtr& LeastRequest::pick() {
  const HostPtr* best = &hosts_[worker_.random() % hosts_.size()];
  uint32_t least = active_requests(**best);
  for (uint32_t i = 1; i < choice_count_; ++i) {
    const HostPtr& other = hosts_[worker_.random() % hosts_.size()];
    const uint32_t active = active_requests(*other);
    if (active >= least) continue;
    best = &other;
    least = active;
  }
  return *best;
}

WeightedLeastRequest::WeightedLeastRequest(const HostList& hosts, double active_request_bias,
                                           WorkerContext& worker)
    : hosts_(hosts), bias_(active_request_bias) {
  queue_.reserve(hosts.size());
  for (uint32_t i = 0; i < hosts.size(); ++i) queue_.add(weight_of(i), i);
  for (uint64_t skip = worker.random() % hosts.size(); skip > 0; --skip) pick();
}

double WeightedLeastRequest::weight_of(uint32_t index) const {
  const Host& host = *hosts_[index];
  const double in_flight = active_requests(host) + 1.0;
  if (bias_ == 1.0) return host.weight() / in_flight;
  if (bias_ == 0.0) return host.weight();
  return host.weight() / std::pow(in_flight, bias_);
}

const HostPtr& WeightedLeastRequest::pick() {
  return hosts_[queue_.next([this](uint32_t i) { return weight_of(i); })];
}

}  // namespace remora::upstream
