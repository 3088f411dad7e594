// Passive health checking of one cluster: hosts that fail in a row, or whose rate of success is far
// below the others', are left out for a while (ejected). Judges on the main thread what the hosts'
// monitors tell; whoever owns it makes a new host set when it says so. Main thread only. Documents:
// "Outlier detection" of Envoy's architecture overview, envoy.config.cluster.v3.OutlierDetection.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/timer_wheel.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/outlier_config.h"
#include "proxy/upstream/outlier_monitor.h"

namespace remora::upstream {

/// What is told of a host to the log of outliers. Document:
/// envoy.data.cluster.v3.OutlierDetectionEvent.
struct OutlierEvent {
  bool ejects = true;  // otherwise it may be chosen again
  Ejection why = Ejection::Consecutive5xx;
  bool enforced = false;                   // otherwise it was only noticed
  uint32_t ejections = 0;                  // of this host, ever
  std::optional<uint64_t> since_other_ms;  // when it was last released, or ejected
  // Percent; of rates only.
  double rate = 0, average = 0, threshold = 0;
};

class OutlierDetector {
 public:
  struct Hooks {
    std::function<void()> on_changed;  // who is ejected: a new host set is due
    std::function<void(const Host& host, const OutlierEvent& event)> on_event;
    std::function<uint64_t()> random;  // 64 bits
  };

  /// `main_index` is the main thread's among the slabs of `stats`.
  OutlierDetector(std::string cluster, const OutlierConfig& config, TimerWheel& timers,
                  std::shared_ptr<stats::Group<stats::OutlierSchema>> stats, uint32_t main_index,
                  OutlierSink& sink, Hooks hooks);
  ~OutlierDetector();

  /// The hosts to be judged from now on; those that were ejected and are still there remain so.
  void set_hosts(const HostSet& hosts);
  /// A worker's word; of hosts that are not among these it means nothing.
  void on_outlier(const Host& host, Ejection why);

  /// An active health check found it well. True: it may be chosen again.
  bool on_check_passed(const Host& host);

  /// Nobody judges these hosts any more: all of them may be chosen again.
  static void release_all(const HostSet& hosts);

 private:
  struct Judged {
    HostPtr host;
    OutlierMonitor* monitor;
  };
  struct Candidate {
    const Judged* judged;
    double rate;
  };

  void on_interval();
  bool maybe_release(const Judged& judged);
  void release(const Judged& judged);
  void forgive();
  bool judge_rates(bool local_origin);
  bool judge_success_rates(const std::vector<Candidate>& candidates, bool local_origin);
  bool judge_failure_percentages(const std::vector<Candidate>& candidates, bool local_origin);
  bool found_out(const Judged& judged, Ejection why);
  void eject(const Judged& judged, Ejection why);
  void tell_ejection(const Judged& judged, Ejection why, bool enforced);
  const Judged* find(const Host& host) const;
  void show_active();

  const std::string cluster_;
  const OutlierConfig config_;
  const std::shared_ptr<stats::Group<stats::OutlierSchema>> group_;
  stats::Slab<stats::OutlierSchema>& stats_;
  OutlierSink& sink_;
  const Hooks hooks_;
  TimerWheel& timers_;
  Timer interval_;
  std::vector<Judged> hosts_;
  uint32_t active_ = 0;                      // of hosts_, ejected
  double average_ = 0, rate_threshold_ = 0;  // of the success rates that are being judged
};

}  // namespace remora::upstream
