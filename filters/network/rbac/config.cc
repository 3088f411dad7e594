// Compiles the configuration of the network filter for role-based access control. Main thread.
#include "api/rbac_network.pb.h"
#include "filters/network/rbac/rbac.h"
#include "proxy/net/filter_registry.h"
#include "proxy/stats/store.h"
#include "xds/translate/context.h"
#include "xds/translate/rbac.h"
#include "xds/translate/values.h"

namespace remora {
namespace {

namespace proto = envoy::extensions::filters::network::rbac::v3;
using policy::DecisionCounters;
using policy::DecisionKeys;
using policy::Mode;
using rbac::NetworkRbacConfig;
using xds::translate::Path;
using xds::translate::PolicyLayer;

bool waits_for_filters(const std::shared_ptr<const policy::Engine>& engine) {
  return engine != nullptr && engine->reads_what_filters_leave();
}

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> make(std::string_view bytes,
                                                                 const FactoryContext& context) {
  const Path path;
  proto::RBAC from;
  if (!from.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not an RBAC");
  }
  const std::string& prefix = from.stat_prefix();
  if (prefix.empty()) return path.field("stat_prefix").error("is required");
  auto engines =
      xds::translate::rbac_engines(from, PolicyLayer::Network, context.translation, path);
  if (!engines.ok()) return engines.status();
  NetworkRbacConfig config;
  config.enforced = std::move(engines->enforced);
  config.shadow = std::move(engines->shadow);
  config.shadow_keys = DecisionKeys::make(Mode::Shadow, from.shadow_rules_stat_prefix());
  config.enforced_counters = DecisionCounters(context.stats, Mode::Enforced, prefix, "");
  config.shadow_counters =
      DecisionCounters(context.stats, Mode::Shadow, prefix, from.shadow_rules_stat_prefix());
  if (from.has_delay_deny()) {
    REMORA_TRY_ASSIGN(config.delay_deny_ms,
                      xds::translate::milliseconds(from.delay_deny(), path.field("delay_deny")));
  }
  const bool continuous = from.enforcement_type() == proto::RBAC::CONTINUOUS;
  config.when = continuous ? NetworkRbacConfig::When::Continuously : NetworkRbacConfig::When::Once;
  config.at_once =
      !continuous && !waits_for_filters(config.enforced) && !waits_for_filters(config.shadow);
  return std::make_shared<rbac::NetworkRbacFactory>(std::move(config));
}

}  // namespace

void register_network_filter_rbac(NetworkFilterRegistry& registry) {
  registry.add({"envoy.extensions.filters.network.rbac.v3.RBAC", &make});
}

}  // namespace remora
