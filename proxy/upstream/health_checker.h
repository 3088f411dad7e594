// Active health checks of one cluster: asks every host again and again, by Envoy's thresholds and
// intervals, and marks who is out; whoever owns it makes a new host set when it says so. Main
// thread only. Documents: "Health checking" of Envoy's architecture overview,
// envoy.config.core.v3.HealthCheck.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/timer_wheel.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"
#include "proxy/upstream/health_check_config.h"
#include "proxy/upstream/health_probe.h"
#include "proxy/upstream/health_sink.h"
#include "proxy/upstream/host_set.h"

namespace remora::upstream {

/// What is told of a host to the log of health checks. Document:
/// envoy.data.core.v3.HealthCheckEvent.
struct CheckEvent {
  enum class What : uint8_t { Ejected, Added, Passed, Failed, Degraded, NoLongerDegraded };
  enum class Failure : uint8_t { Active, Passive, Network, Timeout };
  What what = What::Passed;
  Failure failure = Failure::Active;  // Ejected, Failed
  bool first_check = false;           // Added, Failed
  uint16_t status = 0;                // Ejected, Failed: of the answer by HTTP
};

class HealthChecker {
 public:
  struct Hooks {
    std::function<void(const Host& host, CheckEvent event)> on_event;
    std::function<void()> on_changed;      // what is known of a host: a new host set is due
    std::function<void()> on_first_round;  // every host has been asked; called once
    /// A host passed a check and is in. True: a new host set is due for it.
    std::function<bool(const Host& host)> on_passed;
    std::function<uint64_t()> random;  // 64 bits
    std::function<std::unique_ptr<HealthProbe>(HostPtr host, CheckDone done)> make_probe;
  };

  /// `main_index` is the main thread's among the slabs of `stats`.
  HealthChecker(std::string cluster, std::shared_ptr<const HealthCheckConfig> config,
                TimerWheel& timers, std::shared_ptr<stats::Group<stats::HealthCheckSchema>> stats,
                uint32_t main_index, HealthSink& sink, Hooks hooks);
  ~HealthChecker();

  /// The hosts to be asked from now on.
  void set_hosts(const HostSet& hosts);
  /// A host asked a worker to be left out; of hosts that are not among these it means nothing.
  void on_immediate_failure(const Host& host);
  /// Every host that is to be asked has been.
  bool first_round_over() const;

  /// Nobody asks these hosts any more: what was found out of them is forgotten.
  static void release_all(const HostSet& hosts);

 private:
  class Session;
  /// Towards what a host moves: a threshold may stand between.
  enum class Transition : uint8_t { None, Pending, Done };

  void checked(bool was_first, Transition transition, const Host& host, bool passed);
  uint64_t next_interval(bool healthy, Transition transition);
  bool had_traffic();
  void show_gauges();

  const std::string cluster_;
  const std::shared_ptr<const HealthCheckConfig> config_;
  TimerWheel& timers_;
  const std::shared_ptr<stats::Group<stats::HealthCheckSchema>> group_;
  stats::Slab<stats::HealthCheckSchema>& stats_;
  HealthSink& sink_;
  const Hooks hooks_;
  std::vector<std::unique_ptr<Session>> sessions_;
  bool told_first_round_ = false;
  bool had_traffic_ = false;
  uint64_t healthy_ = 0, degraded_ = 0;  // as shown
};

}  // namespace remora::upstream
