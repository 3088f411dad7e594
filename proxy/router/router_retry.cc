// The part of the router that tries again: whether, with what, at which host, and beside whom.
#include <algorithm>
#include <utility>

#include "proxy/router/retry_extras.h"
#include "proxy/router/router.h"
#include "proxy/router/shared_body.h"
#include "proxy/upstream/worker_context.h"

namespace remora::router {

using stats::ClusterStat;
using stats::RouteStat;

/// For whom no policy sends it again less is kept: of a long body much will have gone before it
/// fails.
size_t Router::replay_limit() const {
  constexpr size_t kMaxResendBytes = size_t{64} * 1024;
  const size_t limit =
      extras_ != nullptr && extras_->body_limit ? *extras_->body_limit : stream_.buffer_limit();
  return plan_.armed() || may_redirect() ? limit : std::min(limit, kMaxResendBytes);
}

/// A body that does not fit cannot be sent twice.
void Router::keep_for_replay(Buffer& data) {
  if ((!plan_.armed() && !resendable_ && !may_redirect()) || response_started_) return;
  const bool fits = replay_.size() + data.size() <= replay_limit();
  const bool waiting_to_retry = attempt_ == nullptr;
  if (fits || waiting_to_retry) share(data, replay_);
  if (!fits && waiting_to_retry && !std::exchange(body_paused_, true)) stream_.pause_request_body();
  if (fits || waiting_to_retry) return;
  if (plan_.armed() || may_redirect()) {
    cluster_->stats().inc(ClusterStat::retry_or_shadow_abandoned);
  }
  plan_.give_up();
  resendable_ = false;
  body_lost_ = true;
  replay_.clear();
}

/// `late`: because something took too long.
Router::Again Router::decide_retry(bool wanted, bool late) {
  if (retry_taken_ && retried_ && !wanted) {
    cluster_->stats().inc(ClusterStat::upstream_rq_retry_success);
    count_for_route(RouteStat::upstream_rq_retry_success);
  }
  release_retry();
  if (!wanted) return Again::No;
  upstream::Cluster::Stats& counts = cluster_->stats();
  if (plan_.remaining() == 0) {
    counts.inc(ClusterStat::upstream_rq_retry_limit_exceeded);
    count_for_route(RouteStat::upstream_rq_retry_limit_exceeded);
    stream_.info().flags.set(http::ResponseFlag::URX);
    return Again::No;
  }
  const auto priority =
      action_->high_priority ? upstream::Priority::High : upstream::Priority::Default;
  if (!cluster_->try_retry(priority)) {
    counts.inc(ClusterStat::upstream_rq_retry_overflow);
    count_for_route(RouteStat::upstream_rq_retry_overflow);
    stream_.info().flags.set(http::ResponseFlag::UO);
    return Again::No;
  }
  plan_.spend();
  retry_taken_ = true;
  retried_ = true;
  last_was_late_ = late;
  told_when_ = plan_.told_when();
  attempt_ = nullptr;
  back_off_timer_.arm(plan_.next_back_off_ms(stream_.worker().random()));
  return Again::Yes;
}

/// Nothing of the request was processed, which the attempt knows for certain: it goes out once more
/// without any policy, on a connection that nobody has used. Streams that a loaded host refuses are
/// sent again within the bounds of retries only.
Router::Again Router::send_unprocessed_again(http::ResetReason reason) {
  if (!std::exchange(resendable_, false)) return Again::No;
  if (reason == http::ResetReason::RemoteRefused) {
    const auto priority =
        action_->high_priority ? upstream::Priority::High : upstream::Priority::Default;
    if (retry_taken_ || !cluster_->try_retry(priority)) return Again::No;
    retry_taken_ = true;
  }
  resent_ = true;
  cluster_->remora_stats().inc(upstream::ClusterRemoraStat::upstream_rq_resent);
  attempt_ = nullptr;
  unsent_.clear();
  share(replay_, unsent_);
  needs_.fresh = true;
  try_upstream();
  needs_.fresh = false;
  return Again::Yes;
}

void Router::release_retry() {
  if (!std::exchange(retry_taken_, false)) return;
  cluster_->release_retry(action_->high_priority ? upstream::Priority::High
                                                 : upstream::Priority::Default);
}

void Router::on_back_off_over() {
  upstream::Cluster::Stats& counts = cluster_->stats();
  counts.inc(ClusterStat::upstream_rq_retry);
  count_for_route(RouteStat::upstream_rq_retry);
  counts.inc(told_when_ ? ClusterStat::upstream_rq_retry_backoff_ratelimited
                        : ClusterStat::upstream_rq_retry_backoff_exponential);
  ++attempt_count_;
  unsent_.clear();
  share(replay_, unsent_);
  set_attempt_headers();
  try_upstream();
}

/// The next attempt is made while the late one goes on: whoever has a good answer first, answers.
void Router::hedge(Attempt& late) {
  constexpr uint16_t kGatewayTimeout = 504;
  if (late.replaced) return;
  report_failure(late, kGatewayTimeout);
  late.lateness_counted = true;
  constexpr bool kLate = true;
  if (!response_started_ && plan_.armed()) late.replaced = decide_retry(true, kLate) == Again::Yes;
}

/// Whether there is somebody to wait for when `attempt` has failed.
bool Router::others_may_answer(const Attempt& attempt) const {
  if (back_off_timer_.armed()) return true;
  for (const Attempt* other = attempts_; other != nullptr; other = other->previous) {
    if (other != &attempt && other->awaiting_headers()) return true;
  }
  return false;
}

/// What a retry asks of hosts besides.
void Router::avoid_what_failed(const RetryPolicy& policy, upstream::PickContext& context) {
  context.max_attempts = policy.host_selection_max_attempts;
  context.avoid = tried_.data();
  context.avoid_count = tried_.size();
  context.previous_priorities = previous_priorities_.get();
  if (policy.extras == nullptr) return;
  context.avoid_canaries = policy.extras->avoids_canaries;
  if (!policy.extras->avoid_labels.empty()) context.avoid_labels = &policy.extras->avoid_labels;
}

}  // namespace remora::router
