// Compiles the TCP proxy's configuration. Main thread.
#include <absl/strings/ascii.h>

#include <utility>

#include "api/tcp_proxy.pb.h"
#include "filters/network/registry.h"
#include "filters/network/tcp_proxy/tcp_proxy.h"
#include "proxy/stats/names.h"
#include "proxy/stats/store.h"
#include "xds/translate/access_log.h"
#include "xds/translate/context.h"
#include "xds/translate/host_metadata.h"
#include "xds/translate/values.h"

namespace remora {
namespace {

using telemetry::LogFormat;
using xds::translate::metadata_criteria;
using xds::translate::milliseconds;
using xds::translate::Path;
using xds::translate::positive_milliseconds;
using Proto = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

absl::Status read_clusters(const Proto& proto, tcp_proxy::Config* out, const Path& path) {
  out->metadata_match = metadata_criteria(proto.metadata_match(), nullptr);
  switch (proto.cluster_specifier_case()) {
    case Proto::kCluster:
      if (proto.cluster().empty()) return path.field("cluster").error("is required");
      out->cluster = proto.cluster();
      return absl::OkStatus();
    case Proto::kWeightedClusters:
      break;
    case Proto::CLUSTER_SPECIFIER_NOT_SET:
      return path.field("cluster_specifier").error("is required");
  }
  const Path weighted = path.field("weighted_clusters");
  for (int i = 0; i < proto.weighted_clusters().clusters_size(); ++i) {
    const auto& cluster = proto.weighted_clusters().clusters(i);
    const Path here = weighted.at("clusters", static_cast<size_t>(i));
    if (cluster.name().empty()) return here.field("name").error("is required");
    if (cluster.weight() == 0) return here.field("weight").error("must be at least 1");
    out->weighted.push_back({cluster.name(), cluster.weight(),
                             metadata_criteria(cluster.metadata_match(), out->metadata_match)});
    out->total_weight += cluster.weight();
  }
  if (out->total_weight == 0) return weighted.field("clusters").error("must not be empty");
  return absl::OkStatus();
}

absl::Status read_limits(const Proto& proto, tcp_proxy::Config* out, const Path& path) {
  if (proto.has_idle_timeout()) {
    REMORA_TRY_ASSIGN(out->idle_timeout_ms,
                      milliseconds(proto.idle_timeout(), path.field("idle_timeout")));
  }
  if (proto.has_max_downstream_connection_duration()) {
    REMORA_TRY_ASSIGN(out->max_connection_duration_ms,
                      positive_milliseconds(proto.max_downstream_connection_duration(),
                                            path.field("max_downstream_connection_duration")));
  }
  if (proto.has_max_connect_attempts()) {
    out->max_connect_attempts = proto.max_connect_attempts().value();
    if (out->max_connect_attempts == 0) {
      return path.field("max_connect_attempts").error("must be at least 1");
    }
  }
  if (proto.hash_policy_size() > 1) return path.field("hash_policy").error("has several elements");
  if (proto.hash_policy_size() == 1) {
    if (!proto.hash_policy(0).has_source_ip()) {
      return path.at("hash_policy", 0).error("has no policy specifier that is supported");
    }
    out->hash_source_ip = true;
  }
  return absl::OkStatus();
}

absl::Status read_access_log(const Proto& proto, xds::translate::Context& context,
                             tcp_proxy::Config* out, const Path& path) {
  const auto& options = proto.access_log_options();
  out->log_on_connected = options.flush_access_log_on_connected();
  if (options.has_access_log_flush_interval()) {
    REMORA_TRY_ASSIGN(
        out->log_interval_ms,
        positive_milliseconds(options.access_log_flush_interval(),
                              path.field("access_log_options.access_log_flush_interval")));
  }
  REMORA_TRY_ASSIGN(out->access_logs,
                    xds::translate::access_logs(proto.access_log(), "access_log", context, path));
  return absl::OkStatus();
}

absl::StatusOr<tcp_proxy::TunnelConfig::Header> tunnel_header(
    const envoy::config::core::v3::HeaderValueOption& from, const Path& path) {
  using Option = envoy::config::core::v3::HeaderValueOption;
  const Path at_name = path.field("header.key");
  const Path at_value = path.field("header.value");
  REMORA_TRY(xds::translate::check_header_name(from.header().key(), at_name));
  std::string name = absl::AsciiStrToLower(from.header().key());
  if (name.starts_with(':') || name == "host") {
    return at_name.error(":-prefixed or host headers may not be modified");
  }
  REMORA_TRY(xds::translate::check_header_value(from.header().value(), at_value));
  auto value = LogFormat::text(from.header().value(), telemetry::Missing::Empty);
  if (!value.ok()) return at_value.error(std::string(value.status().message()));
  const bool append_says = from.has_append() && !from.append().value();
  return tcp_proxy::TunnelConfig::Header{
      .name = std::move(name),
      .value = *std::move(value),
      .overwrite = append_says || from.append_action() == Option::OVERWRITE_IF_EXISTS_OR_ADD ||
                   from.append_action() == Option::OVERWRITE_IF_EXISTS,
      .only_if_there = from.append_action() == Option::OVERWRITE_IF_EXISTS,
      .add_if_absent = from.append_action() == Option::ADD_IF_ABSENT,
      .keep_empty = from.keep_empty_value()};
}

absl::Status read_tunneling(const Proto& proto, xds::translate::Context& context,
                            tcp_proxy::Config* out, const Path& path) {
  if (!proto.has_tunneling_config()) return absl::OkStatus();
  const Proto::TunnelingConfig& from = proto.tunneling_config();
  const Path here = path.field("tunneling_config");
  const Path at_host = here.field("hostname");
  if (from.hostname().empty()) return at_host.error("is required");
  auto host = LogFormat::text(from.hostname());
  if (!host.ok()) return at_host.error(std::string(host.status().message()));
  tcp_proxy::TunnelConfig tunnel{.host = *std::move(host), .post_path = {}, .headers = {}};
  if (!from.post_path().empty() && !from.use_post()) {
    return here.field("post_path").error("is for use_post only");
  }
  REMORA_TRY(xds::translate::check_header_value(from.post_path(), here.field("post_path")));
  if (from.use_post()) tunnel.post_path = from.post_path().empty() ? "/" : from.post_path();
  for (int i = 0; i < from.headers_to_add_size(); ++i) {
    auto header =
        tunnel_header(from.headers_to_add(i), here.at("headers_to_add", static_cast<size_t>(i)));
    if (!header.ok()) return header.status();
    tunnel.headers.push_back(*std::move(header));
  }
  // No filter of ours reads them.
  if (from.propagate_response_headers() || from.propagate_response_trailers()) {
    const Path field =
        here.field(from.propagate_response_headers() ? "propagate_response_headers"
                                                     : "propagate_response_trailers");
    REMORA_TRY(context.not_honoured(field, "is not supported", false));
  }
  out->tunneling = std::make_shared<const tcp_proxy::TunnelConfig>(std::move(tunnel));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> make(std::string_view bytes,
                                                                 const FactoryContext& context) {
  const Path path;
  Proto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not a TcpProxy");
  }
  if (proto.stat_prefix().empty()) return path.field("stat_prefix").error("is required");
  tcp_proxy::Config config;
  REMORA_TRY(read_clusters(proto, &config, path));
  REMORA_TRY(read_limits(proto, &config, path));
  REMORA_TRY(read_access_log(proto, context.translation, &config, path));
  REMORA_TRY(read_tunneling(proto, context.translation, &config, path));
  config.stats = context.stats.group<stats::TcpSchema>(stats::tcp_prefix(proto.stat_prefix()));
  return std::make_shared<tcp_proxy::TcpProxyFactory>(std::move(config));
}

}  // namespace

void register_network_filter_tcp_proxy(NetworkFilterRegistry& registry) {
  registry.add({"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", &make});
}

}  // namespace remora
