// The bootstrap: from a file and flags to what a process starts with. In two steps, because static
// clusters and listeners can only be compiled once the statistics that the first step configures
// exist. Document: envoy.config.bootstrap.v3.Bootstrap. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/bootstrap.pb.h"
#include "proxy/net/address.h"
#include "proxy/net/config_source.h"
#include "proxy/net/listener_config.h"
#include "proxy/stats/config.h"
#include "proxy/telemetry/log_sink.h"
#include "proxy/upstream/cluster_config.h"
#include "xds/translate/access_log.h"
#include "xds/translate/context.h"
#include "xds/translate/runtime.h"

namespace remora::xds::translate {

/// Where a bootstrap comes from, and what flags add to it.
struct BootstrapInput {
  std::string path;  // YAML, or JSON by its suffix; may be empty
  std::string yaml;  // merged over the file; may be empty
  std::string service_node, service_cluster, service_zone;  // whatever the bootstrap says
  std::vector<std::pair<std::string, std::string>> stats_tags;
  UnknownFieldPolicy policy{UnknownFieldPolicy::Kind::StaticRefuse};
  std::function<void(std::string)> on_unknown;
};

struct BootstrapConfig {
  envoy::config::bootstrap::v3::Bootstrap proto;  // with the flags' part of node; for /config_dump
  NodeIdentity node;
  std::optional<Address> admin_address;  // none: no admin endpoint
  bool admin_ignores_connection_limit = false;
  std::optional<ConfigSource> ads;  // kind Grpc or DeltaGrpc
  std::optional<ConfigSource> lds, cds;
  stats::StatsConfig stats;
  uint64_t stats_flush_interval_ms = 5000;
  Runtime runtime;
  std::optional<uint64_t> max_active_downstream_connections;
  std::string log_format;  // of the application log; empty: the default or the flag's
};

/// Reads and checks everything but static resources. Errors name the file or the field's path.
absl::StatusOr<BootstrapConfig> load_bootstrap(const BootstrapInput& input);
/// The same from a message that has been read already.
absl::StatusOr<BootstrapConfig> bootstrap(envoy::config::bootstrap::v3::Bootstrap proto,
                                          const BootstrapInput& input);

/// In the order of the bootstrap's lists.
struct StaticResources {
  std::vector<std::shared_ptr<const upstream::ClusterConfig>> clusters;
  std::vector<std::shared_ptr<const ListenerConfig>> listeners;
  AccessLogs admin_access_logs;
  telemetry::LogSink* outlier_log = nullptr;  // null: none
};

/// Compiles static clusters, then listeners. Errors say "cluster 'NAME':
/// static_resources.clusters[2]...".
absl::StatusOr<StaticResources> static_resources(const BootstrapConfig& config, Context& context);

}  // namespace remora::xds::translate
