// Which metrics an admin request asks for: the parameters of /stats. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/stats/store.h"

namespace re2 {
class RE2;
}

namespace remora::stats {

enum class Format : uint8_t { Text, Json, Prometheus };
/// How /stats shows a histogram.
enum class HistogramStyle : uint8_t { Quantiles, Cumulative, Disjoint };

struct Query {
  Format format = Format::Text;
  bool used_only = false;
  bool invert_filter = false;
  std::shared_ptr<const re2::RE2> filter;  // null: all; otherwise a part of the name must match
  enum class Type : uint8_t { All, Counters, Gauges, Histograms, TextReadouts } type = Type::All;
  HistogramStyle histograms = HistogramStyle::Quantiles;

  /// From decoded URL parameters (usedonly, filter, invert_filter, format, type,
  /// histogram_buckets); others are ignored. The error's message is the body of the 400 answer.
  static absl::StatusOr<Query> parse(
      std::span<const std::pair<std::string, std::string>> parameters);
  bool wants(const Metric& metric) const;
  Store::Show show() const { return used_only ? Store::Show::Used : Store::Show::All; }
};

/// The answer to /stats in the format asked for.
std::string render(Store& store, const Query& query);
/// Its content-type.
std::string_view content_type(Format format);

}  // namespace remora::stats
