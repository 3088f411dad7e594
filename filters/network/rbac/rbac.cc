#include "filters/network/rbac/rbac.h"

#include "proxy/upstream/worker_context.h"

namespace remora::rbac {

namespace {
constexpr std::string_view kMetadata = "envoy.filters.network.rbac";
}  // namespace

NetworkRbac::NetworkRbac(const NetworkRbacConfig& config, NetworkFilterContext& context)
    : config_(config), context_(context) {}

NetworkFilter::Status NetworkRbac::on_new_connection() {
  return config_.at_once ? decide() : Status::Continue;
}

NetworkFilter::Status NetworkRbac::on_data(Buffer&, bool) {
  if (denied_) return Status::StopIteration;
  const bool again = config_.when == NetworkRbacConfig::When::Continuously;
  return decided_ && !again ? Status::Continue : decide();
}

NetworkFilter::Status NetworkRbac::decide() {
  ConnectionFacts& connection = context_.facts();
  const policy::Facts facts = policy::facts_of(connection);
  const uint32_t worker = context_.worker().index();
  // Tried out once, however often the rest is enforced.
  if (config_.shadow != nullptr && !decided_) {
    const policy::Decision decision = config_.shadow->decide(facts);
    config_.shadow_counters.count(decision, worker);
    policy::leave_decision(decision, *config_.shadow, config_.shadow_keys, kMetadata,
                           connection.metadata);
  }
  decided_ = true;
  if (config_.enforced == nullptr) return Status::Continue;
  const policy::Decision decision = config_.enforced->decide(facts);
  config_.enforced_counters.count(decision, worker);
  policy::leave_log_hint(decision, connection.metadata);
  return decision.allowed ? Status::Continue : deny(decision);
}

NetworkFilter::Status NetworkRbac::deny(const policy::Decision& decision) {
  denied_ = true;
  context_.set_termination_details(policy::denial_details(decision, *config_.enforced));
  if (config_.delay_deny_ms == 0) {
    close();
    return Status::StopIteration;
  }
  delay_ = std::make_unique<Timer>(context_.worker().timers(),
                                   Timer::bind<&NetworkRbac::close, NetworkRbac>(), this);
  delay_->arm(config_.delay_deny_ms);
  return Status::StopIteration;
}

void NetworkRbac::close() { context_.connection().close(CloseHow::NoFlush); }

void NetworkRbac::on_closed(CloseCause) { delay_.reset(); }

}  // namespace remora::rbac
