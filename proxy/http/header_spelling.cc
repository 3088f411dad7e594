#include "proxy/http/header_spelling.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>

namespace remora::http {

void write_proper_case(std::string_view lower, char* out) {
  bool begins_word = true;
  for (const char c : lower) {
    const auto byte = static_cast<unsigned char>(c);
    *out++ = begins_word ? absl::ascii_toupper(byte) : c;
    begins_word = !absl::ascii_isalnum(byte);
  }
}

void HeaderSpelling::note(std::string_view original) {
  if (!find(original).empty()) return;
  Name* name = arena_.make<Name>(Name{arena_.copy(original), nullptr});
  (last_ == nullptr ? first_ : last_->next) = name;
  last_ = name;
}

std::string_view HeaderSpelling::find(std::string_view lower) const {
  const absl::string_view wanted(lower.data(), lower.size());
  for (const Name* name = first_; name != nullptr; name = name->next) {
    if (name->original.size() != lower.size()) continue;
    if (absl::EqualsIgnoreCase({name->original.data(), lower.size()}, wanted)) {
      return name->original;
    }
  }
  return {};
}

}  // namespace remora::http
