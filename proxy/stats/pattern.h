// A string matcher for metric names, compiled once. Immutable; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace remora::stats {

class StringPattern {
 public:
  enum class Kind : uint8_t { Exact, Prefix, Suffix, Contains, Regex };

  StringPattern() = default;  // matches only the empty string
  /// A regular expression must match the whole name, as xDS's safe_regex does. `ignore_case` does
  /// not concern it.
  static absl::StatusOr<StringPattern> make(Kind kind, std::string_view text,
                                            bool ignore_case = false);

  bool matches(std::string_view name) const;

 private:
  Kind kind_ = Kind::Exact;
  bool ignore_case_ = false;
  std::string text_;  // lower case if ignore_case_
  std::shared_ptr<const re2::RE2> regex_;
};

}  // namespace remora::stats
