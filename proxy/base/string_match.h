// One condition on a string: exact, prefix, suffix, contains or a regular expression. An immutable
// value; any thread. Document: envoy.type.matcher.v3.StringMatcher.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace remora {

struct StringMatch {
  enum class Kind : uint8_t { Exact, Prefix, Suffix, Contains, Regex };
  Kind kind = Kind::Exact;
  std::string text;  // lower-cased when ignore_case
  bool ignore_case = false;
  std::shared_ptr<const re2::RE2> regex;  // full match
  bool matches(std::string_view value) const;
};

}  // namespace remora
