#include "proxy/server/admin/config_dump.h"

#include <re2/re2.h>

#include "api/admin.pb.h"
#include "api/endpoint.pb.h"
#include "api/http_connection_manager.pb.h"
#include "proxy/server/admin/endpoints_message.h"
#include "proxy/server/admin/field_mask.h"
#include "proxy/server/admin/json.h"
#include "proxy/server/admin/redact.h"
#include "xds/translate/typed_config.h"

namespace remora::server {
namespace {

using envoy::admin::v3::ClustersConfigDump;
using envoy::admin::v3::ConfigDump;
using envoy::admin::v3::EndpointsConfigDump;
using envoy::admin::v3::ListenersConfigDump;
using envoy::admin::v3::RoutesConfigDump;
using envoy::admin::v3::SecretsConfigDump;
using envoy::config::listener::v3::FilterChain;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using google::protobuf::Message;

using NameFilter = std::function<bool(const std::string&)>;

ClustersConfigDump dump_clusters(const ClusterManager& clusters, const NameFilter& wanted) {
  ClustersConfigDump dump;
  dump.set_version_info(clusters.cds_version());
  auto add_dynamic = [](const ManagedCluster& cluster, ClustersConfigDump::DynamicCluster* out) {
    out->set_version_info(cluster.version);
    cluster.proto.pack_into(out->mutable_cluster());
    set_time(cluster.updated_at, out->mutable_last_updated());
  };
  for (const auto& [name, cluster] : clusters.active()) {
    if (!wanted(name)) continue;
    if (cluster->is_static) {
      auto* out = dump.add_static_clusters();
      cluster->proto.pack_into(out->mutable_cluster());
      set_time(cluster->updated_at, out->mutable_last_updated());
    } else {
      add_dynamic(*cluster, dump.add_dynamic_active_clusters());
    }
  }
  for (const auto& [name, cluster] : clusters.warming()) {
    if (wanted(name)) add_dynamic(*cluster, dump.add_dynamic_warming_clusters());
  }
  return dump;
}

ListenersConfigDump dump_listeners(const ListenerManager& listeners, const NameFilter& wanted) {
  ListenersConfigDump dump;
  dump.set_version_info(listeners.lds_version());
  std::map<std::string, ListenersConfigDump::DynamicListener*> by_name;
  auto dynamic = [&](const std::string& name) {
    auto*& out = by_name[name];
    if (out == nullptr) {
      out = dump.add_dynamic_listeners();
      out->set_name(name);
    }
    return out;
  };
  auto fill = [](const ManagedListener& listener,
                 ListenersConfigDump::DynamicListenerState* state) {
    state->set_version_info(listener.version);
    listener.proto.pack_into(state->mutable_listener());
    set_time(listener.updated_at, state->mutable_last_updated());
  };
  for (const auto& [name, listener] : listeners.active()) {
    if (!wanted(name)) continue;
    if (listener->is_static) {
      auto* out = dump.add_static_listeners();
      listener->proto.pack_into(out->mutable_listener());
      set_time(listener->updated_at, out->mutable_last_updated());
    } else {
      fill(*listener, dynamic(name)->mutable_active_state());
    }
  }
  for (const auto& [name, listener] : listeners.warming()) {
    if (wanted(name)) fill(*listener, dynamic(name)->mutable_warming_state());
  }
  for (const xds::Reject& reject : listeners.last_rejected()) {
    if (wanted(reject.resource))
      dynamic(reject.resource)->mutable_error_state()->set_details(reject.reason);
  }
  return dump;
}

/// Route configurations that stand in a connection manager, not discovered.
void add_inline_routes(const ManagedListener& listener, const FilterChain& chain,
                       const NameFilter& wanted, RoutesConfigDump* dump) {
  for (const auto& filter : chain.filters()) {
    auto manager = xds::translate::unpack_as<HttpConnectionManager>(filter.typed_config(),
                                                                    xds::translate::Path());
    if (!manager.ok() || !manager->has_route_config()) continue;
    if (!wanted(manager->route_config().name())) continue;
    auto* out = dump->add_static_route_configs();
    out->mutable_route_config()->PackFrom(manager->route_config());
    set_time(listener.updated_at, out->mutable_last_updated());
  }
}

RoutesConfigDump dump_routes(const RouteManager& routes, const ListenerManager& listeners,
                             const NameFilter& wanted) {
  RoutesConfigDump dump;
  for (const auto& [name, listener] : listeners.active()) {
    const auto proto = listener->proto.get();
    for (const auto& chain : proto.filter_chains()) {
      add_inline_routes(*listener, chain, wanted, &dump);
    }
    if (proto.has_default_filter_chain()) {
      add_inline_routes(*listener, proto.default_filter_chain(), wanted, &dump);
    }
  }
  for (const auto& [name, entry] : routes.entries()) {
    if (entry->table == nullptr || !wanted(name)) continue;
    auto* out = dump.add_dynamic_route_configs();
    out->set_version_info(entry->version);
    entry->proto.pack_into(out->mutable_route_config());
    set_time(entry->updated_at, out->mutable_last_updated());
  }
  return dump;
}

SecretsConfigDump dump_secrets(const SecretManager& secrets, const NameFilter& wanted) {
  SecretsConfigDump dump;
  for (const SecretEntry& entry : secrets.entries()) {
    if (!wanted(entry.name)) continue;
    if (entry.is_static) {
      auto* out = dump.add_static_secrets();
      out->set_name(entry.name);
      set_time(entry.updated_at, out->mutable_last_updated());
      out->mutable_secret()->PackFrom(entry.proto);
      continue;
    }
    auto* out =
        entry.arrived ? dump.add_dynamic_active_secrets() : dump.add_dynamic_warming_secrets();
    out->set_name(entry.name);
    out->set_version_info(entry.arrived ? entry.version : "uninitialized");
    set_time(entry.updated_at, out->mutable_last_updated());
    out->mutable_secret()->PackFrom(entry.proto);
  }
  return dump;
}

EndpointsConfigDump dump_endpoints(const ClusterManager& clusters, const NameFilter& wanted) {
  EndpointsConfigDump dump;
  for (const auto& [name, cluster] : clusters.active()) {
    if (!wanted(name)) continue;
    auto assignment = assignment_message(*cluster);
    if (cluster->config->discovery == upstream::Discovery::Eds) {
      auto* out = dump.add_dynamic_endpoint_configs();
      out->set_version_info(clusters.eds_version(assignment.cluster_name()));
      out->mutable_endpoint_config()->PackFrom(assignment);
    } else {
      dump.add_static_endpoint_configs()->mutable_endpoint_config()->PackFrom(assignment);
    }
  }
  return dump;
}

/// ?resource=: only that repeated field, each element an Any of its own, its content trimmed to
/// ?mask.
AdminResponse only_resource(const std::string& field, const std::string& mask,
                            const std::vector<const Message*>& dumps) {
  ConfigDump out;
  for (const Message* dump : dumps) {
    const auto* descriptor = dump->GetDescriptor()->FindFieldByName(field);
    if (descriptor == nullptr) continue;
    if (!descriptor->is_repeated()) {
      return AdminResponse::text(
          field + " is not a repeated field. Use ?mask=" + field + " to get only this field\n",
          400);
    }
    const auto* reflection = dump->GetReflection();
    for (int i = 0; i < reflection->FieldSize(*dump, descriptor); ++i) {
      const Message& element = reflection->GetRepeatedMessage(*dump, descriptor, i);
      std::unique_ptr<Message> kept(element.New());
      kept->CopyFrom(element);
      if (!mask.empty() && !keep_fields(mask, kept.get())) {
        return AdminResponse::text("FieldMask " + mask + " could not be successfully used.\n", 400);
      }
      out.add_configs()->PackFrom(*kept);
    }
    return AdminResponse::json(to_json(out));
  }
  return AdminResponse::text(field + " not found in config dump\n", 404);
}

/// ?mask= without ?resource=: the dumps that have all those fields, trimmed to them.
AdminResponse only_masked(const std::string& mask, const std::vector<const Message*>& dumps) {
  ConfigDump out;
  for (const Message* dump : dumps) {
    std::unique_ptr<Message> kept(dump->New());
    kept->CopyFrom(*dump);
    if (keep_fields(mask, kept.get())) out.add_configs()->PackFrom(*kept);
  }
  if (out.configs_size() == 0) {
    return AdminResponse::text(
        "FieldMask " + mask + " could not be successfully applied to any configs.\n", 400);
  }
  return AdminResponse::json(to_json(out));
}

}  // namespace

AdminResponse config_dump(const DumpSources& sources, const AdminRequest& request) {
  NameFilter wanted = [](const std::string&) { return true; };
  if (auto pattern = request.get("name_regex")) {
    auto regex = std::make_shared<re2::RE2>(*pattern, re2::RE2::Quiet);
    if (!regex->ok()) {
      return AdminResponse::text(
          "Error while parsing name_regex from " + *pattern + ": " + regex->error() + "\n", 400);
    }
    wanted = [regex](const std::string& name) { return re2::RE2::FullMatch(name, *regex); };
  }
  envoy::admin::v3::BootstrapConfigDump bootstrap;
  *bootstrap.mutable_bootstrap() = sources.bootstrap.get();
  set_time(sources.started_at, bootstrap.mutable_last_updated());
  ClustersConfigDump clusters = dump_clusters(sources.clusters, wanted);
  ListenersConfigDump listeners = dump_listeners(sources.listeners, wanted);
  RoutesConfigDump routes = dump_routes(sources.routes, sources.listeners, wanted);
  EndpointsConfigDump endpoints;
  SecretsConfigDump secrets = dump_secrets(sources.secrets, wanted);
  for (Message* dump : std::initializer_list<Message*>{&bootstrap, &clusters, &listeners, &routes})
    redact(dump);
  std::vector<const Message*> dumps = {&bootstrap, &clusters, &listeners, &routes, &secrets};
  if (request.has("include_eds")) {
    endpoints = dump_endpoints(sources.clusters, wanted);
    dumps.push_back(&endpoints);
  }

  const std::string field = request.get("resource").value_or("");
  const std::string mask = request.get("mask").value_or("");
  if (!field.empty()) return only_resource(field, mask, dumps);
  if (!mask.empty()) return only_masked(mask, dumps);
  ConfigDump out;
  for (const Message* dump : dumps) out.add_configs()->PackFrom(*dump);
  return AdminResponse::json(to_json(out));
}

}  // namespace remora::server
