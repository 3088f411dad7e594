#include "xds/translate/forward_proxy.h"

#include "api/dynamic_forward_proxy_cluster.pb.h"
#include "xds/translate/dns.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using ClusterConfig = envoy::extensions::clusters::dynamic_forward_proxy::v3::ClusterConfig;

}  // namespace

absl::Status set_forward_proxy(const std::string& bytes, Context& context,
                               upstream::BalancingConfig* out, const Path& path) {
  ClusterConfig config;
  if (!config.ParseFromString(bytes)) return path.error("is not a valid message");
  if (config.has_sub_clusters_config()) {
    return path.field("sub_clusters_config").error("is not supported");
  }
  if (!config.has_dns_cache_config()) return path.field("dns_cache_config").error("is required");
  if (config.allow_coalesced_connections()) {
    const Path at = path.field("allow_coalesced_connections");
    REMORA_TRY(context.not_honoured(at, "is not supported", false));
  }
  REMORA_TRY_ASSIGN(out->dns_cache,
                    dns_cache(config.dns_cache_config(), context, path.field("dns_cache_config")));
  return absl::OkStatus();
}

absl::Status check_forward_proxy(const envoy::config::cluster::v3::Cluster& cluster,
                                 Context& context, upstream::ClusterConfig* out, const Path& path) {
  if (upstream::balancing_of(*out).dns_cache == nullptr) return absl::OkStatus();
  const Path at = path.field("cluster_type.typed_config");
  // Whom a certificate must name is what the request says, unless somebody decides otherwise.
  if (cluster.typed_extension_protocol_options().empty()) {
    out->auto_sni = out->auto_san_validation = true;
  }
  auto config = unpack_as<ClusterConfig>(cluster.cluster_type().typed_config(), at);
  if (!config.ok()) return config.status();
  if (!config->allow_insecure_cluster_options() && !(out->auto_sni && out->auto_san_validation)) {
    return at.error(
        "needs auto_sni and auto_san_validation, unless allow_insecure_cluster_options is set");
  }
  if (cluster.has_outlier_detection()) {
    REMORA_TRY(context.not_honoured(path.field("outlier_detection"),
                                    "is not supported for a dynamic forward proxy", false));
  }
  if (cluster.health_checks_size() > 0) {
    return path.field("health_checks").error("is not supported for a dynamic forward proxy");
  }
  return absl::OkStatus();
}

}  // namespace remora::xds::translate
