// A condition on a value in metadata. An immutable value; any thread. Document:
// envoy.type.matcher.v3.MetadataMatcher.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "proxy/base/metadata.h"
#include "proxy/base/string_match.h"

namespace remora::router {

struct ValueMatch {
  struct Null {};
  struct Present {
    bool wanted = true;  // false never matches
  };
  struct Range {
    double start = 0, end = 0;  // [start, end)
  };
  struct OneOfList {
    std::vector<ValueMatch> element;  // one
  };
  struct Any {
    std::vector<ValueMatch> of;
  };

  std::variant<Null, Present, Range, double, bool, StringMatch, OneOfList, Any> is;

  /// Null: there is no value.
  bool matches(const MetadataValue* value) const;
};

/// The value below `filter` at `path`.
struct MetadataMatch {
  std::string filter;
  std::vector<std::string> path;
  ValueMatch value;
  bool invert = false;

  bool matches(const Metadata& metadata) const {
    return value.matches(metadata.find(filter, path)) != invert;
  }
};

}  // namespace remora::router
