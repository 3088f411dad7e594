// Field names with '_': some servers take it for '-', so that such a field could pass for one that
// was checked. Both codecs apply this to what clients send. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "proxy/http/header_map.h"

namespace remora::http {

/// Document: envoy.config.core.v3.HttpProtocolOptions.HeadersWithUnderscoresAction.
enum class Underscores : uint8_t { Allow, Reject, Drop };

/// Drops such fields from `map` and answers how many; nullopt: the message shall be refused.
std::optional<size_t> apply_underscores(Underscores action, HeaderMap& map);

}  // namespace remora::http
