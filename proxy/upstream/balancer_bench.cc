// The cost of choosing one of 100 hosts, by each policy.
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/bench.h"
#include "proxy/stats/store.h"
#include "proxy/upstream/balancer.h"
#include "proxy/upstream/test_hosts.h"

namespace remora::upstream {
namespace {

LoadAssignment hundred(bool weighted) {
  std::vector<EndpointConfig> hosts;
  for (int i = 1; i <= 100; ++i) {
    const uint32_t weight = weighted ? static_cast<uint32_t>(i % 3 + 1) : 1;
    hosts.push_back(testing::endpoint("10.0.0." + std::to_string(i), 80, weight));
  }
  return testing::assignment({testing::locality(std::move(hosts))});
}

void choose(benchmark::State& state, LbPolicy policy, bool weighted = false) {
  EventLoop loop;
  WorkerContext worker(loop, 0, 42);
  auto config = std::make_shared<ClusterConfig>();
  config->name = "bench";
  config->lb = policy;
  const std::unique_ptr<stats::Store> store = *stats::Store::make({}, 1);
  ClusterShared shared(*config, *store);
  const std::unique_ptr<Balancer> balancer =
      make_balancer({.config = config, .worker = worker, .shared = shared},
                    make_host_set(hundred(weighted), nullptr, *config));
  PickContext context;
  for (auto _ : state) {
    context.hash = worker.random();
    benchmark::DoNotOptimize(balancer->pick(context));
  }
}

void round_robin(benchmark::State& state) { choose(state, LbPolicy::RoundRobin); }
REMORA_BENCHMARK(round_robin);

void round_robin_weighted(benchmark::State& state) { choose(state, LbPolicy::RoundRobin, true); }
REMORA_BENCHMARK(round_robin_weighted);

void least_request(benchmark::State& state) { choose(state, LbPolicy::LeastRequest); }
REMORA_BENCHMARK(least_request);

void random(benchmark::State& state) { choose(state, LbPolicy::Random); }
REMORA_BENCHMARK(random);

void ring_hash(benchmark::State& state) { choose(state, LbPolicy::RingHash); }
REMORA_BENCHMARK(ring_hash);

void maglev(benchmark::State& state) { choose(state, LbPolicy::Maglev); }
REMORA_BENCHMARK(maglev);

}  // namespace
}  // namespace remora::upstream

BENCHMARK_MAIN();
