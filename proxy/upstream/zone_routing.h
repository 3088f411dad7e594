// How much of a cluster's traffic stays in the zone of this proxy: as much as there is room for
// when all of the proxy's own cluster do the same, and the rest where others leave room. Pure
// functions of host counts; used by the list balancer. Any thread. Document: "Zone aware routing"
// of Envoy's load balancing pages.
#pragma once

#include <cstdint>
#include <vector>

#include "proxy/upstream/host_set.h"

namespace remora::upstream {

struct ZoneRouting {
  enum class Mode : uint8_t {
    Off,              // zones do not count
    OffTooSmall,      // for lack of upstream hosts
    OffLocalUnknown,  // the proxy's own cluster has no host in its zone: it is configured wrongly
    AllLocal,
    Spread,  // `local` of 10,000 stay here, the rest goes by `residual`
  };
  Mode mode = Mode::Off;
  uint32_t here = 0;  // index of the locality of this proxy
  uint64_t local = 0;
  /// By locality: room that is left there, added up.
  std::vector<uint64_t> residual;

  bool on() const { return mode == Mode::AllLocal || mode == Mode::Spread; }
};

/// `own`: the hosts of the cluster that this proxy is part of; `here`: its locality.
ZoneRouting compute_zone_routing(const PriorityHosts& upstream, const PriorityHosts& own,
                                 const Locality& here, uint64_t min_cluster_size);

}  // namespace remora::upstream
