// Compiles the configuration of the HTTP filter for role-based access control. Main thread.
#include "api/rbac_http.pb.h"
#include "filters/http/rbac/rbac.h"
#include "proxy/http/filter_registry.h"
#include "proxy/stats/store.h"
#include "xds/translate/context.h"
#include "xds/translate/rbac.h"
#include "xds/translate/values.h"

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
  return rbac::Policies{std::move(engines->enforced), std::move(engines->shadow),
                        DecisionKeys::make(Mode::Enforced, from.rules_stat_prefix()),
                        DecisionKeys::make(Mode::Shadow, from.shadow_rules_stat_prefix())};
}

rbac::Counters counters_of(const proto::RBAC& from, const FactoryContext& context) {
  return {DecisionCounters(context.stats, Mode::Enforced, context.stats_prefix,
                           from.rules_stat_prefix()),
          DecisionCounters(context.stats, Mode::Shadow, context.stats_prefix,
                           from.shadow_rules_stat_prefix())};
}

absl::StatusOr<std::shared_ptr<const http::FilterFactory>> make(std::string_view bytes,
                                                                const FactoryContext& context) {
  const Path path;
  proto::RBAC from;
  if (!from.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not an RBAC");
  }
  rbac::HttpRbacConfig config;
  config.filter_name = context.filter_name;
  REMORA_TRY_ASSIGN(config.policies, policies_of(from, context, path));
  config.counters = config.override_counters = counters_of(from, context);
  if (from.track_per_rule_stats()) {
    if (const auto& engine = config.policies.enforced) {
      config.counters.enforced.track_rules(context.stats, *engine);
    }
    if (const auto& engine = config.policies.shadow) {
      config.counters.shadow.track_rules(context.stats, *engine);
    }
  }
  return std::make_shared<http::FilterOf<rbac::HttpRbac, rbac::HttpRbacConfig>>(std::move(config));
}

/// Without an rbac nobody is asked. Decisions are counted where the filter counts its own.
absl::StatusOr<std::shared_ptr<const void>> make_for_route(std::string_view bytes,
                                                           const FactoryContext& context) {
  const Path path;
  proto::RBACPerRoute from;
  if (!from.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not an RBACPerRoute");
  }
  auto out = std::make_shared<rbac::Policies>();
  if (!from.has_rbac()) return out;
  const Path rbac = path.field("rbac");
  if (from.rbac().track_per_rule_stats()) {
    REMORA_TRY(context.translation.not_honoured(rbac.field("track_per_rule_stats"),
                                                "rules of routes are not counted apart", false));
  }
  REMORA_TRY_ASSIGN(*out, policies_of(from.rbac(), context, rbac));
  if (from.rbac().rules_stat_prefix().empty()) out->enforced_keys = {};
  if (from.rbac().shadow_rules_stat_prefix().empty()) out->shadow_keys = {};
  return out;
}

}  // namespace

void register_http_filter_rbac(http::FilterRegistry& registry) {
  registry.add({.type = "envoy.extensions.filters.http.rbac.v3.RBAC",
                .make = &make,
                .route_type = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
                .make_route_config = &make_for_route});
}

}  // namespace remora
