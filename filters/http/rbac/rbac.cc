#include "filters/http/rbac/rbac.h"

#include "proxy/upstream/worker_context.h"

namespace remora::rbac {
namespace {

using http::FilterStatus;
using policy::Decision;

constexpr std::string_view kMetadata = "envoy.filters.http.rbac";

}  // namespace

FilterStatus HttpRbac::on_request_headers(http::HeaderMap& headers, bool) {
  const Policies& policies = config_.policies;
  http::StreamInfo& info = stream_.info();
  const policy::Facts facts = {*info.connection,
                               info.remote ? info.remote : info.connection->remote,
                               info.dynamic_metadata, &headers, &info.filter_state};
  const uint32_t worker = stream_.worker().index();
  if (policies.shadow != nullptr) {
    const Decision decision = policies.shadow->decide(facts);
    config_.shadow_counters.count(decision, worker);
    policy::leave_decision(decision, *policies.shadow, config_.shadow_keys, kMetadata,
                           info.dynamic_metadata);
  }
  if (policies.enforced == nullptr) return FilterStatus::Continue();
  const Decision decision = policies.enforced->decide(facts);
  config_.enforced_counters.count(decision, worker);
  policy::leave_log_hint(decision, info.dynamic_metadata);
  policy::leave_decision(decision, *policies.enforced, config_.enforced_keys, kMetadata,
                         info.dynamic_metadata);
  return decision.allowed ? FilterStatus::Continue() : refuse(decision, *policies.enforced);
}

FilterStatus HttpRbac::refuse(const Decision& decision, const policy::Engine& engine) {
  constexpr uint16_t kForbidden = 403;
  const std::string_view details = stream_.arena().copy(policy::denial_details(decision, engine));
  return stream_.reply({kForbidden, http::kNoFlag, details, "RBAC: access denied"});
}

}  // namespace remora::rbac
