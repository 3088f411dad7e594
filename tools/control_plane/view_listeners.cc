// Listeners: the two that traffic is redirected to, and those it is handed on to.
#include "api/http_connection_manager.pb.h"
#include "api/original_dst.pb.h"
#include "api/router.pb.h"
#include "api/tcp_proxy.pb.h"
#include "tools/control_plane/view_parts.h"

namespace remora::control_plane {
namespace {

using envoy::config::listener::v3::Filter;
using envoy::config::listener::v3::FilterChain;
using envoy::config::listener::v3::Listener;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

constexpr const char* kAnyV4 = "0.0.0.0";
constexpr const char* kAnyV6 = "::";

void set_address(envoy::config::core::v3::Address& address, const std::string& ip, uint32_t port) {
  address.mutable_socket_address()->set_address(ip);
  address.mutable_socket_address()->set_port_value(port);
}

Listener on_any_address(const std::string& name, uint32_t port, const ViewOptions& options) {
  Listener listener;
  listener.set_name(name);
  set_address(*listener.mutable_address(), kAnyV4, port);
  if (options.ipv6) {
    set_address(*listener.add_additional_addresses()->mutable_address(), kAnyV6, port);
  }
  return listener;
}

Filter tcp_proxy(const std::string& cluster) {
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy config;
  config.set_stat_prefix(stat_name(cluster));
  config.set_cluster(cluster);
  Filter filter;
  filter.set_name("envoy.filters.network.tcp_proxy");
  *filter.mutable_typed_config() = pack(config);
  return filter;
}

HttpConnectionManager connection_manager(const std::string& stat_prefix) {
  HttpConnectionManager config;
  config.set_stat_prefix(stat_name(stat_prefix));
  auto* router = config.add_http_filters();
  router->set_name("envoy.filters.http.router");
  *router->mutable_typed_config() = pack(envoy::extensions::filters::http::router::v3::Router());
  return config;
}

Filter as_filter(const HttpConnectionManager& config) {
  Filter filter;
  filter.set_name("envoy.filters.network.http_connection_manager");
  *filter.mutable_typed_config() = pack(config);
  return filter;
}

void add_original_dst(Listener& listener) {
  auto* filter = listener.add_listener_filters();
  filter->set_name("envoy.filters.listener.original_dst");
  *filter->mutable_typed_config() =
      pack(envoy::extensions::filters::listener::original_dst::v3::OriginalDst());
}

// A connection whose original destination is the capture port itself was not redirected: handing it
// on would come back here for ever.
void add_loop_trap(Listener& listener, uint32_t port) {
  FilterChain* chain = listener.add_filter_chains();
  chain->set_name(listener.name() + "-blackhole");
  chain->mutable_filter_chain_match()->mutable_destination_port()->set_value(port);
  *chain->add_filters() = tcp_proxy(kBlackHole);
}

void set_catch_all(Listener& listener, const std::string& cluster) {
  FilterChain* chain = listener.mutable_default_filter_chain();
  chain->set_name(listener.name() + "-catchall-tcp");
  *chain->add_filters() = tcp_proxy(cluster);
}

void add_inbound_chain(Listener& listener, uint32_t port, Protocol protocol) {
  FilterChain* chain = listener.add_filter_chains();
  chain->set_name("0.0.0.0_" + std::to_string(port));
  chain->mutable_filter_chain_match()->mutable_destination_port()->set_value(port);
  if (protocol == Protocol::kTcp) {
    *chain->add_filters() = tcp_proxy(inbound_name(port));
    return;
  }
  HttpConnectionManager config = connection_manager("inbound_0.0.0.0_" + std::to_string(port));
  *config.mutable_route_config() = inbound_route(port);
  *chain->add_filters() = as_filter(config);
}

}  // namespace

Listener virtual_outbound(const ViewOptions& options) {
  Listener listener = on_any_address("virtualOutbound", kOutboundCapturePort, options);
  listener.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
  listener.mutable_use_original_dst()->set_value(true);
  add_loop_trap(listener, kOutboundCapturePort);
  set_catch_all(listener, kPassthrough);
  return listener;
}

Listener virtual_inbound(const InboundPorts& ports, const ViewOptions& options) {
  Listener listener = on_any_address("virtualInbound", kInboundCapturePort, options);
  listener.set_traffic_direction(envoy::config::core::v3::INBOUND);
  add_original_dst(listener);
  add_loop_trap(listener, kInboundCapturePort);
  for (const auto& [port, protocol] : ports) add_inbound_chain(listener, port, protocol);
  set_catch_all(listener, kInboundPassthrough);
  return listener;
}

Listener outbound_http_listener(uint32_t port, const ViewOptions& options) {
  const std::string name = "0.0.0.0_" + std::to_string(port);
  Listener listener = on_any_address(name, port, options);
  listener.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
  listener.mutable_bind_to_port()->set_value(false);
  HttpConnectionManager config = connection_manager("outbound_" + name);
  *config.mutable_rds()->mutable_config_source() = from_ads();
  config.mutable_rds()->set_route_config_name(std::to_string(port));
  *listener.add_filter_chains()->add_filters() = as_filter(config);
  return listener;
}

Listener outbound_tcp_listener(const Service& service, const Port& port, const std::string& vip) {
  Listener listener;
  listener.set_name(vip + "_" + std::to_string(port.port));
  set_address(*listener.mutable_address(), vip, port.port);
  listener.set_traffic_direction(envoy::config::core::v3::OUTBOUND);
  listener.mutable_bind_to_port()->set_value(false);
  *listener.add_filter_chains()->add_filters() = tcp_proxy(outbound_name(service, port));
  return listener;
}

}  // namespace remora::control_plane
