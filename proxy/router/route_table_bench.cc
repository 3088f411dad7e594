// The cost of choosing a route: among many virtual hosts, by wildcard, among many routes.
#include <string>
#include <vector>

#include "proxy/base/bench.h"
#include "proxy/router/route_table.h"

namespace remora::router {
namespace {

Route to(std::string cluster, std::string prefix) {
  Route route;
  route.match.path = std::move(prefix);
  ClusterAction action;
  action.cluster = std::move(cluster);
  route.action = std::move(action);
  return route;
}

/// `hosts` services by name and a wildcard; each has `routes` of which the last takes everything.
/// One of them, "big", has 100.
std::shared_ptr<const RouteTable> table(int hosts, int routes) {
  RouteTable::Input input;
  for (int i = 0; i <= hosts; ++i) {
    VirtualHost host;
    const std::string name = "s" + std::to_string(i);
    host.name = name;
    host.domains = {i == hosts ? "*.example.com" : name + ".ns.svc.cluster.local"};
    for (int r = 1; r < routes; ++r) host.routes.push_back(to(name, "/p" + std::to_string(r)));
    host.routes.push_back(to(name, "/"));
    input.hosts.push_back(std::move(host));
  }
  VirtualHost big;
  big.name = "big";
  big.domains = {"big.ns.svc.cluster.local"};
  for (int r = 1; r < 100; ++r) big.routes.push_back(to("big", "/p" + std::to_string(r)));
  big.routes.push_back(to("big", "/"));
  input.hosts.push_back(std::move(big));
  return *RouteTable::build(std::move(input));
}

void decide(benchmark::State& state, const RouteTable& table, std::string_view authority) {
  BlockPool pool;
  Arena arena(pool);
  http::HeaderMap request(arena);
  request.add(http::HeaderId::Method, "GET");
  request.add(http::HeaderId::Path, "/api/v1/products/12345");
  request.add(http::HeaderId::Authority, authority);
  if (table.decide(request, 1).route == nullptr) state.SkipWithError("no route");
  for (auto _ : state) benchmark::DoNotOptimize(table.decide(request, 1));
}

void among_1000_hosts(benchmark::State& state) {
  decide(state, *table(1000, 1), "s777.ns.svc.cluster.local");
}
REMORA_BENCHMARK(among_1000_hosts);

void by_wildcard(benchmark::State& state) { decide(state, *table(1000, 1), "a.example.com"); }
REMORA_BENCHMARK(by_wildcard);

// The same look-up and the same hundred candidates, whatever else the table has.
void among_10_hosts_of_100_routes(benchmark::State& state) {
  decide(state, *table(10, 1), "big.ns.svc.cluster.local");
}
REMORA_BENCHMARK(among_10_hosts_of_100_routes);

void among_10000_hosts_of_100_routes(benchmark::State& state) {
  decide(state, *table(10000, 1), "big.ns.svc.cluster.local");
}
REMORA_BENCHMARK(among_10000_hosts_of_100_routes);

void among_50_routes(benchmark::State& state) {
  decide(state, *table(1, 50), "s0.ns.svc.cluster.local");
}
REMORA_BENCHMARK(among_50_routes);

}  // namespace
}  // namespace remora::router

BENCHMARK_MAIN();
