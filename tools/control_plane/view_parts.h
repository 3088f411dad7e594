// The shapes a view is put together from: one function for each kind of resource.
// Names and ports are those Istio uses, so that what is learnt on one mesh holds on the other.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "api/cluster.pb.h"
#include "api/endpoint.pb.h"
#include "api/http_connection_manager.pb.h"
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

// A port that this node's workloads listen on.
struct InboundPort {
  Protocol protocol = Protocol::kTcp;
  MutualTls mtls = MutualTls::kDisable;
  std::vector<Authorization> authorizations;  // every one has to allow
};
using InboundPorts = std::map<uint32_t, InboundPort>;

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
envoy::config::cluster::v3::Cluster outbound_cluster(const Service& service, const Port& port,
                                                     const NodeIdentity& node);
envoy::config::endpoint::v3::ClusterLoadAssignment endpoints_of(const Service& service,
                                                                const Port& port);

// view_listeners.cc
envoy::config::listener::v3::Listener virtual_outbound(const ViewOptions& options);
envoy::config::listener::v3::Listener virtual_inbound(const InboundPorts& ports,
                                                      const NodeIdentity& node,
                                                      const ViewOptions& options);
envoy::config::listener::v3::Listener outbound_http_listener(uint32_t port,
                                                             const ViewOptions& options);
envoy::config::listener::v3::Listener outbound_tcp_listener(const Service& service,
                                                            const Port& port,
                                                            const std::string& vip);

// view_security.cc

// What the protocol of TLS connections within the mesh is called in ALPN.
inline constexpr const char* kMeshProtocol = "remora";

// Both sides show the certificate of their account and take none from outside the trust domain; the
// client also wants the account of the service that it called.
envoy::config::core::v3::TransportSocket tls_server(const NodeIdentity& node);
envoy::config::core::v3::TransportSocket tls_client(const Service& service, const Port& port,
                                                    const NodeIdentity& node);
envoy::config::core::v3::TransportSocket plain_text();

envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter http_authorization(
    const Authorization& authorization);
envoy::config::listener::v3::Filter network_authorization(const Authorization& authorization);

// view_routes.cc
std::vector<envoy::config::route::v3::RouteConfiguration> outbound_routes(
    const Catalogue& catalogue, const NodeIdentity& node);
envoy::config::route::v3::RouteConfiguration inbound_route(uint32_t port);

}  // namespace remora::control_plane
