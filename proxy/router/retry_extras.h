// The parts of a retry policy that few have. Immutable; shared by the workers. Document:
// envoy.config.route.v3.RetryPolicy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/metadata.h"
#include "proxy/router/route_table.h"

namespace remora::router {

/// A response header that says when to come again.
struct ResetHeader {
  std::string name;           // lower case
  bool is_unix_time = false;  // seconds since the epoch; otherwise from now on
};

struct RetryExtras {
  std::vector<HeaderMatch> retriable_headers;          // of responses; one suffices
  std::vector<HeaderMatch> retriable_request_headers;  // none: every request may be retried
  std::vector<ResetHeader> reset_headers;              // the first that a response has counts
  uint64_t reset_max_ms = 300'000;                     // a longer wait is not what they tell
  uint64_t per_try_idle_ms = 0;  // between two parts of an answer; 0: no bound
  bool avoids_canaries = false;
  std::vector<MetadataStruct> avoid_labels;  // of hosts: all of one of these
  uint32_t priority_update_frequency = 0;    // attempts, see PreviousPriorities; 0: not used

  bool empty() const {
    return retriable_headers.empty() && retriable_request_headers.empty() &&
           reset_headers.empty() && per_try_idle_ms == 0 && !avoids_canaries &&
           avoid_labels.empty() && priority_update_frequency == 0;
  }
};

}  // namespace remora::router
