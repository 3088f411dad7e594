#include "proxy/stats/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace remora::stats {

HistogramBounds::HistogramBounds(std::vector<double> bounds) : bounds_(std::move(bounds)) {
  whole_.reserve(bounds_.size());
  for (double bound : bounds_) whole_.push_back(static_cast<uint64_t>(bound));
}

std::shared_ptr<const HistogramBounds> HistogramBounds::defaults() {
  return std::make_shared<HistogramBounds>(
      std::vector<double>(std::begin(kDefaultBounds), std::end(kDefaultBounds)));
}

double HistogramSnapshot::quantile(double percent) const {
  if (count == 0) return std::numeric_limits<double>::quiet_NaN();
  if (percent >= 100) return static_cast<double>(max);
  const double rank = percent / 100 * static_cast<double>(count);
  double below = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double here = static_cast<double>(counts[i]);
    if (here == 0 || below + here < rank) {
      below += here;
      continue;
    }
    // What is known of the bucket's values: its bounds, and the extremes of all.
    double low = i == 0 ? 0 : bounds->bounds()[i - 1];
    double high = i < bounds->bounds().size() ? bounds->bounds()[i] : static_cast<double>(max);
    low = std::max(low, static_cast<double>(min));
    high = std::max(low, std::min(high, static_cast<double>(max)));
    return low + (high - low) * std::max(0.0, rank - below) / here;
  }
  return static_cast<double>(max);
}

uint64_t HistogramSnapshot::cumulative(size_t i) const {
  uint64_t total = 0;
  for (size_t at = 0; at <= i && at < counts.size(); ++at) total += counts[at];
  return total;
}

HistogramCells::HistogramCells(std::shared_ptr<const HistogramBounds> bounds)
    : bounds_(std::move(bounds)), counts_(std::make_unique<Cell[]>(bounds_->buckets())) {
  min_.set(std::numeric_limits<uint64_t>::max());
}

void HistogramCells::merge_into(HistogramSnapshot& snapshot) const {
  if (snapshot.counts.empty()) {
    snapshot.bounds = bounds_;
    snapshot.counts.resize(bounds_->buckets());
    snapshot.min = std::numeric_limits<uint64_t>::max();
  }
  for (size_t i = 0; i < snapshot.counts.size(); ++i) {
    uint64_t n = counts_[i].value();
    snapshot.counts[i] += n;
    snapshot.count += n;
  }
  snapshot.sum += sum_.value();
  snapshot.min = std::min(snapshot.min, min_.value());
  snapshot.max = std::max(snapshot.max, max_.value());
}

}  // namespace remora::stats
