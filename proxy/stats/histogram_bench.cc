// The cost of a value recorded, and of a scrape's share: merged, and its quantiles.
#include "proxy/base/bench.h"
#include "proxy/stats/histogram.h"

namespace remora::stats {
namespace {

void record(benchmark::State& state) {
  HistogramCells cells(HistogramBounds::defaults());
  uint64_t value = 0;
  for (auto _ : state) cells.record(value++ % 100);
}
REMORA_BENCHMARK(record);

void merge_and_quantiles(benchmark::State& state) {
  HistogramCells cells(HistogramBounds::defaults());
  for (uint64_t value = 0; value < 100; ++value) cells.record(value);
  for (auto _ : state) {
    HistogramSnapshot snapshot;
    cells.merge_into(snapshot);
    for (const double percent : kQuantiles) benchmark::DoNotOptimize(snapshot.quantile(percent));
  }
}
REMORA_BENCHMARK(merge_and_quantiles);

}  // namespace
}  // namespace remora::stats

BENCHMARK_MAIN();
