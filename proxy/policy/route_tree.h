// Matching trees that find routes: what a virtual host has in place of a list. Immutable; any
// thread. Document: envoy.config.route.v3.VirtualHost.matcher.
#pragma once

#include <vector>

#include "proxy/policy/engine.h"
#include "proxy/router/route_table.h"

namespace remora::policy {

/// `ranges` has an entry for each leaf of `root`.
router::RouteTree route_tree(MatchTree::Node root, std::vector<router::RouteRange> ranges);

}  // namespace remora::policy
