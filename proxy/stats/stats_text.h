// A scrape as /stats shows it: lines of text, or JSON. Main thread.
#pragma once

#include <string>

#include "proxy/stats/query.h"

namespace remora::stats {

/// Text readouts, then counters and gauges, then histograms; each sorted by name.
std::string stats_text(Store& store, const Query& query);
std::string stats_json(Store& store, const Query& query);

}  // namespace remora::stats
