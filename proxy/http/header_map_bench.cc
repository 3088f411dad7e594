// The cost of a map of a dozen headers: filled, looked up, changed.
#include <string_view>
#include <utility>

#include "proxy/base/bench.h"
#include "proxy/http/header_map.h"

namespace remora::http {
namespace {

constexpr std::pair<std::string_view, std::string_view> kHeaders[] = {
    {":method", "GET"},
    {":path", "/api/v1/products/12345"},
    {":scheme", "http"},
    {":authority", "productpage.default.svc.cluster.local:9080"},
    {"user-agent", "Mozilla/5.0"},
    {"accept", "application/json"},
    {"accept-encoding", "gzip"},
    {"cookie", "session=0123456789abcdef"},
    {"x-request-id", "11111111-2222-4333-8444-555555555555"},
    {"x-forwarded-for", "10.1.2.3"},
    {"x-tenant", "blue"},
    {"authorization", "Bearer abcdefghijklmnop"},
};

void fill(HeaderMap& map) {
  for (const auto& [name, value] : kHeaders) map.add(name, value);
}

void fill_map(benchmark::State& state) {
  BlockPool pool;
  Arena arena(pool);
  for (auto _ : state) {
    auto* map = arena.make<HeaderMap>(arena);
    fill(*map);
    benchmark::DoNotOptimize(map->live_count());
    arena.reset();
  }
}
REMORA_BENCHMARK(fill_map);

void find_known(benchmark::State& state) {
  BlockPool pool;
  Arena arena(pool);
  HeaderMap map(arena);
  fill(map);
  for (auto _ : state) {
    benchmark::DoNotOptimize(map.get(HeaderId::Path));
    benchmark::DoNotOptimize(map.get(HeaderId::GrpcTimeout));
  }
}
REMORA_BENCHMARK(find_known);

void find_by_name(benchmark::State& state) {
  BlockPool pool;
  Arena arena(pool);
  HeaderMap map(arena);
  fill(map);
  for (auto _ : state) {
    benchmark::DoNotOptimize(map.find("x-tenant"));
    benchmark::DoNotOptimize(map.find("x-absent"));
  }
}
REMORA_BENCHMARK(find_by_name);

void set_and_remove(benchmark::State& state) {
  BlockPool pool;
  Arena arena(pool);
  for (auto _ : state) {
    auto* map = arena.make<HeaderMap>(arena);
    fill(*map);
    map->set(HeaderId::XRequestId, "other");
    map->set("x-tenant", "green");
    map->append(HeaderId::XForwardedFor, "10.4.5.6");
    map->remove("cookie");
    benchmark::DoNotOptimize(map->live_count());
    arena.reset();
  }
}
REMORA_BENCHMARK(set_and_remove);

}  // namespace
}  // namespace remora::http

BENCHMARK_MAIN();
