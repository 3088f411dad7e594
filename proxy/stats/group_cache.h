// What the scrape remembers of a group between scrapes. Private to this room; main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/stats/histogram.h"
#include "proxy/stats/tags.h"

namespace remora::stats {

struct GroupCache {
  /// stats_matcher's answer for each metric of the schema, in the scrape's order; empty: none is
  /// shown.
  struct Selected {
    std::vector<bool> each;
  };
  std::optional<Selected> selected;
  /// Names with the bootstrap's own tag rules applied, by whole name.
  StringMap<TaggedName> tagged;

  /// Counters as of the last reset.
  std::vector<uint64_t> counter_zero;
  std::vector<std::tuple<uint8_t, uint16_t, uint64_t>> response_zero;  // scope, code, count

  struct Interval {
    HistogramSnapshot at_end;  // everything, when the last interval ended
    HistogramSnapshot last;    // the last interval alone
  };
  std::vector<Interval> intervals;  // per histogram; empty before the first interval
};

}  // namespace remora::stats
