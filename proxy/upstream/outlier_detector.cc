#include "proxy/upstream/outlier_detector.h"

#include <algorithm>
#include <cmath>

#include "proxy/base/log.h"

namespace remora::upstream {
namespace {

using Stat = stats::OutlierStat;

/// What is counted when a host was found out, and when it was ejected for it; by Ejection.
struct Counters {
  Stat detected;
  Stat enforced;
  const char* text;
};
constexpr Counters kCounters[kEjections] = {
    {Stat::ejections_detected_consecutive_5xx, Stat::ejections_enforced_consecutive_5xx,
     "5xx in a row"},
    {Stat::ejections_detected_consecutive_gateway_failure,
     Stat::ejections_enforced_consecutive_gateway_failure, "gateway failures in a row"},
    {Stat::ejections_detected_consecutive_local_origin_failure,
     Stat::ejections_enforced_consecutive_local_origin_failure, "failures to reach it in a row"},
    {Stat::ejections_detected_success_rate, Stat::ejections_enforced_success_rate,
     "a success rate below the others'"},
    {Stat::ejections_detected_local_origin_success_rate,
     Stat::ejections_enforced_local_origin_success_rate,
     "a rate of success in reaching it below the others'"},
    {Stat::ejections_detected_failure_percentage, Stat::ejections_enforced_failure_percentage,
     "its percentage of failures"},
    {Stat::ejections_detected_local_origin_failure_percentage,
     Stat::ejections_enforced_local_origin_failure_percentage,
     "its percentage of failures to reach it"},
};

template <class Use>
void for_each_host(const HostSet& hosts, Use use) {
  for (const PriorityHosts& priority : hosts.priorities) {
    for (const HostPtr& host : priority.hosts) use(host);
  }
}

}  // namespace

OutlierDetector::OutlierDetector(std::string cluster, const OutlierConfig& config,
                                 TimerWheel& timers,
                                 std::shared_ptr<stats::Group<stats::OutlierSchema>> stats,
                                 uint32_t main_index, OutlierSink& sink, Hooks hooks)
    : cluster_(std::move(cluster)),
      config_(config),
      group_(std::move(stats)),
      stats_(group_->at(main_index)),
      sink_(sink),
      hooks_(std::move(hooks)),
      timers_(timers),
      interval_(timers, Timer::bind<&OutlierDetector::on_interval, OutlierDetector>(), this) {
  interval_.arm(config_.interval_ms);
}

OutlierDetector::~OutlierDetector() { stats_.sub(Stat::ejections_active, active_); }

void OutlierDetector::set_hosts(const HostSet& hosts) {
  hosts_.clear();
  for_each_host(hosts, [this](const HostPtr& host) {
    OutlierMonitor& monitor = host->monitor_with(cluster_, sink_);
    monitor.configure(config_);
    hosts_.push_back({host, &monitor});
  });
  show_active();
}

void OutlierDetector::show_active() {
  stats_.sub(Stat::ejections_active, active_);
  active_ = static_cast<uint32_t>(
      std::ranges::count_if(hosts_, [](const Judged& j) { return j.monitor->record.ejected; }));
  stats_.add(Stat::ejections_active, active_);
}

void OutlierDetector::release_all(const HostSet& hosts) {
  for_each_host(hosts, [](const HostPtr& host) {
    if (host->monitor() != nullptr) host->monitor()->record.ejected = false;
    host->set_ejected(false);
  });
}

const OutlierDetector::Judged* OutlierDetector::find(const Host& host) const {
  const auto found =
      std::ranges::find_if(hosts_, [&host](const Judged& j) { return j.host.get() == &host; });
  return found == hosts_.end() ? nullptr : &*found;
}

// --- failures in a row ---

void OutlierDetector::on_outlier(const Host& host, Ejection why) {
  const Judged* judged = find(host);
  if (judged == nullptr || judged->monitor->record.ejected) return;
  const bool changed = found_out(*judged, why);
  judged->monitor->forget_failures(why);  // so that as many again are noticed again
  if (changed) hooks_.on_changed();
}

/// True: it has been ejected.
bool OutlierDetector::found_out(const Judged& judged, Ejection why) {
  const Counters& counters = kCounters[static_cast<size_t>(why)];
  stats_.inc(counters.detected);
  if (why == Ejection::Consecutive5xx) stats_.inc(Stat::ejections_consecutive_5xx);
  if (why == Ejection::SuccessRate || why == Ejection::LocalOriginSuccessRate) {
    stats_.inc(Stat::ejections_success_rate);
  }
  const double percent = 100.0 * (active_ + 1) / static_cast<double>(hosts_.size());
  const bool allowed =
      percent <= config_.max_ejection_percent || (config_.always_eject_one && active_ == 0);
  if (!allowed) {
    stats_.inc(Stat::ejections_overflow);
    return false;
  }
  if (why == Ejection::Consecutive5xx || why == Ejection::SuccessRate) {
    stats_.inc(Stat::ejections_total);
  }
  const bool enforced = hooks_.random() % 100 < config_.enforcing_percent[static_cast<size_t>(why)];
  if (enforced) eject(judged, why);
  tell_ejection(judged, why, enforced);
  if (!enforced) return false;
  stats_.inc(counters.enforced);
  stats_.inc(Stat::ejections_enforced_total);
  LOG_INFO(upstream, "cluster '{}': host {} is left out for {}", cluster_,
           judged.host->address().to_string(), counters.text);
  return true;
}

void OutlierDetector::tell_ejection(const Judged& judged, Ejection why, bool enforced) {
  const OutlierMonitor::Record& record = judged.monitor->record;
  const bool local =
      why == Ejection::LocalOriginSuccessRate || why == Ejection::LocalOriginFailurePercentage;
  OutlierEvent event;
  event.why = why;
  event.enforced = enforced;
  event.ejections = record.ejections;
  if (record.released_at != 0) event.since_other_ms = timers_.now() - record.released_at;
  event.rate = local ? record.local_success_rate : record.success_rate;
  event.average = average_;
  event.threshold = rate_threshold_;
  hooks_.on_event(*judged.host, event);
}

void OutlierDetector::eject(const Judged& judged, Ejection why) {
  OutlierMonitor::Record& record = judged.monitor->record;
  record.ejected = true;
  record.why = why;
  record.ejected_at = timers_.now();
  record.jitter_ms = config_.max_jitter_ms == 0 ? 0 : hooks_.random() % (config_.max_jitter_ms + 1);
  ++record.ejections;
  if (record.back_off * config_.base_ejection_ms <
      config_.max_ejection_ms + config_.base_ejection_ms) {
    ++record.back_off;
  }
  judged.host->set_ejected(true);
  ++active_;
  stats_.inc(Stat::ejections_active);
}

// --- every interval ---

void OutlierDetector::on_interval() {
  bool changed = false;
  for (const Judged& judged : hosts_) changed |= maybe_release(judged);
  changed |= judge_rates(false);
  if (config_.split_local_origin) changed |= judge_rates(true);
  forgive();
  interval_.arm(config_.interval_ms);
  if (changed) hooks_.on_changed();
}

/// A host that has been back for an interval is forgiven one of its earlier ejections.
void OutlierDetector::forgive() {
  for (const Judged& judged : hosts_) {
    OutlierMonitor::Record& record = judged.monitor->record;
    if (record.ejected || record.back_off == 0) continue;
    if (timers_.now() - record.released_at >= config_.interval_ms) --record.back_off;
  }
}

bool OutlierDetector::maybe_release(const Judged& judged) {
  OutlierMonitor::Record& record = judged.monitor->record;
  if (!record.ejected) return false;
  const uint64_t lasts =
      std::min(record.back_off * config_.base_ejection_ms, config_.max_ejection_ms) +
      record.jitter_ms;
  if (timers_.now() - record.ejected_at < lasts) return false;
  release(judged);
  return true;
}

bool OutlierDetector::on_check_passed(const Host& host) {
  const Judged* judged = config_.checks_uneject ? find(host) : nullptr;
  if (judged == nullptr || !judged->monitor->record.ejected) return false;
  release(*judged);
  return true;
}

void OutlierDetector::release(const Judged& judged) {
  OutlierMonitor::Record& record = judged.monitor->record;
  record.ejected = false;
  record.released_at = timers_.now();
  judged.monitor->forget_failures();
  judged.host->set_ejected(false);
  --active_;
  stats_.dec(Stat::ejections_active);
  OutlierEvent event;
  event.ejects = false;
  event.ejections = record.ejections;
  event.since_other_ms = timers_.now() - record.ejected_at;
  hooks_.on_event(*judged.host, event);
  LOG_INFO(upstream, "cluster '{}': host {} may be chosen again", cluster_,
           judged.host->address().to_string());
}

bool OutlierDetector::judge_rates(bool local_origin) {
  std::vector<Candidate> by_success, by_failure;
  const bool enough = hosts_.size() >= std::min(config_.success_rate_minimum_hosts,
                                                config_.failure_percentage_minimum_hosts);
  for (const Judged& judged : hosts_) {
    OutlierMonitor::Record& record = judged.monitor->record;
    double& shown = local_origin ? record.local_success_rate : record.success_rate;
    shown = -1;
    const OutlierMonitor::Rate rate = judged.monitor->take_rate(local_origin);
    if (record.ejected || rate.requests == 0 || !enough) continue;
    const double percent = std::min(
        100.0, 100.0 * static_cast<double>(rate.successes) / static_cast<double>(rate.requests));
    if (rate.requests >=
        std::min(config_.success_rate_request_volume, config_.failure_percentage_request_volume)) {
      shown = percent;
    }
    if (rate.requests >= config_.success_rate_request_volume) {
      by_success.push_back({&judged, percent});
    }
    if (rate.requests >= config_.failure_percentage_request_volume) {
      by_failure.push_back({&judged, percent});
    }
  }
  bool changed = judge_success_rates(by_success, local_origin);
  changed |= judge_failure_percentages(by_failure, local_origin);
  return changed;
}

bool OutlierDetector::judge_success_rates(const std::vector<Candidate>& candidates,
                                          bool local_origin) {
  constexpr double kThousandths = 1000;
  if (candidates.empty() || candidates.size() < config_.success_rate_minimum_hosts) return false;
  const auto count = static_cast<double>(candidates.size());
  double sum = 0, squares = 0;
  for (const Candidate& candidate : candidates) sum += candidate.rate;
  const double mean = sum / count;
  for (const Candidate& candidate : candidates) {
    squares += (candidate.rate - mean) * (candidate.rate - mean);
  }
  const double deviation = std::sqrt(squares / count);
  const double threshold = mean - config_.success_rate_stdev_factor / kThousandths * deviation;
  average_ = mean;
  rate_threshold_ = threshold;
  bool changed = false;
  for (const Candidate& candidate : candidates) {
    if (candidate.rate >= threshold) continue;
    changed |= found_out(*candidate.judged,
                         local_origin ? Ejection::LocalOriginSuccessRate : Ejection::SuccessRate);
  }
  return changed;
}

bool OutlierDetector::judge_failure_percentages(const std::vector<Candidate>& candidates,
                                                bool local_origin) {
  if (candidates.empty() || candidates.size() < config_.failure_percentage_minimum_hosts) {
    return false;
  }
  bool changed = false;
  for (const Candidate& candidate : candidates) {
    if (100 - candidate.rate < config_.failure_percentage_threshold) continue;
    if (candidate.judged->monitor->record.ejected) continue;  // for its success rate, just now
    changed |= found_out(*candidate.judged, local_origin ? Ejection::LocalOriginFailurePercentage
                                                         : Ejection::FailurePercentage);
  }
  return changed;
}

}  // namespace remora::upstream
