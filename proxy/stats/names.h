// Prefixes of metric names as Envoy spells them: what Store::group() takes.
#pragma once

#include <string>
#include <string_view>

namespace remora::stats {

/// A name as part of a metric name: "://", ":/", ":" and NUL become "_".
std::string sanitize(std::string_view name);

inline std::string cluster_prefix(std::string_view name_or_alt_stat_name) {
  return "cluster." + sanitize(name_or_alt_stat_name);
}
inline std::string http_prefix(std::string_view stat_prefix) {
  return "http." + sanitize(stat_prefix);
}
inline std::string tcp_prefix(std::string_view stat_prefix) {
  return "tcp." + sanitize(stat_prefix);
}
/// `name`: the listener's stat_prefix, or else its address ("127.0.0.1:80", "[::1]:80").
inline std::string listener_prefix(std::string_view name) { return "listener." + sanitize(name); }
inline std::string listener_http_prefix(std::string_view name, std::string_view stat_prefix) {
  return listener_prefix(name) + ".http." + sanitize(stat_prefix);
}
inline std::string rds_prefix(std::string_view stat_prefix, std::string_view route_config) {
  return http_prefix(stat_prefix) + ".rds." + sanitize(route_config);
}
inline std::string sds_prefix(std::string_view secret) { return "sds." + sanitize(secret); }
inline std::string route_prefix(std::string_view virtual_host, std::string_view route_stat_prefix) {
  return "vhost." + sanitize(virtual_host) + ".route." + sanitize(route_stat_prefix);
}

// Prefixes of things that exist once.
inline constexpr std::string_view kServerPrefix = "server";
inline constexpr std::string_view kClusterManagerPrefix = "cluster_manager";
inline constexpr std::string_view kCdsPrefix = "cluster_manager.cds";
inline constexpr std::string_view kListenerManagerPrefix = "listener_manager";
inline constexpr std::string_view kLdsPrefix = "listener_manager.lds";
inline constexpr std::string_view kControlPlanePrefix = "control_plane";
inline constexpr std::string_view kRuntimePrefix = "runtime";
inline constexpr std::string_view kHttp1Prefix =
    "http1";  // downstream codecs; upstream: "cluster.NAME.http1"
inline constexpr std::string_view kHttp2Prefix = "http2";

}  // namespace remora::stats
