// For micro-benchmarks: REMORA_BENCHMARK(function) is BENCHMARK(function), but runs exactly as many
// times as REMORA_BENCH_ITERATIONS says when that is set, so that instructions can be counted (see
// tools/bench/micro.sh).
#pragma once

#include <benchmark/benchmark.h>

#include <cstdlib>

namespace remora::testing {

inline void counted(benchmark::internal::Benchmark* benchmark) {
  if (const char* iterations = std::getenv("REMORA_BENCH_ITERATIONS"))
    benchmark->Iterations(std::atoll(iterations));
}

}  // namespace remora::testing

#define REMORA_BENCHMARK(function) BENCHMARK(function)->Apply(&remora::testing::counted)
