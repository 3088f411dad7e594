// Which transport reaches a host, and what holds where nothing is said.
#include "proxy/upstream/cluster_config.h"

#include <algorithm>

#include "proxy/upstream/balancing_config.h"

namespace remora::upstream {

const BalancingConfig kPlainBalancing;

bool TransportMatch::matches(const TransportLabels& labels) const {
  return std::ranges::all_of(criteria, [&](const auto& criterion) {
    return std::ranges::any_of(labels, [&](const auto& label) {
      return label.first == criterion.first &&
             std::ranges::find(label.second, criterion.second) != label.second.end();
    });
  });
}

uint32_t ClusterConfig::transport_for(const TransportLabels& labels) const {
  for (size_t i = 0; i < transport_matches.size(); ++i) {
    if (transport_matches[i].matches(labels)) return static_cast<uint32_t>(i + 1);
  }
  return 0;
}

}  // namespace remora::upstream
