#include "proxy/connection_manager/upgrade.h"

#include <algorithm>
#include <vector>

#include "proxy/http/upgrade.h"

namespace remora::connection_manager {
namespace {

using Settings = std::vector<router::UpgradeSetting>;

UpgradeVerdict verdict_of(const Settings& settings, std::string_view wanted) {
  const auto said = std::find_if(settings.begin(), settings.end(), [&](const auto& setting) {
    return http::same_protocol(setting.type, wanted);
  });
  if (said == settings.end()) return UpgradeVerdict::Unknown;
  return said->enabled ? UpgradeVerdict::Accept : UpgradeVerdict::Refuse;
}

}  // namespace

UpgradeVerdict judge_upgrade(const HttpConfig& config, const router::Route* route,
                             std::string_view wanted) {
  const auto* action =
      route != nullptr ? std::get_if<router::ClusterAction>(&route->action) : nullptr;
  if (action != nullptr) {
    const UpgradeVerdict by_route = verdict_of(action->upgrades, wanted);
    if (by_route != UpgradeVerdict::Unknown) return by_route;
  }
  return verdict_of(config.upgrades, wanted);
}

}  // namespace remora::connection_manager
