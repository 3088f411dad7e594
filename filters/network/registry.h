// Registers every network filter that this binary has. Generated from the folders here; called once
// by main().
#pragma once

#include "proxy/net/filter_registry.h"

namespace remora {

void register_network_filters(NetworkFilterRegistry& registry);

}  // namespace remora
