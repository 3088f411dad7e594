#include "proxy/server/admin/endpoints_message.h"

namespace remora::server {

void to_message(const Address& address, envoy::config::core::v3::Address* out) {
  if (address.family() == Address::Family::Unix) {
    out->mutable_pipe()->set_path(address.to_string());
    return;
  }
  out->mutable_socket_address()->set_address(address.ip_string());
  out->mutable_socket_address()->set_port_value(address.port());
}

void to_message(const upstream::Locality& locality, envoy::config::core::v3::Locality* out) {
  out->set_region(locality.region);
  out->set_zone(locality.zone);
  out->set_sub_zone(locality.sub_zone);
}

envoy::config::endpoint::v3::ClusterLoadAssignment assignment_message(
    const ManagedCluster& cluster) {
  namespace core = envoy::config::core::v3;
  envoy::config::endpoint::v3::ClusterLoadAssignment out;
  const auto& config = *cluster.config;
  out.set_cluster_name(config.eds_service_name.empty() ? config.name : config.eds_service_name);
  if (cluster.hosts == nullptr) return out;
  for (size_t priority = 0; priority < cluster.hosts->priorities.size(); ++priority) {
    for (const upstream::LocalityHosts& locality : cluster.hosts->priorities[priority].localities) {
      auto* endpoints = out.add_endpoints();
      to_message(locality.locality, endpoints->mutable_locality());
      endpoints->set_priority(static_cast<uint32_t>(priority));
      if (locality.weight != 0)
        endpoints->mutable_load_balancing_weight()->set_value(locality.weight);
      for (const upstream::HostPtr& host : locality.hosts) {
        auto* endpoint = endpoints->add_lb_endpoints();
        to_message(host->address(), endpoint->mutable_endpoint()->mutable_address());
        endpoint->mutable_load_balancing_weight()->set_value(host->weight());
        endpoint->set_health_status(host->health() == upstream::Health::Healthy ? core::HEALTHY
                                    : host->health() == upstream::Health::Degraded
                                        ? core::DEGRADED
                                        : core::UNHEALTHY);
      }
    }
  }
  return out;
}

}  // namespace remora::server
