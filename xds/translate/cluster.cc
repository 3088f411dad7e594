#include "xds/translate/cluster.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include "xds/translate/balancing.h"
#include "xds/translate/cluster_protocol.h"
#include "xds/translate/dns.h"
#include "xds/translate/endpoint.h"
#include "xds/translate/forward_proxy.h"
#include "xds/translate/health_check.h"
#include "xds/translate/outlier.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace proto = envoy::config::cluster::v3;
using Cluster = proto::Cluster;

// ------------------------------------------------------------------------------------------------
// discovery
absl::Status set_eds(const Cluster& cluster, const Context& context, upstream::ClusterConfig* out,
                     const Path& path) {
  if (!cluster.has_eds_cluster_config() || !cluster.eds_cluster_config().has_eds_config()) {
    return path.field("eds_cluster_config.eds_config").error("is required for type EDS");
  }
  if (cluster.has_load_assignment()) {
    return path.field("load_assignment").error("is not for type EDS");
  }
  const Path here = path.field("eds_cluster_config");
  const Path at_source = here.field("eds_config");
  out->discovery = upstream::Discovery::Eds;
  out->eds_service_name = cluster.eds_cluster_config().service_name();
  ConfigSource& source = out->eds_source.edit();
  REMORA_TRY_ASSIGN(source, config_source(cluster.eds_cluster_config().eds_config(), at_source));
  REMORA_TRY(context.check_source(source, at_source));
  return absl::OkStatus();
}

absl::Status set_static(const Cluster& cluster, Context& context, upstream::ClusterConfig* out,
                        const Path& path) {
  out->discovery = upstream::Discovery::Static;
  if (!cluster.has_load_assignment()) return absl::OkStatus();
  REMORA_TRY_ASSIGN(out->assignment,
                    load_assignment(cluster.load_assignment(), EndpointNames::Literal, context,
                                    path.field("load_assignment")));
  return absl::OkStatus();
}

absl::Status set_refresh_rates(const Cluster& cluster, upstream::ClusterConfig* out,
                               const Path& path) {
  const Path at_rate = path.field("dns_refresh_rate");
  if (cluster.has_dns_refresh_rate()) {
    REMORA_TRY_ASSIGN(out->dns_refresh_ms, refresh_interval(cluster.dns_refresh_rate(), at_rate));
  }
  out->dns_failure_base_ms = out->dns_failure_max_ms = out->dns_refresh_ms;
  if (cluster.has_dns_failure_refresh_rate()) {
    REMORA_TRY(read_failure_rate(cluster.dns_failure_refresh_rate(), &out->dns_failure_base_ms,
                                 &out->dns_failure_max_ms, path.field("dns_failure_refresh_rate")));
  }
  if (cluster.has_dns_jitter()) {
    REMORA_TRY_ASSIGN(out->dns_jitter_ms,
                      milliseconds(cluster.dns_jitter(), path.field("dns_jitter")));
  }
  return absl::OkStatus();
}

absl::Status set_dns(const Cluster& cluster, Context& context, upstream::ClusterConfig* out,
                     const Path& path) {
  const Path at = path.field("load_assignment");
  const bool logical = cluster.type() == Cluster::LOGICAL_DNS;
  out->discovery = logical ? upstream::Discovery::LogicalDns : upstream::Discovery::StrictDns;
  if (!cluster.has_load_assignment() && !logical) {
    out->discovery = upstream::Discovery::Static;  // no names to look up: no hosts, for ever
    return absl::OkStatus();
  }
  REMORA_TRY_ASSIGN(out->assignment, load_assignment(cluster.load_assignment(),
                                                     EndpointNames::Resolved, context, at));
  if (logical && (out->assignment.localities.size() != 1 ||
                  out->assignment.localities.front().endpoints.size() != 1)) {
    return at.error("type LOGICAL_DNS must have a single locality with a single endpoint");
  }
  out->dns_family = dns_family(cluster.dns_lookup_family());
  out->respect_dns_ttl = cluster.respect_dns_ttl();
  REMORA_TRY(set_refresh_rates(cluster, out, path));
  if (!cluster.has_typed_dns_resolver_config()) return absl::OkStatus();
  const Path at_resolver = path.field("typed_dns_resolver_config");
  REMORA_TRY_ASSIGN(out->dns_servers,
                    dns_servers(cluster.typed_dns_resolver_config(), context, at_resolver));
  return absl::OkStatus();
}

absl::Status set_original_dst(const Cluster& cluster, upstream::ClusterConfig* out,
                              const Path& path) {
  out->discovery = upstream::Discovery::OriginalDst;
  if (cluster.has_load_assignment()) {
    return path.field("load_assignment").error("is not for type ORIGINAL_DST");
  }
  const auto& config = cluster.original_dst_lb_config();
  const Path here = path.field("original_dst_lb_config");
  out->original_dst_use_http_header = config.use_http_header();
  if (!config.http_header_name().empty()) {
    const Path at = here.field("http_header_name");
    if (!config.use_http_header()) return at.error("needs use_http_header");
    REMORA_TRY(check_header_name(config.http_header_name(), at));
    out->original_dst_http_header = absl::AsciiStrToLower(config.http_header_name());
  }
  if (config.has_upstream_port_override()) {
    if (config.upstream_port_override().value() > 65535) {
      return here.field("upstream_port_override").error("is above 65535");
    }
    out->original_dst_port_override =
        static_cast<uint16_t>(config.upstream_port_override().value());
  }
  return absl::OkStatus();
}

absl::Status set_discovery(const Cluster& cluster, Context& context, upstream::ClusterConfig* out,
                           const Path& path) {
  if (cluster.has_cleanup_interval()) {
    REMORA_TRY_ASSIGN(
        out->cleanup_interval_ms,
        positive_milliseconds(cluster.cleanup_interval(), path.field("cleanup_interval")));
  }
  if (cluster.has_cluster_type()) {  // its members are read with its balancing
    if (cluster.has_load_assignment()) {
      return path.field("load_assignment").error("is not for a cluster with cluster_type");
    }
    return absl::OkStatus();
  }
  if (cluster.cluster_discovery_type_case() == Cluster::CLUSTER_DISCOVERY_TYPE_NOT_SET) {
    return set_static(cluster, context, out, path);
  }
  switch (cluster.type()) {
    case Cluster::STATIC:
      return set_static(cluster, context, out, path);
    case Cluster::EDS:
      return set_eds(cluster, context, out, path);
    case Cluster::STRICT_DNS:
    case Cluster::LOGICAL_DNS:
      return set_dns(cluster, context, out, path);
    case Cluster::ORIGINAL_DST:
      return set_original_dst(cluster, out, path);
    default:
      return path.field("type").error(
          absl::StrCat("unknown enum value ", static_cast<int>(cluster.type())));
  }
}

absl::Status check_filters(const Cluster& cluster, const Path& path) {
  if (cluster.filters_size() == 0) return absl::OkStatus();
  const Path here = path.at("filters", 0);
  const Path at = here.field("typed_config");
  auto config = unwrap(cluster.filters(0).typed_config(), at);
  return config.ok() ? at.error(absl::StrCat("unknown type ", config->type)) : config.status();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const upstream::ClusterConfig>> cluster(const Cluster& from,
                                                                       Context& context) {
  context.resource = absl::StrCat("cluster '", from.name(), "'");
  const Path root;
  if (from.name().empty()) return root.field("name").error("is required");
  REMORA_TRY(context.check_unknown(from, root));
  auto out = std::make_shared<upstream::ClusterConfig>();
  out->name = from.name();
  out->alt_stat_name = from.alt_stat_name();
  REMORA_TRY(set_discovery(from, context, out.get(), root));
  REMORA_TRY(set_balancing(from, context, out.get(), root));
  REMORA_TRY(set_protocol(from, context, out.get(), root));
  REMORA_TRY(set_connections(from, context, out.get(), root));
  REMORA_TRY(set_circuit_breakers(from, out.get(), root));
  REMORA_TRY(check_forward_proxy(from, context, out.get(), root));
  REMORA_TRY(check_filters(from, root));
  if (from.has_outlier_detection()) {
    const Path at = root.field("outlier_detection");
    upstream::OutlierConfig outlier;
    REMORA_TRY_ASSIGN(outlier, outlier_detection(from.outlier_detection(), context.runtime, at));
    out->outlier = std::make_shared<const upstream::OutlierConfig>(outlier);
    if (out->discovery == upstream::Discovery::OriginalDst) {
      REMORA_TRY(context.not_honoured(at, "is not supported for type ORIGINAL_DST", false));
    }
  }
  REMORA_TRY(set_health_checks(from, context, out.get(), root));
  if (from.has_wait_for_warm_on_init()) {
    out->wait_for_warm_on_init = from.wait_for_warm_on_init().value();
  }
  out->content_hash = content_hash(from);
  return out;
}

}  // namespace remora::xds::translate
