#include "proxy/upstream/outlier_monitor.h"

#include "proxy/upstream/host_set.h"

namespace remora::upstream {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

bool is_gateway_failure(uint16_t status) { return status >= 502 && status <= 504; }

}  // namespace

bool OutlierMonitor::reaches(std::atomic<uint32_t>& in_a_row, const std::atomic<uint32_t>& limit) {
  return in_a_row.fetch_add(1, kRelaxed) + 1 == limit.load(kRelaxed);
}

void OutlierMonitor::on_response(const HostPtr& host, uint16_t status) {
  const bool success = status < 500;
  answers_.add(success);
  if (success) {
    if (in_a_row_5xx_.load(kRelaxed) != 0) in_a_row_5xx_.store(0, kRelaxed);
    if (in_a_row_gateway_.load(kRelaxed) != 0) in_a_row_gateway_.store(0, kRelaxed);
    return;
  }
  if (!is_gateway_failure(status)) {
    in_a_row_gateway_.store(0, kRelaxed);
  } else if (reaches(in_a_row_gateway_, limit_gateway_)) {
    sink_.on_outlier(cluster_, host, Ejection::ConsecutiveGatewayFailure);
  }
  if (reaches(in_a_row_5xx_, limit_5xx_)) {
    sink_.on_outlier(cluster_, host, Ejection::Consecutive5xx);
  }
}

void OutlierMonitor::on_local_failure(const HostPtr& host, uint16_t as_status) {
  if (!split_.load(kRelaxed)) return on_response(host, as_status);
  local_.add(false);
  if (reaches(in_a_row_local_, limit_local_)) {
    sink_.on_outlier(cluster_, host, Ejection::ConsecutiveLocalOriginFailure);
  }
}

void OutlierMonitor::on_connected(const HostPtr& host, bool final) {
  constexpr uint16_t kOk = 200;
  if (split_.load(kRelaxed)) {
    local_.add(true);
    if (in_a_row_local_.load(kRelaxed) != 0) in_a_row_local_.store(0, kRelaxed);
  } else if (final) {
    on_response(host, kOk);
  }
}

void OutlierMonitor::configure(const OutlierConfig& config) {
  limit_5xx_.store(config.consecutive_5xx, kRelaxed);
  limit_gateway_.store(config.consecutive_gateway_failure, kRelaxed);
  limit_local_.store(config.consecutive_local_origin_failure, kRelaxed);
  split_.store(config.split_local_origin, kRelaxed);
}

OutlierMonitor::Rate OutlierMonitor::take_rate(bool local_origin) {
  Counts& counts = local_origin ? local_ : answers_;
  // Successes first: one that comes between the two is counted as a request of the next interval.
  Rate rate;
  rate.successes = counts.successes.exchange(0, kRelaxed);
  rate.requests = counts.requests.exchange(0, kRelaxed);
  return rate;
}

void OutlierMonitor::forget_failures() {
  forget_failures(Ejection::Consecutive5xx);
  forget_failures(Ejection::ConsecutiveGatewayFailure);
  forget_failures(Ejection::ConsecutiveLocalOriginFailure);
}

void OutlierMonitor::forget_failures(Ejection why) {
  if (why == Ejection::Consecutive5xx) in_a_row_5xx_.store(0, kRelaxed);
  if (why == Ejection::ConsecutiveGatewayFailure) in_a_row_gateway_.store(0, kRelaxed);
  if (why == Ejection::ConsecutiveLocalOriginFailure) in_a_row_local_.store(0, kRelaxed);
}

}  // namespace remora::upstream
