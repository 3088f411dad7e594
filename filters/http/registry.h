// Registers every http filter that this binary has. Generated from the folders here; called once by
// main().
#pragma once

#include "proxy/http/filter_registry.h"

namespace remora {

void register_http_filters(http::FilterRegistry& registry);

}  // namespace remora
