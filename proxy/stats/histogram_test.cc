#include "proxy/stats/histogram.h"

#include <gtest/gtest.h>

#include <cmath>

namespace remora::stats {
namespace {

HistogramSnapshot snapshot_of(std::initializer_list<uint64_t> values) {
  HistogramCells cells(HistogramBounds::defaults());
  for (uint64_t value : values) cells.record(value);
  HistogramSnapshot snapshot;
  cells.merge_into(snapshot);
  return snapshot;
}

TEST(Histogram, AValueOnABoundBelongsToItsBucket) {
  HistogramBounds bounds({0.5, 1, 5});
  EXPECT_EQ(bounds.bucket_of(0), 0u);
  EXPECT_EQ(bounds.bucket_of(1), 1u);
  EXPECT_EQ(bounds.bucket_of(2), 2u);
  EXPECT_EQ(bounds.bucket_of(5), 2u);
  EXPECT_EQ(bounds.bucket_of(6), 3u);
}

TEST(Histogram, CountsSumsAndExtremesAreExact) {
  HistogramSnapshot snapshot = snapshot_of({3, 0, 700, 4000000});
  EXPECT_EQ(snapshot.count, 4u);
  EXPECT_EQ(snapshot.sum, 4000703u);
  EXPECT_EQ(snapshot.min, 0u);
  EXPECT_EQ(snapshot.max, 4000000u);
  EXPECT_EQ(snapshot.cumulative(0), 1u);
  EXPECT_EQ(snapshot.cumulative(2), 2u);
  EXPECT_EQ(snapshot.cumulative(9), 3u);
  EXPECT_EQ(snapshot.cumulative(snapshot.counts.size() - 1), 4u);
}

TEST(Histogram, ThreadsPartsAreMerged) {
  HistogramCells a(HistogramBounds::defaults()), b(HistogramBounds::defaults());
  a.record(2);
  b.record(20);
  HistogramSnapshot snapshot;
  a.merge_into(snapshot);
  b.merge_into(snapshot);
  EXPECT_EQ(snapshot.count, 2u);
  EXPECT_EQ(snapshot.sum, 22u);
  EXPECT_EQ(snapshot.min, 2u);
  EXPECT_EQ(snapshot.max, 20u);
}

TEST(Histogram, QuantilesOfNothingAreNotNumbers) {
  EXPECT_TRUE(std::isnan(HistogramSnapshot().quantile(50)));
}

TEST(Histogram, QuantilesOfOneValueAreThatValue) {
  HistogramSnapshot snapshot = snapshot_of({37});
  for (double q : kQuantiles) EXPECT_EQ(snapshot.quantile(q), 37) << q;
}

TEST(Histogram, QuantilesLieInTheirBucketAndGrow) {
  HistogramSnapshot snapshot = snapshot_of({1, 2, 3, 30, 40, 2000});
  EXPECT_EQ(snapshot.quantile(0), 1);
  EXPECT_EQ(snapshot.quantile(100), 2000);
  EXPECT_GT(snapshot.quantile(50), 1);
  EXPECT_LE(snapshot.quantile(50), 5);
  double before = 0;
  for (double q : kQuantiles) {
    EXPECT_GE(snapshot.quantile(q), before) << q;
    before = snapshot.quantile(q);
  }
}

}  // namespace
}  // namespace remora::stats
