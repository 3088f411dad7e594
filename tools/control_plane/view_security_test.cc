#include "api/cluster.pb.h"
#include "api/endpoint.pb.h"
#include "api/http_connection_manager.pb.h"
#include "api/listener.pb.h"
#include "api/rbac_http.pb.h"
#include "api/rbac_network.pb.h"
#include "api/tcp_proxy.pb.h"
#include "api/tls.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/control_plane/view.h"

namespace remora::control_plane {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::FilterChain;
using envoy::config::listener::v3::Listener;
using envoy::config::rbac::v3::RBAC;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::transport_sockets::tls::v3::CommonTlsContext;
using envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
using envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher;
using envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
using testing::ElementsAre;
using testing::UnorderedElementsAre;
using HttpRbac = envoy::extensions::filters::http::rbac::v3::RBAC;
using NetworkRbac = envoy::extensions::filters::network::rbac::v3::RBAC;

constexpr const char* kNode = "sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local";
constexpr const char* kWebCluster = "outbound|80||web.shop.svc.cluster.local";
constexpr const char* kDatabaseCluster = "outbound|5432||db.shop.svc.cluster.local";

// `web` speaks HTTP and `db` TCP, both on the pod of kNode; `more` is put into both files.
View view_with(const std::string& more, const std::string& workload = "{address: 10.1.0.1}") {
  const std::string rest = "namespace: shop\nvips: [10.96.0.1]\nworkloads: [" + workload + "]\n";
  Catalogue catalogue;
  for (const std::string& head :
       {std::string("name: web\nports: [{port: 80, target_port: 8080, protocol: http}]\n"),
        std::string("name: db\nports: [{port: 5432, protocol: tcp}]\n")}) {
    auto service = parse_service(head + rest + more);
    EXPECT_TRUE(service.ok()) << service.status();
    catalogue.services.emplace(service->fqdn(), *service);
  }
  envoy::config::core::v3::Node node;
  node.set_id(kNode);
  (*node.mutable_metadata()->mutable_fields())["IDENTITY"].set_string_value("/identity");
  return build_view(catalogue, parse_node(node), {});
}

template <typename Message>
Message get(const View& view, std::string_view type, const std::string& name) {
  Message message;
  EXPECT_TRUE(view.at(type).at(name).body.UnpackTo(&message)) << name;
  return message;
}

template <typename Message>
Message unpack(const google::protobuf::Any& any) {
  Message message;
  EXPECT_TRUE(any.UnpackTo(&message)) << any.type_url();
  return message;
}

Listener inbound(const View& view) { return get<Listener>(view, kListenerType, "virtualInbound"); }

std::vector<FilterChain> chains_of(const Listener& listener, uint32_t port) {
  std::vector<FilterChain> chains;
  for (const auto& chain : listener.filter_chains()) {
    if (chain.filter_chain_match().destination_port().value() == port) chains.push_back(chain);
  }
  return chains;
}

// The filters of an HTTP chain, by name.
std::vector<std::string> http_filters(const FilterChain& chain) {
  std::vector<std::string> names;
  const auto manager = unpack<HttpConnectionManager>(chain.filters(0).typed_config());
  for (const auto& filter : manager.http_filters()) names.push_back(filter.name());
  return names;
}

void expect_secrets_of_the_node(const CommonTlsContext& common) {
  ASSERT_EQ(common.tls_certificate_sds_secret_configs_size(), 1);
  const auto& own = common.tls_certificate_sds_secret_configs(0);
  EXPECT_EQ(own.name(), "workload");
  const auto& file = own.sds_config().path_config_source();
  EXPECT_EQ(file.path(), "/identity/workload.json");
  EXPECT_EQ(file.watched_directory().path(), "/identity");
  const auto& trust = common.combined_validation_context().validation_context_sds_secret_config();
  EXPECT_EQ(trust.sds_config().path_config_source().path(), "/identity/trust.json");
  EXPECT_THAT(common.alpn_protocols(), ElementsAre("remora"));
}

const SubjectAltNameMatcher& wanted_name(const CommonTlsContext& common) {
  return common.combined_validation_context()
      .default_validation_context()
      .match_typed_subject_alt_names(0);
}

TEST(ViewSecurity, TakesNothingButMutualTlsOnAStrictPort) {
  const Listener listener = inbound(view_with("account: web\nmtls: STRICT\n"));
  ASSERT_EQ(listener.listener_filters_size(), 1) << "nothing to tell apart";
  for (const uint32_t port : {8080u, 5432u}) {
    const auto chains = chains_of(listener, port);
    ASSERT_EQ(chains.size(), 1u) << "no chain that plain text could take instead";
    EXPECT_EQ(chains[0].filter_chain_match().transport_protocol(), "");
    const auto context = unpack<DownstreamTlsContext>(chains[0].transport_socket().typed_config());
    EXPECT_TRUE(context.require_client_certificate().value());
    expect_secrets_of_the_node(context.common_tls_context());
    const auto& name = wanted_name(context.common_tls_context());
    EXPECT_EQ(name.san_type(), SubjectAltNameMatcher::URI);
    EXPECT_EQ(name.matcher().prefix(), "spiffe://cluster.local/");
  }
  EXPECT_TRUE(listener.default_filter_chain().has_transport_socket())
      << "ports that no service mentions are not open either";
}

TEST(ViewSecurity, TellsTlsOfTheMeshFromTheRestOnAPermissivePort) {
  const Listener listener = inbound(view_with("account: web\nmtls: PERMISSIVE\n"));
  ASSERT_EQ(listener.listener_filters_size(), 2);
  EXPECT_EQ(listener.listener_filters(1).name(), "envoy.filters.listener.tls_inspector");
  const auto& inspected = listener.listener_filters(1).filter_disabled().not_match().or_match();
  ASSERT_EQ(inspected.rules_size(), 2);
  EXPECT_EQ(inspected.rules(0).destination_port_range().start(), 5432);
  EXPECT_EQ(inspected.rules(0).destination_port_range().end(), 5433);
  EXPECT_TRUE(listener.continue_on_listener_filters_timeout()) << "servers may speak first";

  const auto chains = chains_of(listener, 8080);
  ASSERT_EQ(chains.size(), 3u);
  EXPECT_EQ(chains[0].filter_chain_match().transport_protocol(), "tls");
  EXPECT_THAT(chains[0].filter_chain_match().application_protocols(), ElementsAre("remora"));
  EXPECT_TRUE(chains[0].has_transport_socket());
  EXPECT_EQ(chains[1].filter_chain_match().transport_protocol(), "tls");
  EXPECT_FALSE(chains[1].has_transport_socket());
  EXPECT_EQ(chains[2].filter_chain_match().transport_protocol(), "raw_buffer");
  EXPECT_FALSE(chains[2].has_transport_socket());
  EXPECT_FALSE(listener.default_filter_chain().has_transport_socket());
}

TEST(ViewSecurity, CallsAStrictServiceOverTlsWhateverItsEndpointsAre) {
  const auto cluster =
      get<Cluster>(view_with("account: till\nmtls: STRICT\n"), kClusterType, kWebCluster);
  EXPECT_EQ(cluster.transport_socket_matches_size(), 0);
  const auto context = unpack<UpstreamTlsContext>(cluster.transport_socket().typed_config());
  expect_secrets_of_the_node(context.common_tls_context());
  EXPECT_EQ(wanted_name(context.common_tls_context()).matcher().exact(),
            "spiffe://cluster.local/ns/shop/sa/till");
  EXPECT_EQ(context.sni(), "outbound_.80_._.web.shop.svc.cluster.local");
}

TEST(ViewSecurity, CallsEndpointsOfAPermissiveServiceByWhetherTheyHaveASidecar) {
  const View view = view_with("account: web\nmtls: PERMISSIVE\n",
                              "{address: 10.1.0.1}, {address: 10.1.0.2, sidecar: false}");
  const auto cluster = get<Cluster>(view, kClusterType, kWebCluster);
  EXPECT_FALSE(cluster.has_transport_socket());
  ASSERT_EQ(cluster.transport_socket_matches_size(), 2);
  const auto& with = cluster.transport_socket_matches(0);
  EXPECT_EQ(with.match().fields().at("tlsMode").string_value(), "remora");
  EXPECT_EQ(with.transport_socket().name(), "envoy.transport_sockets.tls");
  const auto& without = cluster.transport_socket_matches(1);
  EXPECT_TRUE(without.has_match());
  EXPECT_TRUE(without.match().fields().empty());
  EXPECT_EQ(without.transport_socket().name(), "envoy.transport_sockets.raw_buffer");

  const auto endpoints = get<ClusterLoadAssignment>(view, kEndpointsType, kWebCluster);
  const auto& own = endpoints.endpoints(0).lb_endpoints(0).metadata().filter_metadata();
  EXPECT_EQ(own.at("envoy.transport_socket_match").fields().at("tlsMode").string_value(), "remora");
  EXPECT_FALSE(endpoints.endpoints(0).lb_endpoints(1).has_metadata());
}

TEST(ViewSecurity, LeavesPlainWhatIsDisabled) {
  const View view = view_with("account: web\nmtls: DISABLE\n");
  EXPECT_FALSE(get<Cluster>(view, kClusterType, kWebCluster).has_transport_socket());
  EXPECT_FALSE(get<Cluster>(view, kClusterType, kDatabaseCluster).has_transport_socket());
  const Listener listener = inbound(view);
  EXPECT_FALSE(chains_of(listener, 8080)[0].has_transport_socket());
  EXPECT_EQ(listener.listener_filters_size(), 1);
}

TEST(ViewSecurity, TellsTheApplicationWhoCalls) {
  const View view = view_with("account: web\nmtls: PERMISSIVE\n");
  for (const FilterChain& chain : chains_of(inbound(view), 8080)) {
    const auto manager = unpack<HttpConnectionManager>(chain.filters(0).typed_config());
    EXPECT_EQ(manager.forward_client_cert_details(), HttpConnectionManager::SANITIZE_SET);
    EXPECT_TRUE(manager.set_current_client_cert_details().uri());
  }
}

TEST(ViewSecurity, AllowsWhatARuleMatchesAndNothingElse) {
  const View view = view_with(
      "account: web\nmtls: STRICT\n"
      "authorization: [{principals: [shop/till, shop/cook]}]\n");
  const FilterChain http = chains_of(inbound(view), 8080)[0];
  EXPECT_THAT(http_filters(http),
              ElementsAre("envoy.filters.http.rbac", "envoy.filters.http.router"));
  const FilterChain tcp = chains_of(inbound(view), 5432)[0];
  ASSERT_EQ(tcp.filters_size(), 2);
  const auto rules = unpack<NetworkRbac>(tcp.filters(0).typed_config()).rules();
  EXPECT_EQ(rules.action(), RBAC::ALLOW);
  ASSERT_EQ(rules.policies_size(), 1);
  const auto& policy = rules.policies().at("rule[0]");
  ASSERT_EQ(policy.permissions_size(), 1);
  EXPECT_TRUE(policy.permissions(0).any());
  std::vector<std::string> principals;
  for (const auto& principal : policy.principals()) {
    principals.push_back(principal.authenticated().principal_name().exact());
  }
  EXPECT_THAT(principals, UnorderedElementsAre("spiffe://cluster.local/ns/shop/sa/till",
                                               "spiffe://cluster.local/ns/shop/sa/cook"));
}

RBAC http_rules(const std::string& authorization) {
  auto service = parse_service(
      "name: web\nnamespace: shop\nports: [{port: 80, protocol: http}]\n"
      "workloads: [{address: 10.1.0.1}]\nauthorization: " +
      authorization);
  EXPECT_TRUE(service.ok()) << service.status();
  Catalogue catalogue;
  catalogue.services.emplace(service->fqdn(), *service);
  const auto chain = chains_of(inbound(build_view(catalogue, parse_node_id(kNode), {})), 80)[0];
  const auto manager = unpack<HttpConnectionManager>(chain.filters(0).typed_config());
  return unpack<HttpRbac>(manager.http_filters(0).typed_config()).rules();
}

TEST(ViewSecurity, WantsAMethodAndAPathOfARuleThatNamesBoth) {
  const RBAC rules = http_rules("[{methods: [GET, HEAD], paths: [/cart, \"/api/*\"]}]\n");
  const auto& policy = rules.policies().at("rule[0]");
  EXPECT_TRUE(policy.principals(0).any());
  const auto& both = policy.permissions(0).and_rules();
  ASSERT_EQ(both.rules_size(), 2);
  const auto& method = both.rules(0).or_rules().rules(1).header();
  EXPECT_EQ(method.name(), ":method");
  EXPECT_EQ(method.string_match().exact(), "HEAD");
  const auto& paths = both.rules(1).or_rules();
  EXPECT_EQ(paths.rules(0).url_path().path().exact(), "/cart");
  EXPECT_EQ(paths.rules(1).url_path().path().prefix(), "/api/");
}

TEST(ViewSecurity, AllowsNothingWithoutRules) {
  const RBAC rules = http_rules("[]\n");
  EXPECT_EQ(rules.action(), RBAC::ALLOW);
  EXPECT_EQ(rules.policies_size(), 0);
}

TEST(ViewSecurity, KeepsTheStricterOfServicesThatShareAPort) {
  Catalogue catalogue;
  for (const char* yaml : {"name: a\nnamespace: shop\nports: [{port: 80, protocol: http}]\n"
                           "workloads: [{address: 10.1.0.1}]\nauthorization: [{methods: [GET]}]\n",
                           "name: b\nnamespace: shop\nports: [{port: 80, protocol: http}]\n"
                           "workloads: [{address: 10.1.0.1}]\naccount: b\nmtls: STRICT\n"
                           "authorization: [{principals: [shop/till]}]\n"}) {
    auto service = parse_service(yaml);
    ASSERT_TRUE(service.ok()) << service.status();
    catalogue.services.emplace(service->fqdn(), *service);
  }
  const auto chains = chains_of(inbound(build_view(catalogue, parse_node_id(kNode), {})), 80);
  ASSERT_EQ(chains.size(), 1u);
  EXPECT_TRUE(chains[0].has_transport_socket());
  EXPECT_THAT(http_filters(chains[0]),
              ElementsAre("envoy.filters.http.rbac", "envoy.filters.http.rbac",
                          "envoy.filters.http.router"));
}

TEST(ParseNode, LooksForItsIdentityWhereItSays) {
  envoy::config::core::v3::Node node;
  node.set_id(kNode);
  EXPECT_EQ(parse_node(node).identity_folder, "/var/run/secrets/workload-identity");
  (*node.mutable_metadata()->mutable_fields())["IDENTITY"].set_string_value("/elsewhere");
  EXPECT_EQ(parse_node(node).identity_folder, "/elsewhere");
  EXPECT_EQ(parse_node(node).address, "10.1.0.1");
}

}  // namespace
}  // namespace remora::control_plane
