// Holds back what changes of a cluster's hosts and may wait (health, weights), so that many such
// changes reach the workers as one. Owned by the cluster manager with the cluster; main thread.
// Document: envoy.config.cluster.v3.Cluster.CommonLbConfig.update_merge_window.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "proxy/base/timer_wheel.h"
#include "proxy/event/event_loop.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"

namespace remora::server {

class MergeWindow {
 public:
  using Stats = stats::Group<stats::ClusterManagerSchema>;
  enum class Change : uint8_t { Membership, HealthOrWeight };

  /// `deliver` sends what was held back. A window of 0 holds nothing back.
  MergeWindow(EventLoop& loop, uint64_t window_ms, std::shared_ptr<Stats> stats,
              std::function<void()> deliver)
      : loop_(loop),
        window_ms_(window_ms),
        stats_(std::move(stats)),
        deliver_(std::move(deliver)),
        timer_(loop.timers(), Timer::bind<&MergeWindow::on_over, MergeWindow>(), this) {}

  /// True: to be sent now, with all that was held back. False: it is going to be.
  bool passes(Change change) {
    if (window_ms_ == 0) return true;
    const MonotonicMs now = loop_.time().now_ms;
    const bool over = last_ == 0 || now - last_ > window_ms_;
    if (change == Change::HealthOrWeight && !over) {
      if (!timer_.armed()) timer_.arm(window_ms_);
      return false;
    }
    if (change == Change::HealthOrWeight) stats_->inc(Stat::update_out_of_merge_window);
    if (timer_.armed()) stats_->inc(Stat::update_merge_cancelled);
    timer_.disarm();
    last_ = now;
    return true;
  }

 private:
  using Stat = stats::ClusterManagerMainStat;

  void on_over() {
    stats_->inc(Stat::cluster_updated_via_merge);
    last_ = loop_.time().now_ms;
    deliver_();
  }

  EventLoop& loop_;
  const uint64_t window_ms_;
  std::shared_ptr<Stats> stats_;
  std::function<void()> deliver_;
  MonotonicMs last_ = 0;  // 0: nothing was sent yet
  Timer timer_;
};

}  // namespace remora::server
