// JSON as Protobuf reads it, which is how Envoy reads it: besides RFC 8259 text may stand in single
// quotes and hold control characters, names that are identifiers need no quotes, and a comma may
// follow a last element. Any thread.
#pragma once

#include <absl/status/statusor.h>

#include <string_view>

#include "xds/translate/tree.h"

namespace remora::xds::translate {

/// `text`, which must be UTF-8 and outlive the tree. Refuses names that stand in an object twice,
/// and what is nested deeper than kMaxTreeDepth.
absl::StatusOr<Tree> parse_json_text(std::string_view text);

}  // namespace remora::xds::translate
