#include "proxy/server/subscription_stats.h"

namespace remora::server {

using stats::ClusterMainStat;
using stats::EdsHistogram;
using stats::EdsMainStat;
using stats::SubscriptionHistogram;
using stats::SubscriptionMainStat;

SubscriptionStats::SubscriptionStats(stats::Store& store, std::string_view prefix)
    : group_(store.group<stats::SubscriptionSchema>(prefix)), main_index_(store.main_index()) {}

void SubscriptionStats::on_attempt() { group_->inc(SubscriptionMainStat::update_attempt); }
void SubscriptionStats::on_failure() { group_->inc(SubscriptionMainStat::update_failure); }
void SubscriptionStats::on_initial_fetch_timeout() { group_->inc(SubscriptionMainStat::init_fetch_timeout); }

void SubscriptionStats::on_rejected(uint64_t duration_ms) {
  group_->inc(SubscriptionMainStat::update_rejected);
  group_->at(main_index_).record(SubscriptionHistogram::update_duration, duration_ms);
}

void SubscriptionStats::on_success(std::string_view version, uint64_t version_hash, uint64_t time_ms,
                                   uint64_t duration_ms) {
  group_->inc(SubscriptionMainStat::update_success);
  group_->set(SubscriptionMainStat::version, version_hash);
  group_->set_text(SubscriptionMainStat::version_text, version);
  group_->set(SubscriptionMainStat::update_time, time_ms);
  group_->at(main_index_).record(SubscriptionHistogram::update_duration, duration_ms);
}

EdsStats::EdsStats(stats::Store& store, std::string_view cluster_prefix)
    : cluster_(store.group<stats::ClusterSchema>(cluster_prefix)),
      eds_(store.group<stats::EdsSchema>(cluster_prefix)),
      main_index_(store.main_index()) {}

void EdsStats::on_attempt() { cluster_->inc(ClusterMainStat::update_attempt); }
void EdsStats::on_failure() { cluster_->inc(ClusterMainStat::update_failure); }
void EdsStats::on_initial_fetch_timeout() { eds_->inc(EdsMainStat::init_fetch_timeout); }

void EdsStats::on_rejected(uint64_t duration_ms) {
  eds_->inc(EdsMainStat::update_rejected);
  eds_->at(main_index_).record(EdsHistogram::update_duration, duration_ms);
}

void EdsStats::on_success(std::string_view version, uint64_t version_hash, uint64_t time_ms, uint64_t duration_ms) {
  cluster_->inc(ClusterMainStat::update_success);
  cluster_->set(ClusterMainStat::version, version_hash);
  eds_->set_text(EdsMainStat::version_text, version);
  eds_->set(EdsMainStat::update_time, time_ms);
  eds_->at(main_index_).record(EdsHistogram::update_duration, duration_ms);
}

}  // namespace remora::server
