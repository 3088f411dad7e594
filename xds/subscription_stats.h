// Writes what a subscription counts into a group of metrics. Owned by whoever subscribes; main
// thread.
#pragma once

#include <memory>
#include <string_view>

#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"
#include "xds/subscription.h"

namespace remora::xds {

/// For "cluster_manager.cds", "listener_manager.lds", "http.PREFIX.rds.NAME", "sds.NAME".
class SubscriptionStats final : public SubscriptionObserver {
 public:
  /// `main_index` is the main thread's slab.
  SubscriptionStats(std::shared_ptr<stats::Group<stats::SubscriptionSchema>> group,
                    uint32_t main_index)
      : group_(std::move(group)), main_index_(main_index) {}

  void on_attempt() override { group_->inc(Stat::update_attempt); }
  void on_failure() override { group_->inc(Stat::update_failure); }
  void on_initial_fetch_timeout() override { group_->inc(Stat::init_fetch_timeout); }
  void on_rejected(uint64_t duration_ms) override {
    group_->inc(Stat::update_rejected);
    record(duration_ms);
  }
  void on_success(std::string_view version, uint64_t version_hash, uint64_t time_ms,
                  uint64_t duration_ms) override {
    group_->inc(Stat::update_success);
    group_->set(Stat::version, version_hash);
    group_->set_text(Stat::version_text, version);
    group_->set(Stat::update_time, time_ms);
    record(duration_ms);
  }

 private:
  using Stat = stats::SubscriptionMainStat;
  void record(uint64_t duration_ms) {
    group_->at(main_index_).record(stats::SubscriptionHistogram::update_duration, duration_ms);
  }

  std::shared_ptr<stats::Group<stats::SubscriptionSchema>> group_;
  const uint32_t main_index_;
};

/// For "cluster.NAME" of a cluster with EDS, whose counters are spread over two schemas.
class EdsStats final : public SubscriptionObserver {
 public:
  EdsStats(std::shared_ptr<stats::Group<stats::ClusterSchema>> cluster,
           std::shared_ptr<stats::Group<stats::EdsSchema>> eds, uint32_t main_index)
      : cluster_(std::move(cluster)), eds_(std::move(eds)), main_index_(main_index) {}

  void on_attempt() override { cluster_->inc(ClusterStat::update_attempt); }
  void on_failure() override { cluster_->inc(ClusterStat::update_failure); }
  void on_initial_fetch_timeout() override { eds_->inc(EdsStat::init_fetch_timeout); }
  void on_rejected(uint64_t duration_ms) override {
    eds_->inc(EdsStat::update_rejected);
    record(duration_ms);
  }
  void on_success(std::string_view version, uint64_t version_hash, uint64_t time_ms,
                  uint64_t duration_ms) override {
    cluster_->inc(ClusterStat::update_success);
    cluster_->set(ClusterStat::version, version_hash);
    eds_->set_text(EdsStat::version_text, version);
    eds_->set(EdsStat::update_time, time_ms);
    record(duration_ms);
  }

 private:
  using ClusterStat = stats::ClusterMainStat;
  using EdsStat = stats::EdsMainStat;
  void record(uint64_t duration_ms) {
    eds_->at(main_index_).record(stats::EdsHistogram::update_duration, duration_ms);
  }

  std::shared_ptr<stats::Group<stats::ClusterSchema>> cluster_;
  std::shared_ptr<stats::Group<stats::EdsSchema>> eds_;
  const uint32_t main_index_;
};

}  // namespace remora::xds
