#include "tools/control_plane/view.h"

#include "api/cluster.pb.h"
#include "api/endpoint.pb.h"
#include "api/http_connection_manager.pb.h"
#include "api/listener.pb.h"
#include "api/route.pb.h"
#include "api/tcp_proxy.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace remora::control_plane {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using testing::Contains;
using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::Not;

constexpr const char* kClientNode = "sidecar~10.1.0.9~curl.shop~shop.svc.cluster.local";
constexpr const char* kServerNode = "sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local";
constexpr const char* kWebCluster = "outbound|80||web.shop.svc.cluster.local";

Catalogue shop() {
  Catalogue catalogue;
  for (const char* yaml : {R"(
name: web
namespace: shop
vips: [10.96.0.1, "fd96::1"]
ports: [{port: 80, target_port: 8080, protocol: http}]
workloads:
  - {address: 10.1.0.1, host: h1, zone: z1, region: r, weight: 1}
  - {address: 10.1.0.2, host: h1, zone: z1, region: r, weight: 3}
  - {address: 10.2.0.1, host: h2, zone: z2, region: r, weight: 5}
policy: {timeout: 3s, lb: round_robin, circuit_breakers: {max_requests: 7}}
)",
                           R"(
name: db
namespace: shop
vips: [10.96.0.2]
ports: [{port: 5432, protocol: tcp}]
workloads: [{address: 10.1.0.1}]
)"}) {
    auto service = parse_service(yaml);
    EXPECT_TRUE(service.ok()) << service.status();
    catalogue.services.emplace(service->fqdn(), *service);
  }
  return catalogue;
}

View view_of(const char* node, ViewOptions options = {}) {
  return build_view(shop(), parse_node_id(node), options);
}

template <typename Message>
Message get(const View& view, std::string_view type, const std::string& name) {
  Message message;
  const auto found = view.at(type).find(name);
  if (found == view.at(type).end()) {
    ADD_FAILURE() << "no resource " << name;
  } else {
    EXPECT_TRUE(found->second.body.UnpackTo(&message)) << name;
  }
  return message;
}

std::vector<std::string> names(const View& view, std::string_view type) {
  std::vector<std::string> all;
  for (const auto& [name, resource] : view.at(type)) all.push_back(name);
  return all;
}

std::string tcp_target(const envoy::config::listener::v3::FilterChain& chain) {
  TcpProxy proxy;
  EXPECT_TRUE(chain.filters(0).typed_config().UnpackTo(&proxy));
  return proxy.cluster();
}

TEST(ParseNodeId, TakesAddressAndNamespace) {
  const NodeIdentity node = parse_node_id(kServerNode);
  EXPECT_EQ(node.address, "10.1.0.1");
  EXPECT_EQ(node.node_namespace, "shop");
  EXPECT_EQ(node.id, kServerNode);
}

TEST(ParseNodeId, LeavesEmptyWhatIsNotThere) {
  EXPECT_EQ(parse_node_id("").address, "");
  EXPECT_EQ(parse_node_id("router").address, "");
  EXPECT_EQ(parse_node_id("sidecar~10.1.0.1").address, "10.1.0.1");
  EXPECT_EQ(parse_node_id("sidecar~10.1.0.1~web").node_namespace, "");
}

TEST(View, GivesEveryNodeAllServices) {
  const View view = view_of(kClientNode);
  EXPECT_THAT(names(view, kClusterType),
              ElementsAre("BlackHoleCluster", "InboundPassthroughCluster", "PassthroughCluster",
                          "outbound|5432||db.shop.svc.cluster.local", kWebCluster));
  EXPECT_THAT(names(view, kListenerType),
              ElementsAre("0.0.0.0_80", "10.96.0.2_5432", "virtualInbound", "virtualOutbound"));
  EXPECT_THAT(names(view, kRouteType), ElementsAre("80"));
}

TEST(View, GivesANodeItsOwnInboundPorts) {
  const View view = view_of(kServerNode);
  EXPECT_THAT(names(view, kClusterType), IsSupersetOf({"inbound|8080||", "inbound|5432||"}));
  const auto listener = get<Listener>(view, kListenerType, "virtualInbound");
  std::vector<std::string> chains;
  for (const auto& chain : listener.filter_chains()) chains.push_back(chain.name());
  EXPECT_THAT(chains, ElementsAre("virtualInbound-blackhole", "0.0.0.0_5432", "0.0.0.0_8080"));
  EXPECT_EQ(tcp_target(listener.filter_chains(1)), "inbound|5432||");
  HttpConnectionManager manager;
  ASSERT_TRUE(listener.filter_chains(2).filters(0).typed_config().UnpackTo(&manager));
  EXPECT_EQ(manager.route_config().virtual_hosts(0).routes(0).route().cluster(), "inbound|8080||");
  EXPECT_EQ(tcp_target(listener.default_filter_chain()), "InboundPassthroughCluster");
}

TEST(View, GoesByTheNodeOfAWorkloadWhenItNamesOne) {
  Catalogue catalogue = shop();
  auto& workload = catalogue.services.at("db.shop.svc.cluster.local").workloads[0];
  workload.node = kClientNode;
  const View client = build_view(catalogue, parse_node_id(kClientNode), {});
  const View server = build_view(catalogue, parse_node_id(kServerNode), {});
  EXPECT_THAT(names(client, kClusterType), Contains("inbound|5432||"));
  EXPECT_THAT(names(server, kClusterType), Not(Contains("inbound|5432||")));
}

TEST(View, CallsTheApplicationFromAnAddressThatIsNotRedirected) {
  const auto v4 = get<Cluster>(view_of(kServerNode), kClusterType, "inbound|8080||");
  EXPECT_EQ(v4.type(), Cluster::ORIGINAL_DST);
  EXPECT_EQ(v4.upstream_bind_config().source_address().address(), "127.0.0.6");
  const View view = build_view(shop(), parse_node_id("sidecar~fd00::1~web.shop~x"), ViewOptions{});
  const auto v6 = get<Cluster>(view, kClusterType, "InboundPassthroughCluster");
  EXPECT_EQ(v6.upstream_bind_config().source_address().address(), "::6");
}

TEST(View, SendsUnknownTrafficOnAndTrapsLoops) {
  const auto listener = get<Listener>(view_of(kClientNode), kListenerType, "virtualOutbound");
  EXPECT_EQ(listener.address().socket_address().port_value(), 15001u);
  EXPECT_TRUE(listener.use_original_dst().value());
  EXPECT_EQ(tcp_target(listener.default_filter_chain()), "PassthroughCluster");
  ASSERT_EQ(listener.filter_chains_size(), 1);
  EXPECT_EQ(listener.filter_chains(0).filter_chain_match().destination_port().value(), 15001u);
  EXPECT_EQ(tcp_target(listener.filter_chains(0)), "BlackHoleCluster");
}

TEST(View, ListensOnIpv6OnlyWhenTold) {
  const auto without = get<Listener>(view_of(kClientNode), kListenerType, "virtualOutbound");
  EXPECT_EQ(without.additional_addresses_size(), 0);
  const auto with =
      get<Listener>(view_of(kClientNode, {.ipv6 = true}), kListenerType, "0.0.0.0_80");
  ASSERT_EQ(with.additional_addresses_size(), 1);
  EXPECT_EQ(with.additional_addresses(0).address().socket_address().address(), "::");
}

TEST(View, SendsAddressesOfTcpServicesToTheirCluster) {
  const auto listener = get<Listener>(view_of(kClientNode), kListenerType, "10.96.0.2_5432");
  EXPECT_FALSE(listener.bind_to_port().value());
  EXPECT_TRUE(listener.has_bind_to_port());
  EXPECT_EQ(listener.address().socket_address().address(), "10.96.0.2");
  EXPECT_EQ(tcp_target(listener.filter_chains(0)), "outbound|5432||db.shop.svc.cluster.local");
}

TEST(View, RoutesHttpByEveryNameOfAService) {
  const auto listener = get<Listener>(view_of(kClientNode), kListenerType, "0.0.0.0_80");
  HttpConnectionManager manager;
  ASSERT_TRUE(listener.filter_chains(0).filters(0).typed_config().UnpackTo(&manager));
  EXPECT_EQ(manager.rds().route_config_name(), "80");
  EXPECT_EQ(manager.stat_prefix(), "outbound_0_0_0_0_80");

  const auto routes = get<RouteConfiguration>(view_of(kClientNode), kRouteType, "80");
  ASSERT_EQ(routes.virtual_hosts_size(), 2);
  const auto& host = routes.virtual_hosts(0);
  EXPECT_THAT(std::vector<std::string>(host.domains().begin(), host.domains().end()),
              IsSupersetOf({"web", "web:80", "web.shop", "web.shop.svc.cluster.local:80",
                            "10.96.0.1", "[fd96::1]:80"}));
  EXPECT_EQ(host.routes(0).route().cluster(), kWebCluster);
  EXPECT_EQ(host.routes(0).route().timeout().seconds(), 3);
  EXPECT_EQ(routes.virtual_hosts(1).domains(0), "*");
  EXPECT_EQ(routes.virtual_hosts(1).routes(0).route().cluster(), "PassthroughCluster");
}

TEST(View, UsesShortNamesOnlyWithinANamespace) {
  const View view = view_of("sidecar~10.9.0.1~x.other~other.svc.cluster.local");
  const auto routes = get<RouteConfiguration>(view, kRouteType, "80");
  const auto& domains = routes.virtual_hosts(0).domains();
  EXPECT_THAT(std::vector<std::string>(domains.begin(), domains.end()), Not(Contains("web")));
}

TEST(View, GivesADomainToOneServiceOnly) {
  Catalogue catalogue = shop();
  Service twin = catalogue.services.at("web.shop.svc.cluster.local");
  twin.name = "zweb";
  catalogue.services.emplace(twin.fqdn(), twin);
  const View view = build_view(catalogue, parse_node_id(kClientNode), {});
  const auto routes = get<RouteConfiguration>(view, kRouteType, "80");
  const auto& domains = routes.virtual_hosts(1).domains();
  EXPECT_THAT(std::vector<std::string>(domains.begin(), domains.end()), Not(Contains("10.96.0.1")));
}

TEST(View, CarriesPolicyToTheCluster) {
  const auto cluster = get<Cluster>(view_of(kClientNode), kClusterType, kWebCluster);
  EXPECT_EQ(cluster.type(), Cluster::EDS);
  EXPECT_EQ(cluster.lb_policy(), Cluster::ROUND_ROBIN);
  EXPECT_TRUE(cluster.eds_cluster_config().eds_config().has_ads());
  EXPECT_EQ(cluster.alt_stat_name(), "outbound|80||web_shop_svc_cluster_local");
  ASSERT_EQ(cluster.circuit_breakers().thresholds_size(), 1);
  EXPECT_EQ(cluster.circuit_breakers().thresholds(0).max_requests().value(), 7u);
  EXPECT_FALSE(cluster.circuit_breakers().thresholds(0).has_max_connections());
}

TEST(View, GroupsEndpointsByLocality) {
  const auto endpoints =
      get<ClusterLoadAssignment>(view_of(kClientNode), kEndpointsType, kWebCluster);
  ASSERT_EQ(endpoints.endpoints_size(), 2);
  const auto& first = endpoints.endpoints(0);
  EXPECT_EQ(first.locality().zone(), "z1");
  EXPECT_EQ(first.locality().sub_zone(), "h1");
  EXPECT_EQ(first.load_balancing_weight().value(), 4u);
  ASSERT_EQ(first.lb_endpoints_size(), 2);
  const auto& address = first.lb_endpoints(1).endpoint().address().socket_address();
  EXPECT_EQ(address.address(), "10.1.0.2");
  EXPECT_EQ(address.port_value(), 8080u);
  EXPECT_EQ(first.lb_endpoints(1).load_balancing_weight().value(), 3u);
}

TEST(View, ConfiguresAWorkloadThatIsNotReadyButSendsItNothing) {
  Catalogue catalogue = shop();
  catalogue.services.at("db.shop.svc.cluster.local").workloads[0].ready = false;
  const View view = build_view(catalogue, parse_node_id(kServerNode), {});
  EXPECT_THAT(names(view, kClusterType), Contains("inbound|5432||"));
  const auto endpoints =
      get<ClusterLoadAssignment>(view, kEndpointsType, "outbound|5432||db.shop.svc.cluster.local");
  EXPECT_EQ(endpoints.endpoints_size(), 0);
}

TEST(View, KeepsVersionsOfWhatDidNotChange) {
  Catalogue catalogue = shop();
  const View before = build_view(catalogue, parse_node_id(kClientNode), {});
  catalogue.services.at("web.shop.svc.cluster.local").workloads.pop_back();
  const View after = build_view(catalogue, parse_node_id(kClientNode), {});
  for (const std::string_view type : kTypesInPushOrder) {
    for (const auto& [name, resource] : before.at(type)) {
      const bool should_change = type == kEndpointsType && name == kWebCluster;
      EXPECT_EQ(after.at(type).at(name).version != resource.version, should_change) << name;
    }
  }
}

}  // namespace
}  // namespace remora::control_plane
