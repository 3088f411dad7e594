#include "filters/http/rbac/rbac.h"

#include "proxy/upstream/worker_context.h"

namespace remora::rbac {
namespace {

using http::FilterStatus;
using policy::Decision;

constexpr std::string_view kMetadata = "envoy.filters.http.rbac";

const policy::DecisionKeys& first_set(const policy::DecisionKeys& one,
                                      const policy::DecisionKeys& other) {
  return one.result.empty() ? other : one;
}

}  // namespace

FilterStatus HttpRbac::on_request_headers(http::HeaderMap& headers, bool) {
  http::StreamInfo& info = stream_.info();
  const policy::Facts facts = {*info.connection,
                               info.remote ? info.remote : info.connection->remote,
                               info.dynamic_metadata, &headers, &info.filter_state};
  const auto* of_route = static_cast<const Policies*>(stream_.route_config_of(config_.filter_name));
  return of_route != nullptr ? decide(*of_route, config_.override_counters, facts)
                             : decide(config_.policies, config_.counters, facts);
}

FilterStatus HttpRbac::decide(const Policies& policies, const Counters& counters,
                              const policy::Facts& facts) {
  Metadata& metadata = stream_.info().dynamic_metadata;
  const uint32_t worker = stream_.worker().index();
  if (policies.shadow != nullptr) {
    const Decision decision = policies.shadow->decide(facts);
    counters.shadow.count(decision, worker);
    policy::leave_decision(decision, *policies.shadow,
                           first_set(policies.shadow_keys, config_.policies.shadow_keys), kMetadata,
                           metadata);
  }
  if (policies.enforced == nullptr) return FilterStatus::Continue();
  const Decision decision = policies.enforced->decide(facts);
  counters.enforced.count(decision, worker);
  policy::leave_log_hint(decision, metadata);
  policy::leave_decision(decision, *policies.enforced,
                         first_set(policies.enforced_keys, config_.policies.enforced_keys),
                         kMetadata, metadata);
  return decision.allowed ? FilterStatus::Continue() : refuse(decision, *policies.enforced);
}

FilterStatus HttpRbac::refuse(const Decision& decision, const policy::Engine& engine) {
  constexpr uint16_t kForbidden = 403;
  const std::string_view details = stream_.arena().copy(policy::denial_details(decision, engine));
  return stream_.reply({kForbidden, http::kNoFlag, details, "RBAC: access denied"});
}

}  // namespace remora::rbac
