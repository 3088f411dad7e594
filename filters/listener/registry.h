// Registers every listener filter that this binary has. Generated from the folders here; called
// once by main().
#pragma once

#include "proxy/net/filter_registry.h"

namespace remora {

void register_listener_filters(ListenerFilterRegistry& registry);

}  // namespace remora
