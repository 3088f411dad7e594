#include "proxy/stats/pattern.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <re2/re2.h>

namespace remora::stats {

namespace {

std::string lower(std::string_view text) {
  return absl::AsciiStrToLower(absl::string_view(text.data(), text.size()));
}

}  // namespace

absl::StatusOr<StringPattern> StringPattern::make(Kind kind, std::string_view text,
                                                  bool ignore_case) {
  StringPattern pattern;
  pattern.kind_ = kind;
  if (kind == Kind::Regex) {
    auto regex =
        std::make_shared<re2::RE2>(re2::StringPiece(text.data(), text.size()), re2::RE2::Quiet);
    if (!regex->ok()) return absl::InvalidArgumentError(regex->error());
    pattern.regex_ = std::move(regex);
    return pattern;
  }
  pattern.ignore_case_ = ignore_case;
  pattern.text_ = ignore_case ? lower(text) : std::string(text);
  return pattern;
}

bool StringPattern::matches(std::string_view name) const {
  if (kind_ == Kind::Regex) {
    return re2::RE2::FullMatch(re2::StringPiece(name.data(), name.size()), *regex_);
  }
  std::string lowered;
  if (ignore_case_) {
    lowered = lower(name);
    name = lowered;
  }
  switch (kind_) {
    case Kind::Exact:
      return name == text_;
    case Kind::Prefix:
      return name.starts_with(text_);
    case Kind::Suffix:
      return name.ends_with(text_);
    case Kind::Contains:
      return name.find(text_) != std::string_view::npos;
    case Kind::Regex:
      break;
  }
  return false;
}

}  // namespace remora::stats
