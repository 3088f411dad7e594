// How metrics are tagged, selected and bucketed, as compiled from the bootstrap (stats_config,
// --stats-tag).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/stats/pattern.h"

namespace remora::stats {

struct StatsConfig {
  /// A tag taken out of metric names, or a fixed one on every metric.
  struct TagRule {
    enum class Kind : uint8_t {
      Regex,    // `value`: RE2; the first group is cut from the name, the second (or first) is the
                // tag's value
      Fixed,    // `value` itself
      Default,  // the built-in rule called `name`
    };
    std::string name;
    Kind kind = Kind::Default;
    std::string value;
  };
  /// Bucket bounds of histograms whose name matches; the first match counts.
  struct Buckets {
    StringPattern match;
    std::vector<double> bounds;  // ascending, each above 0
  };
  enum class Selection : uint8_t { All, None, Exclude, Include };

  bool use_all_default_tags = true;
  std::vector<TagRule> tags;
  Selection selection = Selection::All;
  std::vector<StringPattern> patterns;  // what Exclude and Include speak of
  std::vector<Buckets> buckets;
};

}  // namespace remora::stats
