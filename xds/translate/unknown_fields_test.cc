#include "xds/translate/unknown_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/cluster.pb.h"
#include "api/listener.pb.h"
#include "api/route.pb.h"
#include "api/tcp_proxy.pb.h"
#include "api/typed_struct_udpa.pb.h"
#include "xds/translate/context.h"

namespace remora::xds::translate {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

void add_unknown(google::protobuf::Message* message, int number) {
  message->GetReflection()->MutableUnknownFields(message)->AddVarint(number, 1);
}

std::vector<std::string> found_in(const google::protobuf::Message& message) {
  std::vector<std::string> out;
  find_unknown(message, Path(), [&](const Unknown& found) {
    out.push_back(found.path + ": " + found.what + (found.decisive ? " (decisive)" : ""));
  });
  return out;
}

TEST(UnknownFieldsTest, NothingUnknownNothingFound) {
  Cluster cluster;
  cluster.set_name("a");
  cluster.set_lb_policy(Cluster::RANDOM);
  EXPECT_THAT(found_in(cluster), IsEmpty());
}

TEST(UnknownFieldsTest, FieldsAreNamedByNumberAndEnumsByField) {
  Cluster cluster;
  add_unknown(&cluster, 19);
  cluster.set_lb_policy(static_cast<Cluster::LbPolicy>(77));
  add_unknown(cluster.mutable_load_assignment()->add_endpoints()->mutable_locality(), 9);
  EXPECT_THAT(found_in(cluster),
              ElementsAre("19: unknown field", "lb_policy: unknown enum value 77",
                          "load_assignment.endpoints[0].locality.9: unknown field"));
}

TEST(UnknownFieldsTest, MatchesAndFilterListsAreDecisive) {
  Listener listener;
  auto* chain = listener.add_filter_chains();
  add_unknown(chain->mutable_filter_chain_match(), 50);
  add_unknown(chain->mutable_filter_chain_match()->add_prefix_ranges(), 50);
  add_unknown(chain->add_filters(), 5);
  add_unknown(&listener, 32);
  add_unknown(&listener, 20);
  EXPECT_THAT(
      found_in(listener),
      UnorderedElementsAre("20: unknown field", "32: unknown field (decisive)",
                           "filter_chains[0].filter_chain_match.50: unknown field (decisive)",
                           "filter_chains[0].filter_chain_match.prefix_ranges[0].50: unknown field "
                           "(decisive)",
                           "filter_chains[0].filters[0].5: unknown field (decisive)"));
}

TEST(UnknownFieldsTest, RouteMatchesAreDecisiveAndRouteActionsAreNot) {
  RouteConfiguration routes;
  auto* route = routes.add_virtual_hosts()->add_routes();
  add_unknown(route->mutable_match()->add_headers()->mutable_string_match(), 50);
  add_unknown(route->mutable_route(), 15);
  add_unknown(routes.mutable_virtual_hosts(0), 26);
  EXPECT_THAT(found_in(routes),
              UnorderedElementsAre(
                  "virtual_hosts[0].routes[0].match.headers[0].string_match.50: unknown field "
                  "(decisive)",
                  "virtual_hosts[0].routes[0].route.15: unknown field",
                  "virtual_hosts[0].26: unknown field (decisive)"));
}

TEST(UnknownFieldsTest, LooksInsideAnyAndTypedStruct) {
  Listener listener;
  auto* chain = listener.add_filter_chains();
  TcpProxy proxy;
  add_unknown(&proxy, 99);
  chain->add_filters()->mutable_typed_config()->PackFrom(proxy);
  udpa::type::v1::TypedStruct typed;
  typed.set_type_url("type.googleapis.com/" + TcpProxy::descriptor()->full_name());
  (*typed.mutable_value()->mutable_fields())["nonesuch"].set_bool_value(true);
  chain->add_filters()->mutable_typed_config()->PackFrom(typed);
  EXPECT_THAT(found_in(listener),
              ElementsAre("filter_chains[0].filters[0].typed_config.99: unknown field",
                          "filter_chains[0].filters[1].typed_config.nonesuch: unknown field"));
}

TEST(UnknownFieldsTest, MapEntriesAreNamedByKey) {
  Cluster cluster;
  TcpProxy proxy;
  add_unknown(&proxy, 99);
  (*cluster.mutable_typed_extension_protocol_options())["a.b"].PackFrom(proxy);
  EXPECT_THAT(found_in(cluster),
              ElementsAre("typed_extension_protocol_options[\"a.b\"].99: unknown field"));
}

TEST(UnknownFieldPolicyTest, DecidesByOriginAndWeight) {
  using Kind = UnknownFieldPolicy::Kind;
  const struct {
    Kind kind;
    bool plain, decisive;
  } cases[] = {
      {Kind::StaticRefuse, true, true},  {Kind::StaticAccept, false, false},
      {Kind::Dynamic, false, true},      {Kind::DynamicIgnore, false, true},
      {Kind::DynamicRefuse, true, true},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(UnknownFieldPolicy{c.kind}.refuses(false), c.plain);
    EXPECT_EQ(UnknownFieldPolicy{c.kind}.refuses(true), c.decisive);
  }
}

TEST(PathTest, ReadsLikeTheFieldsThatWereFollowed) {
  const Path root;
  const Path chain = root.at("filter_chains", 2);
  const Path entry = chain.entry("typed_per_filter_config", "x.y");
  EXPECT_EQ(entry.field("a").str(), "filter_chains[2].typed_per_filter_config[\"x.y\"].a");
  EXPECT_EQ(chain.error("bad").message(), "filter_chains[2]: bad");
  EXPECT_EQ(root.error("bad").message(), "bad");
  EXPECT_EQ(prefixed("a.b", Path("c").error("bad")).message(), "a.b.c: bad");
  EXPECT_EQ(prefixed("a.b", Path("a.b.c").error("bad")).message(), "a.b.c: bad");
}

}  // namespace
}  // namespace remora::xds::translate
