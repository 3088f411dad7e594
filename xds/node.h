// How Remora presents itself to a control plane. Main thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "api/core.pb.h"

namespace remora::xds {

/// A registered extension, as control planes list them: "envoy.filters.http.router" in
/// "envoy.filters.http".
struct ExtensionName {
  std::string name;
  std::string category;
  std::vector<std::string> type_urls;  // without "type.googleapis.com/"
};

/// `configured` (id, cluster, locality, metadata, from the bootstrap and the command line) with
/// what only the proxy knows: user agent, version, extensions, client features. Control planes
/// choose what to send by these, so they are those of the Envoy release that Remora stands in for.
envoy::config::core::v3::Node make_node(envoy::config::core::v3::Node configured,
                                        std::span<const ExtensionName> extensions);

}  // namespace remora::xds
