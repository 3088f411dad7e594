// The names that TLS to an upstream asks for and verifies, where its cluster takes them from
// requests. Pure function.
#pragma once

#include "proxy/http/header_map.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/http_pool.h"

namespace remora::router {

/// Adds to `needs`; its new views live in `arena`.
void name_connection(const upstream::ClusterConfig& config, const http::HeaderMap& request,
                     Arena& arena, upstream::ConnectionNeeds* needs);

}  // namespace remora::router
