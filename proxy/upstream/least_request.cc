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

const HostPtr& FullScan::pick() {
  const HostPtr* best = nullptr;
  uint32_t least = 0;
  uint32_t equal = 0;
  for (const HostPtr& host : hosts_) {
    const uint32_t active = active_requests(*host);
    if (best != nullptr && active > least) continue;
    equal = best != nullptr && active == least ? equal + 1 : 1;
    // Each of n that are alike is the last to be taken with a chance of 1 in n.
    if (equal > 1 && worker_.random() % equal != 0) continue;
    best = &host;
    least = active;
  }
  return *best;
}

WeightedLeastRequest::WeightedLeastRequest(const HostList& hosts, double active_request_bias,
                                           const SlowStart& slow_start, WorkerContext& worker)
    : hosts_(hosts), bias_(active_request_bias), slow_start_(slow_start), worker_(worker) {
  queue_.reserve(hosts.size());
  for (uint32_t i = 0; i < hosts.size(); ++i) queue_.add(weight_of(i), i);
  for (uint64_t skip = worker.random() % hosts.size(); skip > 0; --skip) pick();
}

double WeightedLeastRequest::weight_of(uint32_t index) const {
  const Host& host = *hosts_[index];
  const double in_flight = active_requests(host) + 1.0;
  double weight = host.weight();
  if (bias_ == 1.0) {
    weight /= in_flight;
  } else if (bias_ != 0.0) {
    weight /= std::pow(in_flight, bias_);
  }
  if (slow_start_.window_ms == 0) return weight;
  return weight * slow_start_part(slow_start_, host, worker_.loop().time().now_ms);
}

const HostPtr& WeightedLeastRequest::pick() {
  return hosts_[queue_.next([this](uint32_t i) { return weight_of(i); })];
}

}  // namespace remora::upstream
