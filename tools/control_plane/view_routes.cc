// Route tables: one for each HTTP port that any service has, and one inside each inbound chain.
#include <set>

#include "google/protobuf/util/time_util.h"
#include "tools/control_plane/view_parts.h"

namespace remora::control_plane {
namespace {

using envoy::config::route::v3::RouteConfiguration;
using envoy::config::route::v3::VirtualHost;
using google::protobuf::util::TimeUtil;

// Every name a client may call a service by, with and without the port.
std::vector<std::string> domains(const Service& service, const Port& port,
                                 const NodeIdentity& node) {
  std::vector<std::string> hosts = {service.fqdn()};
  const std::string qualified = service.name + "." + service.service_namespace;
  hosts.push_back(qualified + ".svc");
  hosts.push_back(qualified);
  if (node.node_namespace == service.service_namespace) hosts.push_back(service.name);
  for (const std::string& vip : service.vips) {
    hosts.push_back(vip.find(':') == std::string::npos ? vip : "[" + vip + "]");
  }
  std::vector<std::string> all;
  for (const std::string& host : hosts) {
    all.push_back(host);
    all.push_back(host + ":" + std::to_string(port.port));
  }
  return all;
}

VirtualHost to_cluster(const std::string& name, const std::string& cluster,
                       std::chrono::milliseconds timeout) {
  VirtualHost host;
  host.set_name(name);
  auto* route = host.add_routes();
  route->set_name("default");
  route->mutable_match()->set_prefix("/");
  route->mutable_route()->set_cluster(cluster);
  *route->mutable_route()->mutable_timeout() = TimeUtil::MillisecondsToDuration(timeout.count());
  return host;
}

// `taken` holds the domains of the table so far: a table with one domain twice is refused whole, so
// the first service that claims a name has it.
VirtualHost virtual_host(const Service& service, const Port& port, const NodeIdentity& node,
                         std::set<std::string>& taken) {
  constexpr std::chrono::milliseconds kNoTimeout{0};
  VirtualHost host =
      to_cluster(service.fqdn() + ":" + std::to_string(port.port), outbound_name(service, port),
                 service.policy.timeout.value_or(kNoTimeout));
  for (const std::string& domain : domains(service, port, node)) {
    if (taken.insert(domain).second) host.add_domains(domain);
  }
  return host;
}

VirtualHost everybody_else() {
  VirtualHost host = to_cluster("allow_any", kPassthrough, std::chrono::milliseconds(0));
  host.add_domains("*");
  return host;
}

}  // namespace

std::vector<RouteConfiguration> outbound_routes(const Catalogue& catalogue,
                                                const NodeIdentity& node) {
  std::map<uint32_t, RouteConfiguration> by_port;
  std::map<uint32_t, std::set<std::string>> taken;
  for (const auto& [name, service] : catalogue.services) {
    for (const Port& port : service.ports) {
      if (port.protocol != Protocol::kHttp) continue;
      *by_port[port.port].add_virtual_hosts() = virtual_host(service, port, node, taken[port.port]);
    }
  }
  std::vector<RouteConfiguration> all;
  for (auto& [port, routes] : by_port) {
    routes.set_name(std::to_string(port));
    routes.mutable_validate_clusters()->set_value(false);
    *routes.add_virtual_hosts() = everybody_else();
    all.push_back(std::move(routes));
  }
  return all;
}

RouteConfiguration inbound_route(uint32_t port) {
  RouteConfiguration routes;
  routes.set_name(inbound_name(port));
  routes.mutable_validate_clusters()->set_value(false);
  VirtualHost host = to_cluster("inbound|http|" + std::to_string(port), inbound_name(port),
                                std::chrono::milliseconds(0));
  host.add_domains("*");
  *routes.add_virtual_hosts() = std::move(host);
  return routes;
}

envoy::config::core::v3::ConfigSource from_ads() {
  envoy::config::core::v3::ConfigSource source;
  source.mutable_ads();
  source.mutable_initial_fetch_timeout();  // zero: no limit
  source.set_resource_api_version(envoy::config::core::v3::V3);
  return source;
}

}  // namespace remora::control_plane
