// Listeners: the two that traffic is redirected to, and those it is handed on to.
#include <algorithm>

#include "api/http_connection_manager.pb.h"
#include "api/original_dst.pb.h"
#include "api/router.pb.h"
#include "api/tcp_proxy.pb.h"
#include "api/tls_inspector.pb.h"
#include "google/protobuf/util/time_util.h"
#include "tools/control_plane/view_parts.h"

namespace remora::control_plane {
namespace {

using envoy::config::listener::v3::Filter;
using envoy::config::listener::v3::FilterChain;
using envoy::config::listener::v3::Listener;
using envoy::config::listener::v3::ListenerFilterChainMatchPredicate;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

constexpr const char* kAnyV4 = "0.0.0.0";
constexpr const char* kAnyV6 = "::";
constexpr std::chrono::milliseconds kInspectionTimeout{500};

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
  return config;
}

void add_router(HttpConnectionManager& config) {
  auto* router = config.add_http_filters();
  router->set_name("envoy.filters.http.router");
  *router->mutable_typed_config() = pack(envoy::extensions::filters::http::router::v3::Router());
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

FilterChain* set_catch_all(Listener& listener, const std::string& cluster) {
  FilterChain* chain = listener.mutable_default_filter_chain();
  chain->set_name(listener.name() + "-catchall-tcp");
  *chain->add_filters() = tcp_proxy(cluster);
  return chain;
}

// The caller's identity goes on to the application; what a caller says of itself does not.
void tell_who_calls(HttpConnectionManager& config) {
  config.set_forward_client_cert_details(HttpConnectionManager::SANITIZE_SET);
  auto* details = config.mutable_set_current_client_cert_details();
  details->mutable_subject()->set_value(true);
  details->set_uri(true);
}

void add_tcp_filters(FilterChain& chain, uint32_t port, const InboundPort& settings) {
  for (const Authorization& authorization : settings.authorizations) {
    *chain.add_filters() = network_authorization(authorization);
  }
  *chain.add_filters() = tcp_proxy(inbound_name(port));
}

void add_http_filters(FilterChain& chain, uint32_t port, const InboundPort& settings) {
  HttpConnectionManager config = connection_manager("inbound_0.0.0.0_" + std::to_string(port));
  *config.mutable_route_config() = inbound_route(port);
  if (settings.mtls != MutualTls::kDisable) tell_who_calls(config);
  for (const Authorization& authorization : settings.authorizations) {
    *config.add_http_filters() = http_authorization(authorization);
  }
  add_router(config);
  *chain.add_filters() = as_filter(config);
}

FilterChain& add_inbound_chain(Listener& listener, uint32_t port, const InboundPort& settings) {
  FilterChain& chain = *listener.add_filter_chains();
  chain.set_name("0.0.0.0_" + std::to_string(port));
  chain.mutable_filter_chain_match()->mutable_destination_port()->set_value(port);
  if (settings.protocol == Protocol::kHttp) {
    add_http_filters(chain, port, settings);
  } else {
    add_tcp_filters(chain, port, settings);
  }
  return chain;
}

// STRICT has one chain, which takes nothing but mutual TLS. PERMISSIVE tells TLS of the mesh from
// TLS that is the application's own business, and both from plain text.
void add_inbound_chains(Listener& listener, uint32_t port, const InboundPort& settings,
                        const NodeIdentity& node) {
  FilterChain& first = add_inbound_chain(listener, port, settings);
  if (settings.mtls == MutualTls::kDisable) return;
  *first.mutable_transport_socket() = tls_server(node);
  if (settings.mtls == MutualTls::kStrict) return;
  first.mutable_filter_chain_match()->set_transport_protocol("tls");
  first.mutable_filter_chain_match()->add_application_protocols(kMeshProtocol);
  for (const char* transport_protocol : {"tls", "raw_buffer"}) {
    FilterChain& chain = add_inbound_chain(listener, port, settings);
    chain.set_name(chain.name() + "_" + transport_protocol);
    chain.mutable_filter_chain_match()->set_transport_protocol(transport_protocol);
  }
}

bool any_port_is(const InboundPorts& ports, MutualTls mtls) {
  return std::any_of(ports.begin(), ports.end(),
                     [&](const auto& port) { return port.second.mtls == mtls; });
}

// Looks for TLS on PERMISSIVE ports only: elsewhere a client may wait for the server to speak. On
// those ports too, where it is given a moment.
void add_tls_inspector(Listener& listener, const InboundPorts& ports) {
  auto* filter = listener.add_listener_filters();
  filter->set_name("envoy.filters.listener.tls_inspector");
  *filter->mutable_typed_config() =
      pack(envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector());
  ListenerFilterChainMatchPredicate::MatchSet permissive;
  for (const auto& [port, settings] : ports) {
    if (settings.mtls != MutualTls::kPermissive) continue;
    auto* range = permissive.add_rules()->mutable_destination_port_range();
    range->set_start(static_cast<int>(port));
    range->set_end(static_cast<int>(port) + 1);
  }
  auto* inspected = filter->mutable_filter_disabled()->mutable_not_match();
  if (permissive.rules_size() == 1) {
    *inspected = permissive.rules(0);
  } else {
    *inspected->mutable_or_match() = std::move(permissive);  // of two or more
  }
  *listener.mutable_listener_filters_timeout() =
      google::protobuf::util::TimeUtil::MillisecondsToDuration(kInspectionTimeout.count());
  listener.set_continue_on_listener_filters_timeout(true);
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

Listener virtual_inbound(const InboundPorts& ports, const NodeIdentity& node,
                         const ViewOptions& options) {
  Listener listener = on_any_address("virtualInbound", kInboundCapturePort, options);
  listener.set_traffic_direction(envoy::config::core::v3::INBOUND);
  add_original_dst(listener);
  if (any_port_is(ports, MutualTls::kPermissive)) add_tls_inspector(listener, ports);
  add_loop_trap(listener, kInboundCapturePort);
  for (const auto& [port, settings] : ports) add_inbound_chains(listener, port, settings, node);
  FilterChain* catch_all = set_catch_all(listener, kInboundPassthrough);
  // Who wants mutual TLS does not want ports that nobody mentioned to be open to everybody.
  if (any_port_is(ports, MutualTls::kStrict)) {
    *catch_all->mutable_transport_socket() = tls_server(node);
  }
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
  add_router(config);
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
