// Puts a node's resources together; the shapes of clusters, listeners and routes are in
// view_clusters.cc, view_listeners.cc and view_routes.cc.
#include "tools/control_plane/view.h"

#include <algorithm>
#include <cstdio>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "tools/control_plane/view_parts.h"

namespace remora::control_plane {
namespace {

constexpr const char* kIdentityKey = "IDENTITY";
constexpr std::string_view kTypePrefix = "type.googleapis.com/";

// FNV-1a, 64 bits: names content, guards nothing.
std::string content_version(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  char hex[17];
  std::snprintf(hex, sizeof(hex), "%016llx", static_cast<unsigned long long>(hash));
  return hex;
}

bool runs_at(const Workload& workload, const NodeIdentity& node) {
  return workload.node.empty() ? workload.address == node.address : workload.node == node.id;
}

// Services may share a port. HTTP wins, because every sidecar can carry it as bytes but not the
// other way round; of the modes of TLS the strictest; and every service's authorization has to
// allow.
void add_service_port(InboundPort& inbound, const Service& service, const Port& port) {
  if (port.protocol == Protocol::kHttp) inbound.protocol = Protocol::kHttp;
  inbound.mtls = std::max(inbound.mtls, service.mtls);
  if (service.authorization) inbound.authorizations.push_back(*service.authorization);
}

// Ports of workloads that this node's sidecar stands in front of.
InboundPorts inbound_ports(const Catalogue& catalogue, const NodeIdentity& node) {
  InboundPorts ports;
  for (const auto& [name, service] : catalogue.services) {
    for (const Workload& workload : service.workloads) {
      if (!runs_at(workload, node)) continue;
      for (const Port& port : service.ports) {
        add_service_port(ports[port.target_port], service, port);
      }
    }
  }
  return ports;
}

void add(View& view, std::string_view type, const std::string& name,
         const google::protobuf::Message& message) {
  view[type].insert_or_assign(name, Resource{"", pack(message)});
}

void add_clusters(View& view, const Catalogue& catalogue, const NodeIdentity& node,
                  const InboundPorts& inbound) {
  for (const auto& cluster : fixed_clusters(node)) {
    add(view, kClusterType, cluster.name(), cluster);
  }
  for (const auto& [port, settings] : inbound) {
    const auto cluster = inbound_cluster(port, node);
    add(view, kClusterType, cluster.name(), cluster);
  }
  for (const auto& [name, service] : catalogue.services) {
    for (const Port& port : service.ports) {
      const auto cluster = outbound_cluster(service, port, node);
      add(view, kClusterType, cluster.name(), cluster);
      add(view, kEndpointsType, cluster.name(), endpoints_of(service, port));
    }
  }
}

void add_listeners(View& view, const Catalogue& catalogue, const NodeIdentity& node,
                   const InboundPorts& inbound, const ViewOptions& options) {
  const auto outbound = virtual_outbound(options);
  add(view, kListenerType, outbound.name(), outbound);
  const auto inward = virtual_inbound(inbound, node, options);
  add(view, kListenerType, inward.name(), inward);
  for (const auto& [name, service] : catalogue.services) {
    for (const Port& port : service.ports) {
      if (port.protocol == Protocol::kHttp) {
        const auto listener = outbound_http_listener(port.port, options);
        add(view, kListenerType, listener.name(), listener);
        continue;
      }
      for (const std::string& vip : service.vips) {
        const auto listener = outbound_tcp_listener(service, port, vip);
        add(view, kListenerType, listener.name(), listener);
      }
    }
  }
}

}  // namespace

google::protobuf::Any pack(const google::protobuf::Message& message) {
  google::protobuf::Any any;
  any.set_type_url(std::string(kTypePrefix) + message.GetDescriptor()->full_name());
  google::protobuf::io::StringOutputStream bytes(any.mutable_value());
  google::protobuf::io::CodedOutputStream coded(&bytes);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  return any;
}

NodeIdentity parse_node_id(std::string_view id) {
  NodeIdentity node{.id = std::string(id),
                    .address = "",
                    .node_namespace = "",
                    .identity_folder = std::string(kDefaultIdentityFolder)};
  const size_t address_at = id.find('~');
  if (address_at == std::string_view::npos) return node;
  id.remove_prefix(address_at + 1);
  const size_t name_at = id.find('~');
  node.address = std::string(id.substr(0, name_at));
  if (name_at == std::string_view::npos) return node;
  id.remove_prefix(name_at + 1);
  const std::string_view name = id.substr(0, id.find('~'));
  const size_t dot = name.rfind('.');
  if (dot != std::string_view::npos) node.node_namespace = std::string(name.substr(dot + 1));
  return node;
}

NodeIdentity parse_node(const envoy::config::core::v3::Node& node) {
  NodeIdentity identity = parse_node_id(node.id());
  const auto& metadata = node.metadata().fields();
  const auto folder = metadata.find(kIdentityKey);
  if (folder != metadata.end() && !folder->second.string_value().empty()) {
    identity.identity_folder = folder->second.string_value();
  }
  return identity;
}

View build_view(const Catalogue& catalogue, const NodeIdentity& node, const ViewOptions& options) {
  View view;
  for (const std::string_view type : kTypesInPushOrder) view[type];
  const InboundPorts inbound = inbound_ports(catalogue, node);
  add_clusters(view, catalogue, node, inbound);
  add_listeners(view, catalogue, node, inbound, options);
  for (const auto& routes : outbound_routes(catalogue, node)) {
    add(view, kRouteType, routes.name(), routes);
  }
  for (auto& [type, resources] : view) {
    for (auto& [name, resource] : resources) {
      resource.version = content_version(resource.body.value());
    }
  }
  return view;
}

Resource empty_endpoints(const std::string& cluster) {
  envoy::config::endpoint::v3::ClusterLoadAssignment nobody;
  nobody.set_cluster_name(cluster);
  Resource resource{"", pack(nobody)};
  resource.version = content_version(resource.body.value());
  return resource;
}

}  // namespace remora::control_plane
