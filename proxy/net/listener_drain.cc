// How a listener stops: pausing, in-place updates, draining, removal. Its worker's thread only.
#include <algorithm>
#include <utility>

#include "proxy/net/listener.h"

namespace remora {
namespace {

/// Gradual draining happens in so many steps over the drain time.
constexpr uint64_t kDrainSteps = 64;

}  // namespace

// --- pausing ---

void Listener::pause_accepting() {
  if (std::exchange(paused_, true)) return;
  for (auto& door : doors_) door->event.disable();
}

void Listener::resume_accepting() {
  accept_timer_.disarm();
  if (!std::exchange(paused_, false)) return;
  for (auto& door : doors_) door->event.enable();
}

// --- updating ---

void Listener::update(std::shared_ptr<const ListenerConfig> config) {
  config_ = Snapshot<ListenerConfig>(std::move(config));
  plan_drain(environment_.drain_time_ms, [this](const DownstreamConnection& connection) {
    return !still_has(connection.chain());
  });
}

bool Listener::still_has(const FilterChainConfig& chain) const {
  const auto same = [&](const FilterChainConfig& other) {
    return other.content_hash == chain.content_hash;
  };
  const auto& fallback = config_->default_chain;
  return std::any_of(config_->chains.begin(), config_->chains.end(), same) ||
         (fallback && same(*fallback));
}

// --- draining ---

void Listener::drain_politely() {
  if (!std::exchange(draining_, true)) draining_since_ = environment_.loop.now_ms();
  plan_drain(DownstreamConnection::DrainPlan::kNever,
             [](const DownstreamConnection&) { return true; });
}

void Listener::stop_accepting() {
  stopped_ = true;
  accept_timer_.disarm();
  doors_.clear();
}

void Listener::end_connections(TransportCondition condition, Ending how) {
  connections_.for_each([&](DownstreamConnection& connection) {
    if (!condition(connection.transport())) return;
    if (how == Ending::AtOnce) {
      connection.close(CloseHow::Flush, "peer_no_longer_trusted");
    } else {
      connection.drain();
    }
  });
}

void Listener::close_all() {
  accepted_.for_each([this](AcceptedSocket& accepted) { on_rejected(accepted); });
  connections_.for_each(
      [](DownstreamConnection& connection) { connection.close(CloseHow::NoFlush, "shutdown"); });
}

void Listener::remove() {
  stop_accepting();
  draining_ = true;
  close_at_ = environment_.loop.now_ms() + environment_.drain_time_ms;
  plan_drain(environment_.drain_time_ms, [](const DownstreamConnection&) { return true; });
  check_drained();
}

/// Plans the end of the connections that `applies` to: told now, or in steps over the drain time,
/// and closed `close_after_ms` from now.
template <class Condition>
void Listener::plan_drain(uint64_t close_after_ms, Condition applies) {
  using Plan = DownstreamConnection::DrainPlan;
  const MonotonicMs now = environment_.loop.now_ms();
  const uint64_t spread = environment_.gradual_drain ? environment_.drain_time_ms : 0;
  uint64_t index = 0;
  connections_.for_each([&](DownstreamConnection& connection) {
    if (!applies(connection)) return;
    Plan& plan = connection.drain_plan;
    const uint64_t step = index++ % kDrainSteps;
    plan.announce_at = std::min(plan.announce_at, now + spread * step / kDrainSteps);
    if (close_after_ms != Plan::kNever) {
      plan.close_at = std::min(plan.close_at, now + close_after_ms);
    }
  });
  run_drain();
}

/// Does what is due and sleeps until the next is.
void Listener::run_drain() {
  using Plan = DownstreamConnection::DrainPlan;
  const MonotonicMs now = environment_.loop.now_ms();
  MonotonicMs next = Plan::kNever;
  connections_.for_each([&](DownstreamConnection& connection) {
    const Plan plan = connection.drain_plan;
    if (plan.close_at <= now) {
      connection.close(CloseHow::Flush, "drain_time_reached");
      return;
    }
    next = std::min(next, plan.close_at);
    if (connection.drained()) return;
    if (plan.announce_at <= now) {
      connection.drain();
    } else {
      next = std::min(next, plan.announce_at);
    }
  });
  if (next != Plan::kNever) drain_timer_.arm(next - now);
}

/// One that came while the listener drains. The later it comes, the likelier it is told at once.
void Listener::join_drain(DownstreamConnection& connection) {
  if (stopped_) {
    connection.drain();
    connection.drain_plan.close_at = close_at_;
    return run_drain();
  }
  constexpr uint64_t kStride = 37;  // has no divisor in common with the number of steps
  const uint64_t spread = environment_.gradual_drain ? environment_.drain_time_ms : 0;
  const uint64_t step = ++joined_drain_ * kStride % kDrainSteps;
  const MonotonicMs announce_at = draining_since_ + spread * step / kDrainSteps;
  const MonotonicMs now = environment_.loop.now_ms();
  if (announce_at <= now) return connection.drain();
  connection.drain_plan.announce_at = announce_at;
  if (announce_at < drain_timer_.deadline()) drain_timer_.arm(announce_at - now);
}

void Listener::check_drained() {
  if (stopped_ && draining_ && accepted_.empty() && connections_.empty()) {
    directory_.on_drained(*this);
  }
}

}  // namespace remora
