#include "proxy/router/route_table.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include "proxy/base/arena.h"
#include "proxy/http/stream_info.h"
#include "proxy/router/route_match.h"

namespace remora::router {
namespace {

class RouteTableTest : public testing::Test {
 protected:
  /// A request for `path` at `host`, with further headers as name, value, name, value...
  http::HeaderMap& request(std::string_view host, std::string_view path,
                           std::vector<std::string_view> headers = {}) {
    auto* map = arena_.make<http::HeaderMap>(arena_);
    map->add(http::HeaderId::Method, "GET");
    map->add(http::HeaderId::Authority, host);
    map->add(http::HeaderId::Path, path);
    for (size_t i = 0; i + 1 < headers.size(); i += 2) map->add(headers[i], headers[i + 1]);
    return *map;
  }

  static Route to(std::string cluster, RouteMatch match) {
    Route route;
    route.match = std::move(match);
    ClusterAction action;
    action.cluster = std::move(cluster);
    route.action = std::move(action);
    return route;
  }
  static RouteMatch prefix(std::string path) {
    RouteMatch match;
    match.path = std::move(path);
    return match;
  }
  static VirtualHost host(std::string name, std::vector<std::string> domains) {
    VirtualHost out;
    out.name = name;
    out.domains = std::move(domains);
    out.routes.push_back(to(name, prefix("/")));
    return out;
  }
  static std::shared_ptr<const RouteTable> build(RouteTable::Input input) {
    auto table = RouteTable::build(std::move(input));
    EXPECT_TRUE(table.ok()) << table.status();
    return table.ok() ? *table : nullptr;
  }
  /// A table with one virtual host for everything.
  static std::shared_ptr<const RouteTable> routes(std::vector<Route> routes) {
    RouteTable::Input input;
    VirtualHost all = host("all", {"*"});
    all.routes = std::move(routes);
    input.hosts.push_back(std::move(all));
    return build(std::move(input));
  }
  std::string cluster(const RouteTable& table, http::HeaderMap& request, uint64_t random = 0) {
    return std::string(table.decide(request, random).cluster);
  }

  BlockPool pool_;
  Arena arena_{pool_};
};

// -------------------------------------------------------------------------------------------------
// virtual hosts

class HostTest : public RouteTableTest {
 protected:
  HostTest() {
    RouteTable::Input input;
    input.hosts.push_back(host("exact", {"www.example.com"}));
    input.hosts.push_back(host("long-suffix", {"*.api.example.com"}));
    input.hosts.push_back(host("suffix", {"*.example.com", "*-test.example.org"}));
    input.hosts.push_back(host("prefix", {"www.*"}));
    input.hosts.push_back(host("long-prefix", {"www.other.*"}));
    input.hosts.push_back(host("default", {"*"}));
    table_ = build(std::move(input));
  }
  std::string of(std::string_view name) { return cluster(*table_, request(name, "/")); }
  std::shared_ptr<const RouteTable> table_;
};

TEST_F(HostTest, AnExactDomainBeatsEveryWildcard) { EXPECT_EQ(of("www.example.com"), "exact"); }
TEST_F(HostTest, DomainsAreCompareWithoutCase) { EXPECT_EQ(of("WWW.Example.COM"), "exact"); }
TEST_F(HostTest, TheLongestSuffixWildcardWins) {
  EXPECT_EQ(of("a.api.example.com"), "long-suffix");
  EXPECT_EQ(of("a.example.com"), "suffix");
}
TEST_F(HostTest, ASuffixWildcardMayBeginInsideALabel) {
  EXPECT_EQ(of("foo-test.example.org"), "suffix");
}
TEST_F(HostTest, AWildcardStandsForAtLeastOneCharacter) {
  EXPECT_EQ(of(".api.example.com"), "suffix");
  EXPECT_EQ(of(".example.com"), "default");
}
TEST_F(HostTest, SuffixWildcardsComeBeforePrefixWildcards) {
  EXPECT_EQ(of("www.a.example.com"), "suffix");
}
TEST_F(HostTest, TheLongestPrefixWildcardWins) {
  EXPECT_EQ(of("www.other.net"), "long-prefix");
  EXPECT_EQ(of("www.net"), "prefix");
}
TEST_F(HostTest, AnythingElseGoesToTheDefault) { EXPECT_EQ(of("elsewhere.net"), "default"); }
TEST_F(HostTest, APortIsPartOfTheNameUnlessIgnored) {
  EXPECT_EQ(of("a.example.com:80"), "default");
}

TEST_F(RouteTableTest, ThePortOfTheHostCanBeIgnored) {
  RouteTable::Input input;
  input.ignore_port_in_host_matching = true;
  input.hosts.push_back(host("name", {"a.com"}));
  input.hosts.push_back(host("v6", {"[::1]"}));
  auto table = build(std::move(input));
  EXPECT_EQ(cluster(*table, request("a.com:8080", "/")), "name");
  EXPECT_EQ(cluster(*table, request("[::1]:8080", "/")), "v6");
  EXPECT_EQ(cluster(*table, request("[::1]", "/")), "v6");
  EXPECT_EQ(cluster(*table, request("a.com:x", "/")), "");
}

TEST_F(RouteTableTest, AHostThatNobodyServesHasNoRouteAndTheReasonSaysSo) {
  RouteTable::Input input;
  input.hosts.push_back(host("name", {"a.com"}));
  auto table = build(std::move(input));
  RouteDecision decision = table->decide(request("b.com", "/"), 0);
  EXPECT_EQ(decision.route, nullptr);
  EXPECT_EQ(decision.reason, RouteDecision::Reason::NoVirtualHost);
}

TEST_F(RouteTableTest, ADomainMayStandOnlyOnce) {
  for (std::string domain : {"a.com", "*", "*.a.com", "a.*"}) {
    RouteTable::Input input;
    input.hosts.push_back(host("one", {domain}));
    input.hosts.push_back(host("two", {domain}));
    auto table = RouteTable::build(std::move(input));
    ASSERT_FALSE(table.ok()) << domain;
    EXPECT_TRUE(table.status().message().find("virtual_hosts[1].domains") !=
                absl::string_view::npos)
        << table.status();
  }
}

// -------------------------------------------------------------------------------------------------------
// paths

TEST_F(RouteTableTest, TheFirstRouteThatMatchesIsTaken) {
  auto table = routes({to("a", prefix("/a")), to("b", prefix("/a/b")), to("rest", prefix("/"))});
  EXPECT_EQ(cluster(*table, request("x", "/a/b")), "a");
  EXPECT_EQ(cluster(*table, request("x", "/c")), "rest");
}

TEST_F(RouteTableTest, QueryAndFragmentAreNoPartOfThePath) {
  RouteMatch exact;
  exact.kind = RouteMatch::Kind::Path;
  exact.path = "/exact";
  auto table = routes({to("exact", exact), to("query", prefix("/x?y"))});
  EXPECT_EQ(cluster(*table, request("x", "/exact?a=b")), "exact");
  EXPECT_EQ(cluster(*table, request("x", "/exact/more")), "");
  EXPECT_EQ(cluster(*table, request("x", "/x?y")), "");
}

TEST_F(RouteTableTest, CaseOfPathsCanBeIgnored) {
  RouteMatch match = prefix("/Admin");
  match.case_sensitive = false;
  auto table = routes({to("admin", match)});
  EXPECT_EQ(cluster(*table, request("x", "/aDMIN/x")), "admin");
}

TEST_F(RouteTableTest, APathSeparatedPrefixEndsAtASlash) {
  RouteMatch match;
  match.kind = RouteMatch::Kind::PathSeparatedPrefix;
  match.path = "/api";
  auto table = routes({to("api", match)});
  EXPECT_EQ(cluster(*table, request("x", "/api")), "api");
  EXPECT_EQ(cluster(*table, request("x", "/api/v1")), "api");
  EXPECT_EQ(cluster(*table, request("x", "/api?x")), "api");
  EXPECT_EQ(cluster(*table, request("x", "/apis")), "");
}

TEST_F(RouteTableTest, ARegularExpressionMatchesTheWholePath) {
  RouteMatch match;
  match.kind = RouteMatch::Kind::Regex;
  match.regex = std::make_shared<re2::RE2>("/b[0-9]+");
  auto table = routes({to("regex", match)});
  EXPECT_EQ(cluster(*table, request("x", "/b12?q")), "regex");
  EXPECT_EQ(cluster(*table, request("x", "/b12/x")), "");
  EXPECT_EQ(cluster(*table, request("x", "/a/b12")), "");
}

TEST_F(RouteTableTest, ConnectGoesOnlyWhereItIsAskedFor) {
  RouteMatch connect;
  connect.kind = RouteMatch::Kind::Connect;
  auto table = routes({to("any", prefix("/")), to("connect", connect)});
  auto* headers = arena_.make<http::HeaderMap>(arena_);
  headers->add(http::HeaderId::Method, "CONNECT");
  headers->add(http::HeaderId::Authority, "x:80");
  EXPECT_EQ(cluster(*table, *headers), "connect");
  EXPECT_EQ(cluster(*table, request("x", "/")), "any");
}

// -------------------------------------------------------------------------------------------
// headers and query

HeaderMatch header(std::string name, HeaderMatch::Kind kind) {
  HeaderMatch match;
  match.name = std::move(name);
  match.kind = kind;
  return match;
}

TEST_F(RouteTableTest, AllConditionsOfARouteMustHold) {
  RouteMatch match = prefix("/");
  match.headers.push_back(header("x-a", HeaderMatch::Kind::Present));
  QueryMatch query;
  query.name = "v";
  query.string = StringMatch{.kind = StringMatch::Kind::Exact, .text = "2", .regex = nullptr};
  match.query.push_back(query);
  auto table = routes({to("both", match)});
  EXPECT_EQ(cluster(*table, request("x", "/?v=2", {"x-a", "1"})), "both");
  EXPECT_EQ(cluster(*table, request("x", "/?v=2")), "");
  EXPECT_EQ(cluster(*table, request("x", "/?v=3", {"x-a", "1"})), "");
}

TEST_F(RouteTableTest, GrpcIsKnownByItsContentType) {
  RouteMatch match = prefix("/");
  match.grpc_only = true;
  auto table = routes({to("grpc", match)});
  EXPECT_EQ(cluster(*table, request("x", "/s/m", {"content-type", "application/grpc"})), "grpc");
  EXPECT_EQ(cluster(*table, request("x", "/s/m", {"content-type", "application/grpc+proto"})),
            "grpc");
  EXPECT_EQ(cluster(*table, request("x", "/s/m", {"content-type", "application/grpc-web"})), "");
}

// ------------------------------------------------------------------------------------------------------
// clusters

TEST_F(RouteTableTest, AFractionOfRequestsMatches) {
  RouteMatch match = prefix("/");
  match.fraction_per_million = 250'000;
  auto table = routes({to("some", match), to("others", prefix("/"))});
  EXPECT_EQ(cluster(*table, request("x", "/"), 249'999), "some");
  EXPECT_EQ(cluster(*table, request("x", "/"), 250'000), "others");
}

TEST_F(RouteTableTest, WeightedClustersShareByWeight) {
  Route route = to("", prefix("/"));
  ClusterAction action;
  action.weighted.resize(3);
  action.weighted[0].name = "one";
  action.weighted[0].weight = 1;
  action.weighted[1].name = "none";
  action.weighted[2].name = "three";
  action.weighted[2].weight = 3;
  action.total_weight = 4;
  route.action = action;
  auto table = routes({route});
  EXPECT_EQ(cluster(*table, request("x", "/"), 4), "one");
  EXPECT_EQ(cluster(*table, request("x", "/"), 5), "three");
  EXPECT_EQ(cluster(*table, request("x", "/"), 7), "three");
  EXPECT_EQ(table->clusters(), (std::vector<std::string>{"none", "one", "three"}));
}

TEST_F(RouteTableTest, TheRequestMayHaveTheNumberThatChoosesAmongClusters) {
  Route route = to("", prefix("/"));
  ClusterAction action;
  action.weighted.resize(2);
  action.weighted[0].name = "one";
  action.weighted[1].cluster_header = "x-to";
  action.weighted[0].weight = action.weighted[1].weight = 1;
  action.total_weight = 2;
  action.weight_header = "x-number";
  route.action = action;
  auto table = routes({route});
  EXPECT_EQ(cluster(*table, request("x", "/", {"x-number", "2", "x-to", "two"}), 1), "one");
  EXPECT_EQ(cluster(*table, request("x", "/", {"x-number", "3", "x-to", "two"}), 0), "two");
  EXPECT_EQ(cluster(*table, request("x", "/", {"x-number", "3"}), 0), "");
  EXPECT_EQ(cluster(*table, request("x", "/", {"x-number", "no"}), 0), "one");
  EXPECT_EQ(cluster(*table, request("x", "/", {"x-number", "1", "x-number", "1"}), 0), "one");
  EXPECT_EQ(table->clusters(), (std::vector<std::string>{"one"}));
}

TEST_F(RouteTableTest, TheHashOfTheRequestMayChooseAmongClusters) {
  Route route = to("", prefix("/"));
  ClusterAction action;
  action.weighted.resize(2);
  action.weighted[0].name = "one";
  action.weighted[1].name = "two";
  action.weighted[0].weight = action.weighted[1].weight = 1;
  action.total_weight = 2;
  action.weighs_by_hash = true;
  action.hash_policies.resize(1);
  action.hash_policies[0].name = "x-a";
  route.action = action;
  auto table = routes({route});
  http::StreamInfo info;
  ConnectionFacts connection;
  info.connection = &connection;
  for (const std::string_view value : {"a", "b", "c", "d"}) {
    http::HeaderMap& asked = request("x", "/", {"x-a", value});
    const HashPolicy& policy = action.hash_policies[0];
    const uint64_t hash = *hash_request({&policy, 1}, asked, {info.remote, connection.local}).value;
    EXPECT_EQ(table->decide(asked, 0, &info).cluster, hash % 2 == 0 ? "one" : "two");
  }
  EXPECT_EQ(table->decide(request("x", "/"), 1, &info).cluster, "two") << "no hash: by chance";
}

TEST_F(RouteTableTest, PathParametersMayBeLeftOut) {
  RouteMatch exact = prefix("/a");
  exact.kind = RouteMatch::Kind::Path;
  auto strict = routes({to("a", exact)});
  EXPECT_EQ(cluster(*strict, request("x", "/a;v=1?q")), "");
  exact.ignore_path_parameters = true;
  auto lenient = routes({to("a", exact)});
  EXPECT_EQ(cluster(*lenient, request("x", "/a;v=1?q")), "a");
  EXPECT_EQ(cluster(*lenient, request("x", "/a/b;v=1")), "");
  exact.path = "/a/b/";
  auto longer = routes({to("ab", exact)});
  EXPECT_EQ(cluster(*longer, request("x", "/a;v=1;w/b;x/?q;/r")), "ab");
}

TEST_F(RouteTableTest, AHeaderMayStandForTheHost) {
  RouteTable::Input input;
  input.hosts = {host("one", {"one"}), host("all", {"*"})};
  input.vhost_header = "x-host";
  auto table = build(std::move(input));
  EXPECT_EQ(cluster(*table, request("two", "/", {"x-host", "ONE"})), "one");
  EXPECT_EQ(cluster(*table, request("one", "/", {"x-host", "two"})), "all");
}

TEST_F(RouteTableTest, ATreeNarrowsTheRoutes) {
  RouteTable::Input input;
  input.hosts = {host("all", {"*"})};
  input.hosts[0].routes = {to("a", prefix("/")), to("b", prefix("/b")), to("c", prefix("/"))};
  input.hosts[0].tree = [](const http::HeaderMap& request, const http::StreamInfo&) {
    return request.find("x-a") != nullptr ? RouteRange{1, 3} : RouteRange();
  };
  auto table = build(std::move(input));
  const http::StreamInfo info;
  EXPECT_EQ(table->decide(request("x", "/b", {"x-a", "1"}), 0, &info).cluster, "b");
  EXPECT_EQ(table->decide(request("x", "/", {"x-a", "1"}), 0, &info).cluster, "c");
  EXPECT_EQ(table->decide(request("x", "/"), 0, &info).reason, RouteDecision::Reason::NoRoute);
}

TEST_F(RouteTableTest, TheFirstVirtualClusterThatMatchesCounts) {
  VirtualHost vhost = host("all", {"*"});
  EXPECT_EQ(virtual_cluster_of(vhost, request("x", "/")), nullptr);
  vhost.virtual_clusters = {{"a", {header("x-a", HeaderMatch::Kind::Present)}, nullptr},
                            {"other", {}, nullptr}};
  EXPECT_EQ(virtual_cluster_of(vhost, request("x", "/", {"x-a", "1"}))->name, "a");
  EXPECT_EQ(virtual_cluster_of(vhost, request("x", "/"))->name, "other");
}

TEST_F(RouteTableTest, AHeaderMayNameTheCluster) {
  Route route = to("", prefix("/"));
  ClusterAction action;
  action.cluster_header = "x-cluster";
  route.action = action;
  auto table = routes({route});
  EXPECT_EQ(cluster(*table, request("x", "/", {"x-cluster", "blue"})), "blue");
  EXPECT_EQ(cluster(*table, request("x", "/")), "");
}

TEST_F(RouteTableTest, AHostThatDemandsTlsRedirectsPlainRequests) {
  RouteTable::Input input;
  input.hosts.push_back(host("secure", {"*"}));
  input.hosts[0].require_tls = VirtualHost::RequireTls::ExternalOnly;
  auto table = build(std::move(input));
  RouteDecision plain = table->decide(request("x", "/", {"x-forwarded-proto", "http"}), 0);
  EXPECT_EQ(plain.reason, RouteDecision::Reason::TlsRequired);
  EXPECT_TRUE(std::get<RedirectAction>(plain.route->action).https);
  EXPECT_EQ(table->decide(request("x", "/", {"x-forwarded-proto", "https"}), 0).cluster, "secure");
  EXPECT_EQ(
      table->decide(request("x", "/", {"x-forwarded-proto", "http", "x-envoy-internal", "true"}), 0)
          .cluster,
      "secure");
}

// --- overrides of filters ---

TEST_F(RouteTableTest, TheMostSpecificOverrideOfAFilterIsTaken) {
  const auto of = [](std::string_view type) { return FilterOverride{type, nullptr}; };
  VirtualHost host;
  Route route;
  WeightedCluster weighted;
  host.filter_configs = {{"f", of("host")}, {"g", of("host")}, {"h", of("host")}};
  route.filter_configs = {{"f", of("route")}, {"g", of("route")}};
  weighted.filter_configs = {{"f", of("cluster")}};
  RouteDecision decision{nullptr, &host, &route, &weighted, "", 1, RouteDecision::Reason::Matched};
  EXPECT_EQ(filter_override(decision, "f")->type, "cluster");
  EXPECT_EQ(filter_override(decision, "g")->type, "route");
  EXPECT_EQ(filter_override(decision, "h")->type, "host");
  EXPECT_EQ(filter_override(decision, "i"), nullptr);
  decision.weighted = nullptr;
  EXPECT_EQ(filter_override(decision, "f")->type, "route");
}

TEST_F(RouteTableTest, WithoutARouteNoFilterIsOverridden) {
  VirtualHost host;
  host.filter_configs = {{"f", {"host", nullptr}}};
  const RouteDecision decision{
      nullptr, &host, nullptr, nullptr, "", 1, RouteDecision::Reason::NoRoute};
  EXPECT_EQ(filter_override(decision, "f"), nullptr);
}

// -------------------------------------------------------------------------------------------
// size

TEST_F(RouteTableTest, OnlyTheRoutesOfItsHostAreHeldAgainstARequest) {
  constexpr size_t kHosts = 10'000, kRoutes = 100;
  RouteTable::Input input;
  for (size_t i = 0; i < kHosts; ++i) {
    const std::string name = "host-" + std::to_string(i);
    input.hosts.push_back(host(name, {name + ".example.com", "*." + name + ".example.com"}));
  }
  std::vector<Route>& own = input.hosts[kHosts / 2].routes;
  own.clear();
  for (size_t i = 0; i < kRoutes; ++i) {
    own.push_back(to("own", prefix("/" + std::to_string(i) + "/")));
  }
  auto table = build(std::move(input));
  const std::string_view domain = "host-5000.example.com";
  EXPECT_EQ(table->decide(request(domain, "/0/"), 0).candidates, 1u);
  EXPECT_EQ(table->decide(request(domain, "/99/"), 0).candidates, kRoutes);
  EXPECT_EQ(table->decide(request(domain, "/none"), 0).candidates, kRoutes);
  EXPECT_EQ(table->decide(request("host-7.example.com", "/"), 0).candidates, 1u);
  EXPECT_EQ(table->decide(request("x.host-7.example.com", "/"), 0).candidates, 1u);
  EXPECT_EQ(table->decide(request("nobody.example.com", "/"), 0).candidates, 0u);
}

}  // namespace
}  // namespace remora::router
