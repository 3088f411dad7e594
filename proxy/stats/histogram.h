// Distributions of whole numbers (milliseconds, bytes, counts) in fixed buckets. A thread records
// into its own HistogramCells; the main thread merges them into a HistogramSnapshot at scrape.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "proxy/stats/counter.h"

namespace remora::stats {

/// Envoy's default bucket bounds.
inline constexpr double kDefaultBounds[] = {0.5,   1,      5,      10,      25,     50,    100,
                                            250,   500,    1000,   2500,    5000,   10000, 30000,
                                            60000, 300000, 600000, 1800000, 3600000};

/// The quantiles that /stats shows, in percent.
inline constexpr double kQuantiles[] = {0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100};

/// Upper bounds of buckets, ascending; one more bucket holds what lies above the last. Immutable.
class HistogramBounds {
 public:
  /// `bounds` must be sorted, without repetition.
  explicit HistogramBounds(std::vector<double> bounds);
  static std::shared_ptr<const HistogramBounds> defaults();

  const std::vector<double>& bounds() const { return bounds_; }
  size_t buckets() const { return bounds_.size() + 1; }
  /// The bucket of `value`: the first whose bound is not below it.
  size_t bucket_of(uint64_t value) const {
    size_t at = 0;
    while (at < whole_.size() && value > whole_[at]) ++at;
    return at;
  }

 private:
  std::vector<double> bounds_;
  std::vector<uint64_t> whole_;  // bounds rounded down: the comparison in whole numbers is the same
};

/// What was recorded, merged over threads; a plain value.
struct HistogramSnapshot {
  std::shared_ptr<const HistogramBounds> bounds;
  std::vector<uint64_t>
      counts;  // per bucket, the last one above all bounds; empty: nothing recorded
  uint64_t count = 0;
  uint64_t sum = 0;
  uint64_t min = 0, max = 0;  // of everything ever recorded

  /// The value below which `percent` of the recorded ones lie, interpolated within its bucket. NaN
  /// when empty.
  double quantile(double percent) const;
  /// How many were recorded at or below bounds[i].
  uint64_t cumulative(size_t i) const;
};

/// One thread's record.
class HistogramCells {
 public:
  explicit HistogramCells(std::shared_ptr<const HistogramBounds> bounds);
  void record(uint64_t value) {
    counts_[bounds_->bucket_of(value)].add(1);
    sum_.add(value);
    if (value < min_.value()) min_.set(value);
    if (value > max_.value()) max_.set(value);
  }
  void merge_into(HistogramSnapshot& snapshot) const;

 private:
  std::shared_ptr<const HistogramBounds> bounds_;
  Cell sum_, min_, max_;
  std::unique_ptr<Cell[]> counts_;
};

}  // namespace remora::stats
