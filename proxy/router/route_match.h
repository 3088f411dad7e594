// How one request is held against one route's conditions: path, headers, query, gRPC, fraction.
// Pure functions of (match, request, random bits). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "proxy/http/header_map.h"
#include "proxy/router/route_table.h"

namespace remora::router {

/// `path` without query and fragment.
std::string_view path_without_query(std::string_view path);

/// The first value of query parameter `name` in `path`, as written (not decoded); nullopt: absent.
std::optional<std::string_view> query_value(std::string_view path, std::string_view name);

/// A request as it is held against any number of matches: what they all ask for is found once.
struct MatchInput {
  /// `random` decides fractions; `info` as in RouteTable::decide.
  MatchInput(const http::HeaderMap& request, uint64_t random, const http::StreamInfo* info);

  const http::HeaderMap& request;
  const uint64_t random;
  const http::StreamInfo* const info;
  std::string_view path;
  std::string_view only_path;           // without query and fragment
  std::string_view without_parameters;  // nor what follows ';' in a segment
  bool has_path;
};

/// All conditions of `match` hold.
bool matches(const RouteMatch& match, const MatchInput& input);

/// Whether all of `matchers` hold.
bool match_all(const std::vector<HeaderMatch>& matchers, const http::HeaderMap& request);

/// That which the request counts for; null: the virtual host has none.
const VirtualCluster* virtual_cluster_of(const VirtualHost& vhost, const http::HeaderMap& request);

/// The part of `path` that `match` matched, to be replaced by prefix_rewrite.
/// None: it matched without the path's parameters only, and the path begins otherwise.
std::optional<std::string_view> matched_part(const RouteMatch& match, std::string_view path);

}  // namespace remora::router
