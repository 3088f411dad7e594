// How one request is held against one route's conditions: path, headers, query, gRPC, fraction.
// Pure functions of (match, request, random bits). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/http/header_map.h"
#include "proxy/router/route_table.h"

namespace remora::router {

/// `path` without query and fragment.
std::string_view path_without_query(std::string_view path);

/// The first value of query parameter `name` in `path`, as written (not decoded); nullopt: absent.
std::optional<std::string_view> query_value(std::string_view path, std::string_view name);

/// All conditions of `match` hold. `random` decides the fraction.
bool matches(const RouteMatch& match, const http::HeaderMap& request, uint64_t random);

/// The part of `path` that `match` matched, to be replaced by prefix_rewrite.
std::string_view matched_part(const RouteMatch& match, std::string_view path);

}  // namespace remora::router
