// Reads JSON that comes from outside into plain values: strict RFC 8259, bounded, and nothing that
// two readers could read differently. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "proxy/base/metadata.h"

namespace remora {

inline constexpr size_t kMaxJsonDepth = 32;

/// The one value that `text` is. Nothing for text that is no JSON, repeats a name within an object,
/// is no UTF-8, nests deeper than kMaxJsonDepth, or holds a number that a double cannot. The caller
/// bounds the size.
std::optional<MetadataValue> parse_json(std::string_view text);

}  // namespace remora
