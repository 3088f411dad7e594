// In which order the addresses of one host are tried. Pure functions; any thread. Document:
// envoy.config.cluster.v3.UpstreamConnectionOptions.HappyEyeballsConfig.
#pragma once

#include <cstdint>
#include <vector>

#include "proxy/net/address.h"
#include "proxy/upstream/cluster_config.h"

namespace remora::upstream {

struct AddressOrder {
  Address::Family first = Address::Family::None;  // None: that of the endpoint's own address
  uint32_t first_count = 1;                       // so many of it, then one of the others, again
};

/// All addresses of `endpoint`, the first to be tried first.
std::vector<Address> addresses_in_order(const EndpointConfig& endpoint, const AddressOrder& order);

}  // namespace remora::upstream
