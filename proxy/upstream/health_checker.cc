#include "proxy/upstream/health_checker.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"

namespace remora::upstream {

using Kind = CheckResult::Kind;
using Stat = stats::HealthCheckStat;

/// The checks of one host.
class HealthChecker::Session {
 public:
  Session(HealthChecker& checker, HostPtr host)
      : checker_(checker),
        config_(*checker.config_),
        host_(std::move(host)),
        probe_(checker.hooks_.make_probe(host_, [this](CheckResult result) { on_result(result); })),
        interval_(checker.timers_, Timer::bind<&Session::on_interval, Session>(), this),
        timeout_(checker.timers_, Timer::bind<&Session::on_timeout, Session>(), this) {
    host_->set_health_sink(&checker_.sink_);
    const uint64_t jitter = config_.initial_jitter_ms;
    interval_.arm(jitter == 0 ? 0 : checker_.hooks_.random() % jitter);
  }

  const HostPtr& host() const { return host_; }
  bool first() const { return first_; }

  /// Does not wait for the next check, nor change when that is.
  void fail_at_once() {
    host_->set_check_flag(kCheckExcluded, true);
    checker_.stats_.inc(Stat::passive_failure);
    on_failure(Kind::Failed, {CheckEvent::What::Failed, CheckEvent::Failure::Passive, first_});
    host_->set_check_flag(kCheckPending, false);
    const bool was_first = std::exchange(first_, false);
    checker_.checked(was_first, Transition::Done, *host_, false);
  }

 private:
  void on_interval() {
    checker_.stats_.inc(Stat::attempt);
    timeout_.arm(config_.timeout_ms);
    probe_->start();
  }
  void on_timeout() {
    probe_->give_up();
    on_result({Kind::Timeout});
  }

  // The last statement may destroy this.
  void on_result(CheckResult result) {
    timeout_.disarm();
    const bool passed = result.kind == Kind::Healthy || result.kind == Kind::Degraded;
    if (result.asked_service) checker_.stats_.inc(Stat::verify_cluster);
    const bool newly_excluded = result.excludes && !host_->check_flag(kCheckExcluded);
    if (newly_excluded) host_->set_check_flag(kCheckExcluded, true);
    Transition transition = passed ? on_success() : on_failure(result.kind, failed(result));
    if (newly_excluded) transition = Transition::Done;  // it counts for nothing from now on
    if (passed && set_degraded(result.kind == Kind::Degraded) && transition == Transition::None) {
      transition = Transition::Done;
    }
    if (host_->check_flag(kCheckPending)) {
      host_->set_check_flag(kCheckPending, false);
      transition = Transition::Done;
    }
    const bool was_first = std::exchange(first_, false);
    interval_.arm(checker_.next_interval(passed, transition));
    checker_.checked(was_first, transition, *host_, passed);
  }

  Transition on_success() {
    checker_.stats_.inc(Stat::success);
    unhealthy_in_a_row_ = 0;
    if (!host_->check_flag(kCheckFailed)) return still(Transition::None);
    // The first answer ever is believed at once.
    if (!first_ && ++healthy_in_a_row_ != config_.healthy_threshold) {
      return still(Transition::Pending);
    }
    host_->set_check_flags(static_cast<uint8_t>(host_->check_flags() &
                                                ~(kCheckFailed | kCheckTimeout | kCheckExcluded)));
    host_->set_serving_since(checker_.timers_.now());
    log("is healthy");
    tell({CheckEvent::What::Added, {}, first_});
    return Transition::Done;
  }

  /// A check that lets nobody in.
  Transition still(Transition transition) {
    if (config_.log_all_successes) tell({CheckEvent::What::Passed});
    return transition;
  }

  CheckEvent failed(const CheckResult& result) const {
    using Failure = CheckEvent::Failure;
    const Failure failure = result.kind == Kind::Timeout   ? Failure::Timeout
                            : result.kind == Kind::Network ? Failure::Network
                                                           : Failure::Active;
    return {CheckEvent::What::Failed, failure, first_, result.status};
  }

  Transition on_failure(Kind kind, const CheckEvent& failed) {
    const Transition transition = leave_out(kind, failed);
    if (first_ || config_.log_all_failures) tell(failed);
    return transition;
  }

  Transition leave_out(Kind kind, CheckEvent event) {
    checker_.stats_.inc(Stat::failure);
    const bool network = kind == Kind::Network || kind == Kind::Timeout;
    if (network) checker_.stats_.inc(Stat::network_failure);
    healthy_in_a_row_ = 0;
    if (host_->check_flag(kCheckFailed)) {
      host_->set_check_flag(kCheckTimeout, kind == Kind::Timeout);
      return Transition::None;
    }
    const bool at_once = kind == Kind::Failed;
    if (!at_once && ++unhealthy_in_a_row_ != config_.unhealthy_threshold) {
      return Transition::Pending;
    }
    host_->set_check_flag(kCheckFailed, true);
    host_->set_check_flag(kCheckTimeout, kind == Kind::Timeout);
    log("is unhealthy");
    event.what = CheckEvent::What::Ejected;
    tell(event);
    return Transition::Done;
  }

  /// True: it has changed.
  bool set_degraded(bool degraded) {
    if (degraded == host_->check_flag(kCheckDegraded)) return false;
    tell({degraded ? CheckEvent::What::Degraded : CheckEvent::What::NoLongerDegraded});
    host_->set_check_flag(kCheckDegraded, degraded);
    return true;
  }

  void tell(CheckEvent event) { checker_.hooks_.on_event(*host_, event); }

  void log(const char* what) {
    LOG_INFO(upstream, "cluster '{}': host {} {}", checker_.cluster_, host_->address().to_string(),
             what);
  }

  HealthChecker& checker_;
  const HealthCheckConfig& config_;
  const HostPtr host_;
  const std::unique_ptr<HealthProbe> probe_;
  uint32_t healthy_in_a_row_ = 0;
  uint32_t unhealthy_in_a_row_ = 0;
  bool first_ = true;
  Timer interval_;
  Timer timeout_;
};

HealthChecker::HealthChecker(std::string cluster, std::shared_ptr<const HealthCheckConfig> config,
                             TimerWheel& timers,
                             std::shared_ptr<stats::Group<stats::HealthCheckSchema>> stats,
                             uint32_t main_index, HealthSink& sink, Hooks hooks)
    : cluster_(std::move(cluster)),
      config_(std::move(config)),
      timers_(timers),
      group_(std::move(stats)),
      stats_(group_->at(main_index)),
      sink_(sink),
      hooks_(std::move(hooks)) {}

HealthChecker::~HealthChecker() {
  sessions_.clear();
  show_gauges();
}

void HealthChecker::set_hosts(const HostSet& hosts) {
  absl::flat_hash_map<const Host*, std::unique_ptr<Session>> known;
  for (auto& session : sessions_) {
    const Host* host = session->host().get();
    known[host] = std::move(session);
  }
  sessions_.clear();
  for (const PriorityHosts& priority : hosts.priorities) {
    for (const HostPtr& host : priority.hosts) {
      if (host->extras().check_disabled) continue;
      const auto found = known.find(host.get());
      sessions_.push_back(found != known.end() ? std::move(found->second)
                                               : std::make_unique<Session>(*this, host));
    }
  }
  show_gauges();
}

void HealthChecker::on_immediate_failure(const Host& host) {
  const auto asked = std::ranges::find_if(
      sessions_, [&host](const auto& session) { return session->host().get() == &host; });
  if (asked != sessions_.end()) (*asked)->fail_at_once();
}

bool HealthChecker::first_round_over() const {
  return std::ranges::none_of(sessions_, [](const auto& session) { return session->first(); });
}

void HealthChecker::release_all(const HostSet& hosts) {
  for (const PriorityHosts& priority : hosts.priorities) {
    for (const HostPtr& host : priority.hosts) {
      host->set_check_flags(0);
      host->set_health_sink(nullptr);
    }
  }
}

/// A session may be gone after this.
void HealthChecker::checked(bool was_first, Transition transition, const Host& host, bool passed) {
  bool changed = transition == Transition::Done;
  if (passed && !host.check_flag(kCheckFailed)) changed |= hooks_.on_passed(host);
  if (changed) {
    show_gauges();
    hooks_.on_changed();
  }
  if (!was_first || told_first_round_ || !first_round_over()) return;
  told_first_round_ = true;
  hooks_.on_first_round();
}

uint64_t HealthChecker::next_interval(bool healthy, Transition transition) {
  const bool moving = transition == Transition::Pending;
  uint64_t base = 0;
  if (!had_traffic()) {
    base = healthy && !moving ? config_->no_traffic_healthy_ms : config_->no_traffic_ms;
  } else if (healthy) {
    base = moving ? config_->healthy_edge_ms : config_->interval_ms;
  } else {
    base = moving ? config_->unhealthy_edge_ms : config_->unhealthy_ms;
  }
  const uint64_t share = base * config_->interval_jitter_percent / 100;
  if (share > 0) base += hooks_.random() % share;
  if (config_->interval_jitter_ms > 0) base += hooks_.random() % config_->interval_jitter_ms;
  return std::max(std::min(base, config_->max_interval_ms), config_->min_interval_ms);
}

bool HealthChecker::had_traffic() {
  had_traffic_ |= std::ranges::any_of(sessions_, [](const auto& session) {
    return session->host()->counters.cx_total.load(std::memory_order_relaxed) > 0;
  });
  return had_traffic_;
}

void HealthChecker::show_gauges() {
  uint64_t healthy = 0, degraded = 0;
  for (const auto& session : sessions_) {
    healthy += session->host()->check_flag(kCheckFailed) ? 0 : 1;
    degraded += session->host()->check_flag(kCheckDegraded) ? 1 : 0;
  }
  stats_.sub(Stat::healthy, std::exchange(healthy_, healthy));
  stats_.add(Stat::healthy, healthy);
  stats_.sub(Stat::degraded, std::exchange(degraded_, degraded));
  stats_.add(Stat::degraded, degraded);
}

}  // namespace remora::upstream
