// The statistics of an xDS subscription, under the prefix that its kind has ("cluster_manager.cds", ...). Main thread only.
#pragma once

#include <memory>
#include <string_view>

#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"
#include "xds/subscription.h"

namespace remora::server {

class SubscriptionStats final : public xds::SubscriptionObserver {
 public:
  SubscriptionStats(stats::Store& store, std::string_view prefix);

  void on_attempt() override;
  void on_failure() override;
  void on_initial_fetch_timeout() override;
  void on_rejected(uint64_t duration_ms) override;
  void on_success(std::string_view version, uint64_t version_hash, uint64_t time_ms, uint64_t duration_ms) override;

 private:
  std::shared_ptr<stats::Group<stats::SubscriptionSchema>> group_;
  uint32_t main_index_;
};

/// The same for the endpoints of one cluster, where half of the counters belong to the cluster's own group.
class EdsStats final : public xds::SubscriptionObserver {
 public:
  EdsStats(stats::Store& store, std::string_view cluster_prefix);

  void on_attempt() override;
  void on_failure() override;
  void on_initial_fetch_timeout() override;
  void on_rejected(uint64_t duration_ms) override;
  void on_success(std::string_view version, uint64_t version_hash, uint64_t time_ms, uint64_t duration_ms) override;

 private:
  std::shared_ptr<stats::Group<stats::ClusterSchema>> cluster_;
  std::shared_ptr<stats::Group<stats::EdsSchema>> eds_;
  uint32_t main_index_;
};

}  // namespace remora::server
