#include "xds/translate/bootstrap.h"

#include <absl/strings/str_cat.h>

#include <array>
#include <fstream>
#include <set>

#include "api/downstream_connections.pb.h"
#include "api/file_access_log.pb.h"
#include "api/internal_listener.pb.h"
#include "xds/translate/cluster.h"
#include "xds/translate/listener.h"
#include "xds/translate/stats_config.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"
#include "xds/translate/yaml_json.h"

namespace remora::xds::translate {
namespace {

namespace proto = envoy::config::bootstrap::v3;
namespace core = envoy::config::core::v3;

/// One translation of one bootstrap.
class Compiler {
 public:
  Compiler(const BootstrapInput& input, BootstrapConfig* out) : input_(input), out_(*out) {}

  absl::Status run() {
    REMORA_TRY(check_unknown());
    set_node();
    REMORA_TRY(read_admin());
    REMORA_TRY(read_dynamic_resources());
    REMORA_TRY(read_stats());
    REMORA_TRY(read_runtime());
    REMORA_TRY(read_overload_manager());
    REMORA_TRY(read_extensions());
    REMORA_TRY(check_local_cluster());
    out_.log_format = from().application_log_config().log_format().text_format();
    // deferred_stat_options: metrics cost nothing before they are used, whether asked for or not.
    return absl::OkStatus();
  }

 private:
  const proto::Bootstrap& from() const { return out_.proto; }

  absl::Status unknown(const Path& path, std::string_view what) {
    return report_unknown(input_.policy, input_.on_unknown, "bootstrap", path, what, false);
  }

  /// It must be there from the start.
  absl::Status check_local_cluster() {
    const std::string& name = from().cluster_manager().local_cluster_name();
    const auto& clusters = from().static_resources().clusters();
    const bool there = std::ranges::any_of(
        clusters, [&name](const auto& cluster) { return cluster.name() == name; });
    if (name.empty() || there) return absl::OkStatus();
    return root_.field("cluster_manager.local_cluster_name")
        .error(absl::StrCat("local cluster '", name, "' must be defined"));
  }

  // Static resources are looked through when they are compiled: they are set aside meanwhile.
  absl::Status check_unknown() {
    proto::Bootstrap::StaticResources* const statics = out_.proto.release_static_resources();
    absl::Status first;
    find_unknown(from(), root_, [&](const Unknown& found) {
      absl::Status status = report_unknown(input_.policy, input_.on_unknown, "bootstrap",
                                           Path(found.path), found.what, found.decisive);
      if (first.ok()) first = std::move(status);
    });
    out_.proto.set_allocated_static_resources(statics);
    return first;
  }

  void set_node() {
    core::Node& node = *out_.proto.mutable_node();
    if (!input_.service_node.empty()) node.set_id(input_.service_node);
    if (!input_.service_cluster.empty()) node.set_cluster(input_.service_cluster);
    if (!input_.service_zone.empty()) node.mutable_locality()->set_zone(input_.service_zone);
    out_.node = {node.id(), node.cluster(), node.locality().region(), node.locality().zone(),
                 node.locality().sub_zone()};
  }

  absl::Status read_admin() {
    // profile_path: nothing here writes profiles.
    if (!from().admin().has_address()) return absl::OkStatus();
    REMORA_TRY_ASSIGN(out_.admin_address,
                      address(from().admin().address(), root_.field("admin.address")));
    out_.admin_ignores_connection_limit = from().admin().ignore_global_conn_limit();
    return absl::OkStatus();
  }

  absl::Status read_dynamic_resources() {
    const auto& dynamic = from().dynamic_resources();
    if (dynamic.has_ads_config()) {
      REMORA_TRY_ASSIGN(out_.ads, api_config_source(dynamic.ads_config(),
                                                    root_.field("dynamic_resources.ads_config")));
    }
    if (dynamic.has_cds_config()) {
      REMORA_TRY(read_source(dynamic.cds_config(), &out_.cds,
                             root_.field("dynamic_resources.cds_config")));
    }
    if (dynamic.has_lds_config()) {
      REMORA_TRY(read_source(dynamic.lds_config(), &out_.lds,
                             root_.field("dynamic_resources.lds_config")));
    }
    const bool speaks = out_.ads || (out_.cds && out_.cds->kind != ConfigSource::Kind::Path) ||
                        (out_.lds && out_.lds->kind != ConfigSource::Kind::Path);
    if (speaks && (out_.node.id.empty() || out_.node.cluster.empty())) {
      return root_.field("node").error(
          "id and cluster are required for dynamic_resources: set them here or with --service-node "
          "and --service-cluster");
    }
    return absl::OkStatus();
  }

  absl::Status read_source(const core::ConfigSource& source, std::optional<ConfigSource>* out,
                           const Path& path) {
    REMORA_TRY_ASSIGN(*out, config_source(source, path));
    if ((*out)->kind == ConfigSource::Kind::Ads && !out_.ads) {
      return path.field("ads").error("needs dynamic_resources.ads_config");
    }
    return absl::OkStatus();
  }

  absl::Status read_stats() {
    REMORA_TRY_ASSIGN(out_.stats, stats_config(from().stats_config(), root_.field("stats_config")));
    for (const auto& [name, value] : input_.stats_tags) {
      out_.stats.tags.push_back({name, stats::StatsConfig::TagRule::Kind::Fixed, value});
    }
    if (from().has_stats_flush_interval()) {
      const auto& interval = from().stats_flush_interval();
      if ((interval.seconds() == 0 && interval.nanos() < 1'000'000) || interval.seconds() >= 300) {
        return root_.field("stats_flush_interval").error("must be from 0.001s to below 300s");
      }
      REMORA_TRY_ASSIGN(out_.stats_flush_interval_ms,
                        positive_milliseconds(from().stats_flush_interval(),
                                              root_.field("stats_flush_interval")));
    }
    return absl::OkStatus();
  }

  absl::Status read_runtime() {
    std::set<std::string> names;
    const Path layered = root_.field("layered_runtime");
    bool admin = false;
    for (int i = 0; i < from().layered_runtime().layers_size(); ++i) {
      const proto::RuntimeLayer& layer = from().layered_runtime().layers(i);
      const Path here = layered.at("layers", i);
      if (layer.name().empty()) return here.field("name").error("is required");
      if (!names.insert(layer.name()).second) return here.field("name").error("is used twice");
      switch (layer.layer_specifier_case()) {
        case proto::RuntimeLayer::kStaticLayer:
          out_.runtime.add_layer(layer.name(), &layer.static_layer());
          break;
        case proto::RuntimeLayer::kAdminLayer:
          if (std::exchange(admin, true)) {
            return here.field("admin_layer").error("too many admin layers specified");
          }
          out_.runtime.add_layer(layer.name(), nullptr);
          break;
        case proto::RuntimeLayer::LAYER_SPECIFIER_NOT_SET:
          return here.error("has no layer specifier that is supported");
      }
    }
    return absl::OkStatus();
  }

  absl::Status read_overload_manager() {
    using Monitor = envoy::extensions::resource_monitors::downstream_connections::v3::
        DownstreamConnectionsConfig;
    const auto& manager = from().overload_manager();
    const Path at_manager = root_.field("overload_manager");
    for (int i = 0; i < manager.resource_monitors_size(); ++i) {
      const Path here = at_manager.at("resource_monitors", i);
      const Path at = here.field("typed_config");
      TypedBytes config;
      REMORA_TRY_ASSIGN(config, unwrap(manager.resource_monitors(i).typed_config(), at));
      if (config.type != Monitor::descriptor()->full_name()) {
        REMORA_TRY(unknown(at, absl::StrCat("unknown type ", config.type)));
        continue;
      }
      Monitor monitor;
      if (!monitor.ParseFromString(config.bytes)) return at.error("is not a valid message");
      if (monitor.max_active_downstream_connections() <= 0) {
        return at.field("max_active_downstream_connections").error("must be greater than 0");
      }
      out_.max_active_downstream_connections =
          static_cast<uint64_t>(monitor.max_active_downstream_connections());
    }
    return absl::OkStatus();
  }

  absl::Status read_extensions() {
    using InternalListener = envoy::extensions::bootstrap::internal_listener::v3::InternalListener;
    for (int i = 0; i < from().bootstrap_extensions_size(); ++i) {
      const Path here = root_.at("bootstrap_extensions", i);
      const Path at = here.field("typed_config");
      TypedBytes config;
      REMORA_TRY_ASSIGN(config, unwrap(from().bootstrap_extensions(i).typed_config(), at));
      // Only allows listeners of a kind that is refused where it is used.
      if (config.type == InternalListener::descriptor()->full_name()) continue;
      REMORA_TRY(unknown(at, absl::StrCat("unknown type ", config.type)));
    }
    return absl::OkStatus();
  }

  const BootstrapInput& input_;
  BootstrapConfig& out_;
  const Path root_;
};

absl::Status read_text(std::string_view text, Syntax syntax, std::string_view origin,
                       const BootstrapInput& input, proto::Bootstrap* out) {
  proto::Bootstrap read;
  absl::Status refused;
  absl::Status status = text_to_message(text, syntax, &read, [&](const Unknown& found) {
    absl::Status answer = report_unknown(input.policy, input.on_unknown, "bootstrap",
                                         Path(found.path), found.what, found.decisive);
    if (refused.ok()) refused = std::move(answer);
  });
  if (status.ok()) status = refused;
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(absl::string_view(origin.data(), origin.size()), ": ", status.message()));
  }
  if (out->ByteSizeLong() == 0) {
    out->Swap(&read);  // a large one is not copied
  } else {
    out->MergeFrom(read);
  }
  return absl::OkStatus();
}

// ------------------------------------------------------------------------------------------------
// statics "cluster 'a': static_resources.clusters[0].name: bad".
absl::Status located(std::string_view kind, const std::string& name, const Path& path,
                     const absl::Status& status) {
  const absl::Status whole = prefixed(path.str(), status);
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(kind), " '", name, "': ", whole.message()));
}

/// A cluster that answers discovery must be there before there is discovery.
absl::Status check_source(const ConfigSource& source, const StaticResources& statics,
                          const Path& path) {
  if (source.kind != ConfigSource::Kind::Grpc && source.kind != ConfigSource::Kind::DeltaGrpc) {
    return absl::OkStatus();
  }
  for (const auto& cluster : statics.clusters) {
    if (cluster->name != source.cluster) continue;
    if (cluster->discovery != upstream::Discovery::Eds ||
        cluster->eds_source->kind == ConfigSource::Kind::Path) {
      return absl::OkStatus();
    }
  }
  return path.error(
      absl::StrCat("unknown cluster '", source.cluster,
                   "': it must be in static_resources and not be found by discovery"));
}

absl::Status read_admin_logs(const proto::Admin& from, Context& context, AccessLogs* out) {
  context.resource = "admin";
  proto::Admin admin = from;
  if (!from.access_log_path().empty()) {  // the older way to say the same
    envoy::extensions::access_loggers::file::v3::FileAccessLog file;
    file.set_path(from.access_log_path());
    admin.add_access_log()->mutable_typed_config()->PackFrom(file);
  }
  const Path root;
  const Path path = root.field("admin");
  REMORA_TRY_ASSIGN(*out, access_logs(admin.access_log(), "access_log", context, path));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BootstrapConfig> bootstrap(proto::Bootstrap proto, const BootstrapInput& input) {
  BootstrapConfig out;
  out.proto = std::move(proto);
  REMORA_TRY(Compiler(input, &out).run());
  return out;
}

absl::StatusOr<BootstrapConfig> load_bootstrap(const BootstrapInput& input) {
  if (input.path.empty() && input.yaml.empty()) {
    return absl::InvalidArgumentError("no configuration: give --config-path or --config-yaml");
  }
  proto::Bootstrap read;
  if (!input.path.empty()) {
    std::ifstream in(input.path, std::ios::binary);
    if (!in) {
      return absl::InvalidArgumentError(absl::StrCat("unable to read file: ", input.path));
    }
    std::string text;
    std::array<char, 65536> block;
    while (in.read(block.data(), block.size()) || in.gcount() > 0) {
      text.append(block.data(), static_cast<size_t>(in.gcount()));
    }
    REMORA_TRY(read_text(text, syntax_of(input.path), input.path, input, &read));
  }
  if (!input.yaml.empty()) {
    REMORA_TRY(read_text(input.yaml, Syntax::Yaml, "--config-yaml", input, &read));
  }
  return bootstrap(std::move(read), input);
}

absl::StatusOr<StaticResources> static_resources(const BootstrapConfig& config, Context& context) {
  StaticResources out;
  context.ads_configured = config.ads.has_value();
  const Path root;
  const Path statics = root.field("static_resources");
  const auto& from = config.proto.static_resources();
  const std::string& outlier_log =
      config.proto.cluster_manager().outlier_detection().event_log_path();
  if (!outlier_log.empty() && context.access_logs != nullptr) {
    auto sink = context.access_logs->file(outlier_log);
    if (!sink.ok()) {
      return root.field("cluster_manager.outlier_detection.event_log_path")
          .error(std::string(sink.status().message()));
    }
    out.outlier_log = *sink;
  }
  std::set<std::string> clusters;
  for (int i = 0; i < from.clusters_size(); ++i) {
    const Path here = statics.at("clusters", i);
    const std::string& name = from.clusters(i).name();
    auto compiled = cluster(from.clusters(i), context);
    if (!compiled.ok()) return located("cluster", name, here, compiled.status());
    if (!clusters.insert(name).second) return here.error("duplicate cluster '" + name + "'");
    out.clusters.push_back(*std::move(compiled));
  }
  if (config.ads)
    REMORA_TRY(check_source(*config.ads, out, root.field("dynamic_resources.ads_config")));
  if (config.cds)
    REMORA_TRY(check_source(*config.cds, out, root.field("dynamic_resources.cds_config")));
  if (config.lds)
    REMORA_TRY(check_source(*config.lds, out, root.field("dynamic_resources.lds_config")));
  if (!context.has_cluster) {
    context.has_cluster = [clusters](const std::string& name) { return clusters.contains(name); };
  }
  std::set<std::string> listeners;
  for (int i = 0; i < from.listeners_size(); ++i) {
    const Path here = statics.at("listeners", i);
    const std::string& name = from.listeners(i).name();
    auto compiled = listener(from.listeners(i), context);
    if (!compiled.ok()) return located("listener", name, here, compiled.status());
    if (!listeners.insert((*compiled)->name).second) {
      return here.error("duplicate listener '" + (*compiled)->name + "'");
    }
    out.listeners.push_back(*std::move(compiled));
  }
  REMORA_TRY(read_admin_logs(config.proto.admin(), context, &out.admin_access_logs));
  return out;
}

}  // namespace remora::xds::translate
