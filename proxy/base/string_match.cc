#include "proxy/base/string_match.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <re2/re2.h>

#include <algorithm>

namespace remora {
namespace {

bool equal(std::string_view a, std::string_view b, bool ignore_case) {
  return ignore_case ? absl::EqualsIgnoreCase({a.data(), a.size()}, {b.data(), b.size()}) : a == b;
}

bool contains(std::string_view value, std::string_view part, bool ignore_case) {
  if (!ignore_case) return value.find(part) != std::string_view::npos;
  auto same = [](char a, char b) { return absl::ascii_tolower(a) == absl::ascii_tolower(b); };
  return part.empty() ||
         std::search(value.begin(), value.end(), part.begin(), part.end(), same) != value.end();
}

}  // namespace

bool StringMatch::matches(std::string_view value) const {
  switch (kind) {
    case Kind::Exact:
      return equal(value, text, ignore_case);
    case Kind::Prefix:
      return equal(value.substr(0, text.size()), text, ignore_case);
    case Kind::Suffix:
      return value.size() >= text.size() &&
             equal(value.substr(value.size() - text.size()), text, ignore_case);
    case Kind::Contains:
      return contains(value, text, ignore_case);
    case Kind::Regex:
      return re2::RE2::FullMatch(re2::StringPiece(value.data(), value.size()), *regex);
  }
  return false;
}

}  // namespace remora
