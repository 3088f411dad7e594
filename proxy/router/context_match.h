// The conditions of a route that ask for more than path and plain headers: cookies, what filters
// have left, and what the client's certificate has proved. Immutable values; any thread.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "proxy/base/string_match.h"
#include "proxy/http/header_map.h"
#include "proxy/http/stream_info.h"
#include "proxy/net/address.h"
#include "proxy/router/value_match.h"

namespace remora::router {

struct CookieMatch {
  std::string name;
  StringMatch value;
  bool invert = false;
};

/// Document: envoy.type.matcher.v3.FilterStateMatcher.
struct FilterStateMatch {
  struct InRanges {
    std::vector<CidrRange> ranges;
    bool invert = false;
  };
  std::string key;
  std::variant<StringMatch, InRanges> match;

  /// Null: there is no such object.
  bool matches(const std::string* value) const;
};

struct ContextMatch {
  std::vector<CookieMatch> cookies;
  std::vector<MetadataMatch> metadata;
  std::vector<FilterStateMatch> filter_state;
  std::optional<bool> certificate_presented, certificate_validated;

  bool matches(const http::HeaderMap& request, const http::StreamInfo& info) const;
};

}  // namespace remora::router
