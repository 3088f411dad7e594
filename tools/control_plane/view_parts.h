// The shapes a view is put together from: one function for each kind of resource.
// Names and ports are those Istio uses, so that what is learnt on one mesh holds on the other.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "api/cluster.pb.h"
#include "api/endpoint.pb.h"
#include "api/listener.pb.h"
#include "api/route.pb.h"
#include "tools/control_plane/catalogue.h"
#include "tools/control_plane/view.h"

namespace remora::control_plane {

inline constexpr uint32_t kOutboundCapturePort = 15001;
inline constexpr uint32_t kInboundCapturePort = 15006;
inline constexpr const char* kPassthrough = "PassthroughCluster";
inline constexpr const char* kInboundPassthrough = "InboundPassthroughCluster";
inline constexpr const char* kBlackHole = "BlackHoleCluster";

using InboundPorts = std::map<uint32_t, Protocol>;

// Packs with maps in a fixed order, so that equal content has equal bytes.
google::protobuf::Any pack(const google::protobuf::Message& message);

std::string outbound_name(const Service& service, const Port& port);
std::string inbound_name(uint32_t port);

// A name as statistics carry it: they take a dot for the end of a name.
std::string stat_name(std::string name);

// Resources that come over the same stream, waited for as long as it takes.
envoy::config::core::v3::ConfigSource from_ads();

// view_clusters.cc
std::vector<envoy::config::cluster::v3::Cluster> fixed_clusters(const NodeIdentity& node);
envoy::config::cluster::v3::Cluster inbound_cluster(uint32_t port, const NodeIdentity& node);
envoy::config::cluster::v3::Cluster outbound_cluster(const Service& service, const Port& port);
envoy::config::endpoint::v3::ClusterLoadAssignment endpoints_of(const Service& service,
                                                                const Port& port);

// view_listeners.cc
envoy::config::listener::v3::Listener virtual_outbound(const ViewOptions& options);
envoy::config::listener::v3::Listener virtual_inbound(const InboundPorts& ports,
                                                      const ViewOptions& options);
envoy::config::listener::v3::Listener outbound_http_listener(uint32_t port,
                                                             const ViewOptions& options);
envoy::config::listener::v3::Listener outbound_tcp_listener(const Service& service,
                                                            const Port& port,
                                                            const std::string& vip);

// view_routes.cc
std::vector<envoy::config::route::v3::RouteConfiguration> outbound_routes(
    const Catalogue& catalogue, const NodeIdentity& node);
envoy::config::route::v3::RouteConfiguration inbound_route(uint32_t port);

}  // namespace remora::control_plane
