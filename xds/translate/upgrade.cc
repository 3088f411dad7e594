#include "xds/translate/upgrade.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "proxy/http/upgrade.h"
#include "xds/translate/proxy_protocol.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using Upgrade = envoy::config::route::v3::RouteAction::UpgradeConfig;

absl::Status read_connect(const Upgrade::ConnectConfig& from, router::ConnectConfig* out,
                          const Path& path) {
  out->allow_post = from.allow_post();
  if (!from.has_proxy_protocol_config()) return absl::OkStatus();
  auto settings =
      proxy_protocol_settings(from.proxy_protocol_config(), path.field("proxy_protocol_config"));
  if (!settings.ok()) return settings.status();
  out->proxy_protocol = *std::move(settings);
  return absl::OkStatus();
}

}  // namespace

absl::Status add_upgrade(const std::string& type, bool enabled, Context& context,
                         std::vector<router::UpgradeSetting>* out, const Path& path) {
  if (type.empty()) return path.error("is required");
  REMORA_TRY(check_header_value(type, path));
  if (http::same_protocol(type, "connect-udp")) {
    return context.not_honoured(path, absl::StrCat(type, " is not supported"), false);
  }
  const auto same = [&](const auto& other) { return http::same_protocol(other.type, type); };
  if (std::any_of(out->begin(), out->end(), same)) {
    return path.error(absl::StrCat("'", type, "' is there twice"));
  }
  out->push_back({type, enabled});
  return absl::OkStatus();
}

absl::Status read_upgrades(const envoy::config::route::v3::RouteAction& from, Context& context,
                           router::ClusterAction* out, const Path& path) {
  for (int i = 0; i < from.upgrade_configs_size(); ++i) {
    const Upgrade& upgrade = from.upgrade_configs(i);
    const Path here = path.at("upgrade_configs", static_cast<size_t>(i));
    const bool enabled = !upgrade.has_enabled() || upgrade.enabled().value();
    REMORA_TRY(add_upgrade(upgrade.upgrade_type(), enabled, context, &out->upgrades,
                           here.field("upgrade_type")));
    if (!upgrade.has_connect_config()) continue;
    const Path connect = here.field("connect_config");
    if (!http::same_protocol(upgrade.upgrade_type(), http::kConnect)) {
      return connect.error("is for CONNECT only");
    }
    router::ConnectConfig ends_here;
    REMORA_TRY(read_connect(upgrade.connect_config(), &ends_here, connect));
    out->connect = std::make_shared<const router::ConnectConfig>(std::move(ends_here));
  }
  return absl::OkStatus();
}

}  // namespace remora::xds::translate
