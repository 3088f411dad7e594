// Compiles the configuration of the HTTP filter for role-based access control. Main thread.
#include "api/rbac_http.pb.h"
#include "filters/http/rbac/rbac.h"
#include "proxy/http/filter_registry.h"
#include "proxy/stats/store.h"
#include "xds/translate/context.h"
#include "xds/translate/rbac.h"

namespace remora {
namespace {

namespace proto = envoy::extensions::filters::http::rbac::v3;
using policy::DecisionCounters;
using policy::DecisionKeys;
using policy::Mode;
using xds::translate::Path;
using xds::translate::PolicyLayer;

absl::StatusOr<rbac::Policies> policies_of(const proto::RBAC& from, const FactoryContext& context,
                                           const Path& path) {
  auto engines = xds::translate::rbac_engines(from, PolicyLayer::Http, context.translation, path);
  if (!engines.ok()) return engines.status();
  return rbac::Policies{std::move(engines->enforced), std::move(engines->shadow)};
}

absl::StatusOr<std::shared_ptr<const http::FilterFactory>> make(std::string_view bytes,
                                                                const FactoryContext& context) {
  const Path path;
  proto::RBAC from;
  if (!from.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not an RBAC");
  }
  rbac::HttpRbacConfig config;
  auto policies = policies_of(from, context, path);
  if (!policies.ok()) return policies.status();
  config.policies = *std::move(policies);
  config.enforced_keys = DecisionKeys::make(Mode::Enforced, from.rules_stat_prefix());
  config.shadow_keys = DecisionKeys::make(Mode::Shadow, from.shadow_rules_stat_prefix());
  config.enforced_counters = DecisionCounters(context.stats, Mode::Enforced, context.stats_prefix,
                                              from.rules_stat_prefix());
  config.shadow_counters = DecisionCounters(context.stats, Mode::Shadow, context.stats_prefix,
                                            from.shadow_rules_stat_prefix());
  if (from.track_per_rule_stats()) {
    if (const auto& engine = config.policies.enforced) {
      config.enforced_counters.track_rules(context.stats, *engine);
    }
    if (const auto& engine = config.policies.shadow) {
      config.shadow_counters.track_rules(context.stats, *engine);
    }
  }
  return std::make_shared<http::FilterOf<rbac::HttpRbac, rbac::HttpRbacConfig>>(std::move(config));
}

}  // namespace

void register_http_filter_rbac(http::FilterRegistry& registry) {
  registry.add({.type = "envoy.extensions.filters.http.rbac.v3.RBAC", .make = &make});
}

}  // namespace remora
