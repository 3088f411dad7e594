// Whether a request may become what it wants to: an upgrade or a tunnel. A pure function of
// (configuration, route, request). The stream's worker thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/connection_manager/config.h"
#include "proxy/router/route_table.h"

namespace remora::connection_manager {

enum class UpgradeVerdict : uint8_t {
  Accept,
  Refuse,
  Unknown,  // nobody speaks of it: it is not asked for either, so that the request is a plain one
};

/// `wanted` as of http::wanted_tunnel(), not empty. What the route says goes before what the
/// connection manager does.
UpgradeVerdict judge_upgrade(const HttpConfig& config, const router::Route* route,
                             std::string_view wanted);

}  // namespace remora::connection_manager
