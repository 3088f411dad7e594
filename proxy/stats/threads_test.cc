// Workers count while the main thread scrapes; meant for the thread sanitizer as well.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "proxy/stats/names.h"
#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"

namespace remora::stats {
namespace {

constexpr uint32_t kWorkers = 4;
constexpr uint64_t kRounds = 20000;

uint64_t shown(Store& store, std::string_view name) {
  uint64_t value = 0;
  store.scrape([&](const Metric& metric) {
    if (metric.name == name)
      value = metric.kind == Kind::Histogram ? metric.histogram->count : metric.value;
  });
  return value;
}

TEST(Threads, NothingIsLostWhileTheMainThreadScrapes) {
  auto store = *Store::make({}, kWorkers);
  auto group = store->group<ClusterSchema>(cluster_prefix("a"));
  std::atomic<uint32_t> running{kWorkers};
  std::vector<std::thread> workers;
  for (uint32_t index = 0; index < kWorkers; ++index) {
    workers.emplace_back([&, index] {
      Slab<ClusterSchema>& slab = group->at(index);
      for (uint64_t i = 0; i < kRounds; ++i) {
        slab.inc(ClusterStat::upstream_rq_active);
        slab.inc(ClusterStat::upstream_rq_total);
        slab.count_response(ClusterScope::All, static_cast<uint16_t>(200 + i % 50));
        slab.record(ClusterHistogram::upstream_rq_time, i);
        slab.dec(ClusterStat::upstream_rq_active);
      }
      --running;
    });
  }
  uint64_t before = 0;
  while (running > 0) {
    uint64_t now = shown(*store, "cluster.a.upstream_rq_total");
    EXPECT_GE(now, before);
    before = now;
    store->end_interval();
  }
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(shown(*store, "cluster.a.upstream_rq_total"), kWorkers * kRounds);
  EXPECT_EQ(shown(*store, "cluster.a.upstream_rq_completed"), kWorkers * kRounds);
  EXPECT_EQ(shown(*store, "cluster.a.upstream_rq_time"), kWorkers * kRounds);
  EXPECT_EQ(shown(*store, "cluster.a.upstream_rq_active"), 0u);
}

TEST(Threads, TheLastReferenceMayGoOnAWorker) {
  auto store = *Store::make({}, 1);
  for (int round = 0; round < 500; ++round) {
    auto group = store->group<ClusterSchema>("cluster.a");
    std::thread worker([group = std::move(group)]() mutable {
      group->at(0).inc(ClusterStat::upstream_rq_total);
      group.reset();
    });
    auto again = store->group<ClusterSchema>("cluster.a");
    EXPECT_LE(shown(*store, "cluster.a.upstream_rq_total"), 1u);
    worker.join();
  }
}

}  // namespace
}  // namespace remora::stats
