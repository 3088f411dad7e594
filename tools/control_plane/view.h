// What one sidecar is told: a pure function of the catalogue and of the node.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "api/core.pb.h"
#include "google/protobuf/any.pb.h"
#include "tools/control_plane/catalogue.h"

namespace remora::control_plane {

inline constexpr std::string_view kClusterType =
    "type.googleapis.com/envoy.config.cluster.v3.Cluster";
inline constexpr std::string_view kEndpointsType =
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
inline constexpr std::string_view kListenerType =
    "type.googleapis.com/envoy.config.listener.v3.Listener";
inline constexpr std::string_view kRouteType =
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

// The order in which changes are sent, so that what is referred to arrives first.
inline constexpr std::string_view kTypesInPushOrder[] = {kClusterType, kEndpointsType,
                                                         kListenerType, kRouteType};

// Where a node's certificate and trust bundle lie unless its metadata says `IDENTITY: FOLDER`. A
// node that has nothing there takes and makes no connections that need them.
inline constexpr std::string_view kDefaultIdentityFolder = "/var/run/secrets/workload-identity";

// Who asks. The id is `sidecar~IP~NAME.NAMESPACE~DOMAIN`; parts that are missing stay empty.
struct NodeIdentity {
  std::string id;
  std::string address;
  std::string node_namespace;
  std::string identity_folder;
};

NodeIdentity parse_node_id(std::string_view id);
NodeIdentity parse_node(const envoy::config::core::v3::Node& node);

struct ViewOptions {
  bool ipv6 = false;  // sidecars also accept on [::]
};

struct Resource {
  std::string version;  // of the content alone: the same after a restart
  google::protobuf::Any body;
};

using ResourcesByName = std::map<std::string, Resource, std::less<>>;

// Everything the node may ask for, by type URL and name.
using View = std::map<std::string_view, ResourcesByName>;

View build_view(const Catalogue& catalogue, const NodeIdentity& node, const ViewOptions& options);

// What a subscription to endpoints that don't exist gets: nobody to send to.
Resource empty_endpoints(const std::string& cluster);

}  // namespace remora::control_plane
