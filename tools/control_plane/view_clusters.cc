// Clusters and their endpoints.
#include <algorithm>
#include <chrono>
#include <tuple>

#include "google/protobuf/util/time_util.h"
#include "tools/control_plane/view_parts.h"

namespace remora::control_plane {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using google::protobuf::util::TimeUtil;

constexpr std::chrono::seconds kConnectTimeout{10};

// A sidecar's calls to its own application come from these, so that they are not caught again.
constexpr const char* kInboundBindV4 = "127.0.0.6";
constexpr const char* kInboundBindV6 = "::6";

constexpr const char* kTransportSocketMatchKey = "envoy.transport_socket_match";
constexpr const char* kTlsModeKey = "tlsMode";

Cluster named(const std::string& name, std::chrono::milliseconds connect_timeout) {
  Cluster cluster;
  cluster.set_name(name);
  *cluster.mutable_connect_timeout() = TimeUtil::MillisecondsToDuration(connect_timeout.count());
  return cluster;
}

Cluster original_destination(const std::string& name) {
  Cluster cluster = named(name, kConnectTimeout);
  cluster.set_type(Cluster::ORIGINAL_DST);
  cluster.set_lb_policy(Cluster::CLUSTER_PROVIDED);
  return cluster;
}

Cluster to_own_application(const std::string& name, const NodeIdentity& node) {
  Cluster cluster = original_destination(name);
  const bool is_v6 = node.address.find(':') != std::string::npos;
  auto* source = cluster.mutable_upstream_bind_config()->mutable_source_address();
  source->set_address(is_v6 ? kInboundBindV6 : kInboundBindV4);
  source->set_port_value(0);
  return cluster;
}

void set_circuit_breakers(Cluster& cluster, const CircuitBreakers& limits) {
  if (!limits.max_connections && !limits.max_pending_requests && !limits.max_requests &&
      !limits.max_retries) {
    return;
  }
  auto* thresholds = cluster.mutable_circuit_breakers()->add_thresholds();
  if (limits.max_connections) {
    thresholds->mutable_max_connections()->set_value(*limits.max_connections);
  }
  if (limits.max_pending_requests) {
    thresholds->mutable_max_pending_requests()->set_value(*limits.max_pending_requests);
  }
  if (limits.max_requests) thresholds->mutable_max_requests()->set_value(*limits.max_requests);
  if (limits.max_retries) thresholds->mutable_max_retries()->set_value(*limits.max_retries);
}

// STRICT is TLS whatever the endpoints are; PERMISSIVE calls those without a sidecar in plain text.
void set_transport(Cluster& cluster, const Service& service, const Port& port,
                   const NodeIdentity& node) {
  if (service.mtls == MutualTls::kDisable) return;
  if (service.mtls == MutualTls::kStrict) {
    *cluster.mutable_transport_socket() = tls_client(service, port, node);
    return;
  }
  auto* with_sidecar = cluster.add_transport_socket_matches();
  with_sidecar->set_name("tlsMode-" + std::string(kMeshProtocol));
  (*with_sidecar->mutable_match()->mutable_fields())[kTlsModeKey].set_string_value(kMeshProtocol);
  *with_sidecar->mutable_transport_socket() = tls_client(service, port, node);
  auto* without = cluster.add_transport_socket_matches();
  without->set_name("tlsMode-disabled");
  without->mutable_match();
  *without->mutable_transport_socket() = plain_text();
}

void set_tls_mode(envoy::config::core::v3::Metadata& metadata) {
  auto& fields = (*metadata.mutable_filter_metadata())[kTransportSocketMatchKey];
  (*fields.mutable_fields())[kTlsModeKey].set_string_value(kMeshProtocol);
}

using Locality = std::tuple<std::string, std::string, std::string>;

}  // namespace

std::string outbound_name(const Service& service, const Port& port) {
  return "outbound|" + std::to_string(port.port) + "||" + service.fqdn();
}

std::string inbound_name(uint32_t port) { return "inbound|" + std::to_string(port) + "||"; }

std::string stat_name(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

std::vector<Cluster> fixed_clusters(const NodeIdentity& node) {
  Cluster black_hole = named(kBlackHole, kConnectTimeout);
  black_hole.set_type(Cluster::STATIC);
  return {original_destination(kPassthrough), to_own_application(kInboundPassthrough, node),
          black_hole};
}

Cluster inbound_cluster(uint32_t port, const NodeIdentity& node) {
  return to_own_application(inbound_name(port), node);
}

Cluster outbound_cluster(const Service& service, const Port& port, const NodeIdentity& node) {
  Cluster cluster = named(outbound_name(service, port), service.policy.connect_timeout);
  cluster.set_alt_stat_name(stat_name(cluster.name()));
  cluster.set_type(Cluster::EDS);
  cluster.set_lb_policy(service.policy.balancing == Balancing::kRoundRobin
                            ? Cluster::ROUND_ROBIN
                            : Cluster::LEAST_REQUEST);
  auto* eds = cluster.mutable_eds_cluster_config();
  *eds->mutable_eds_config() = from_ads();
  eds->set_service_name(cluster.name());
  set_circuit_breakers(cluster, service.policy.circuit_breakers);
  set_transport(cluster, service, port, node);
  return cluster;
}

ClusterLoadAssignment endpoints_of(const Service& service, const Port& port) {
  std::map<Locality, std::vector<const Workload*>> by_locality;
  for (const Workload& workload : service.workloads) {
    if (!workload.ready) continue;
    by_locality[{workload.region, workload.zone, workload.host}].push_back(&workload);
  }
  ClusterLoadAssignment assignment;
  assignment.set_cluster_name(outbound_name(service, port));
  for (const auto& [place, workloads] : by_locality) {
    auto* locality = assignment.add_endpoints();
    locality->mutable_locality()->set_region(std::get<0>(place));
    locality->mutable_locality()->set_zone(std::get<1>(place));
    locality->mutable_locality()->set_sub_zone(std::get<2>(place));
    uint32_t weight = 0;
    for (const Workload* workload : workloads) {
      auto* endpoint = locality->add_lb_endpoints();
      auto* address = endpoint->mutable_endpoint()->mutable_address()->mutable_socket_address();
      address->set_address(workload->address);
      address->set_port_value(port.target_port);
      if (service.mtls != MutualTls::kDisable && workload->sidecar) {
        set_tls_mode(*endpoint->mutable_metadata());
      }
      endpoint->mutable_load_balancing_weight()->set_value(workload->weight);
      weight += workload->weight;
    }
    locality->mutable_load_balancing_weight()->set_value(weight);
  }
  return assignment;
}

}  // namespace remora::control_plane
