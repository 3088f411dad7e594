// The cost of a decision: the last of ten rules holds; none of them does; a map finds its outcome.
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/bench.h"
#include "proxy/policy/engine.h"
#include "proxy/policy/test_facts.h"

namespace remora::policy {
namespace {

/// Ten rules, each for a method and a prefix of paths; `last` is the prefix of the tenth.
Rules ten(std::string_view last) {
  Rules rules;
  for (int i = 0; i < 10; ++i) {
    router::HeaderMatch method;
    method.name = ":method";
    method.id = http::HeaderId::Method;
    method.kind = router::HeaderMatch::Kind::String;
    method.string = testing::exactly("GET");
    const std::string prefix = i == 9 ? std::string(last) : "/service-" + std::to_string(i);
    AllOf both;
    both.of.push_back(Condition{HeaderIs{method}});
    both.of.push_back(Condition{PathIs{testing::text(StringMatch::Kind::Prefix, prefix)}});
    rules.rules.push_back(
        {"r" + std::to_string(i), Condition{std::move(both)}, Condition{Always{}}});
  }
  return rules;
}

void decide(benchmark::State& state, const Engine& engine, bool allowed) {
  testing::TestFacts all;
  const Facts facts = all.facts();
  if (engine.decide(facts).allowed != allowed) state.SkipWithError("decided otherwise");
  for (auto _ : state) benchmark::DoNotOptimize(engine.decide(facts));
}

void tenth_rule(benchmark::State& state) { decide(state, Engine(ten("/index")), true); }
REMORA_BENCHMARK(tenth_rule);

void no_rule(benchmark::State& state) { decide(state, Engine(ten("/other")), false); }
REMORA_BENCHMARK(no_rule);

void exact_map(benchmark::State& state) {
  MatchTree tree;
  tree.leaves = {{"allow", Action::Allow}};
  MatchTree::ExactMap map;
  map.input = {Input::SourceIp, ""};
  for (int i = 1; i <= 100; ++i) map.outcomes.emplace("192.0.2." + std::to_string(i), 0u);
  tree.root.by = std::move(map);
  decide(state, Engine(std::move(tree)), true);
}
REMORA_BENCHMARK(exact_map);

}  // namespace
}  // namespace remora::policy

BENCHMARK_MAIN();
