#include "xds/translate/uri_template.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <set>
#include <string>

namespace remora::xds::translate {
namespace {

constexpr size_t kMaxPatternBytes = 256;
constexpr size_t kMaxVariables = 5;
constexpr size_t kMaxNameBytes = 16;
// What a segment of a path may be made of (RFC 3986, pchar).
constexpr std::string_view kSegmentSymbols = "-._~%!$&'()+,;:@=*";
constexpr const char* kOneSegment = "[-a-zA-Z0-9._~%!$&'()+,;:@=*]+";
constexpr const char* kAnySegments = "[-a-zA-Z0-9._~%!$&'()+,;:@=*/]*";

class Compiler {
 public:
  explicit Compiler(std::string_view pattern) : rest_(pattern) {}

  absl::StatusOr<std::string> compile() {
    if (rest_.empty() || rest_.size() > kMaxPatternBytes) return error("must have 1 to 256 bytes");
    if (rest_.front() != '/') return error("must begin with '/'");
    take(1);
    out_ = "/";
    while (!rest_.empty()) {
      if (auto status = segment(); !status.ok()) return status;
      if (rest_.empty()) break;
      if (rest_.front() != '/') {
        if (auto status = literal(); !status.ok()) return status;
        return rest_.empty() ? absl::StatusOr<std::string>(out_)
                             : error("a wildcard with a suffix must be the last segment");
      }
      take(1);
      out_ += '/';
    }
    return out_;
  }

 private:
  static absl::Status error(std::string_view reason) {
    return absl::InvalidArgumentError(absl::string_view(reason.data(), reason.size()));
  }
  void take(size_t bytes) { rest_.remove_prefix(bytes); }

  absl::Status segment() {
    if (rest_.front() == '{') return variable();
    return rest_.front() == '*' ? wildcard() : literal();
  }

  absl::Status wildcard() {
    if (after_any_) return error("no wildcard may follow '**'");
    after_any_ = rest_.starts_with("**");
    out_ += after_any_ ? kAnySegments : kOneSegment;
    take(after_any_ ? 2 : 1);
    return absl::OkStatus();
  }

  absl::Status literal() {
    size_t bytes = 0;
    while (bytes < rest_.size() && rest_[bytes] != '/') {
      const char c = rest_[bytes++];
      const bool plain = absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                         (c != '*' && kSegmentSymbols.find(c) != std::string_view::npos);
      if (!plain) return error(absl::StrCat("'", std::string(1, c), "' is no part of a segment"));
    }
    if (bytes == 0) return error("an empty segment");
    out_ += re2::RE2::QuoteMeta(re2::StringPiece(rest_.data(), bytes));
    take(bytes);
    return absl::OkStatus();
  }

  absl::Status variable() {
    const size_t close = rest_.find('}');
    if (close == std::string_view::npos) return error("a '{' is not closed");
    const std::string_view inside = rest_.substr(1, close - 1);
    const std::string_view after = rest_.substr(close + 1);
    const size_t equals = inside.find('=');
    if (auto status = name(inside.substr(0, equals)); !status.ok()) return status;
    out_ += absl::StrCat("(?P<", *names_.find(inside.substr(0, equals)), ">");
    rest_ = equals == std::string_view::npos ? std::string_view("*") : inside.substr(equals + 1);
    if (rest_.empty()) return error("a variable's pattern is empty");
    while (!rest_.empty()) {
      if (auto status = rest_.front() == '*' ? wildcard() : literal(); !status.ok()) return status;
      if (rest_.empty()) break;
      if (rest_.front() != '/' || rest_.size() == 1) return error("a variable's pattern is wrong");
      take(1);
      out_ += '/';
    }
    out_ += ')';
    rest_ = after;
    return absl::OkStatus();
  }

  absl::Status name(std::string_view text) {
    if (text.empty() || text.size() > kMaxNameBytes ||
        !absl::ascii_isalpha(static_cast<unsigned char>(text.front()))) {
      return error("a variable's name has 1 to 16 characters and begins with a letter");
    }
    for (char c : text) {
      if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_') {
        return error("a variable's name has letters, digits and '_'");
      }
    }
    if (!names_.emplace(text).second) return error("a variable is there twice");
    return names_.size() > kMaxVariables ? error("has more than 5 variables") : absl::OkStatus();
  }

  std::string_view rest_;
  std::string out_;
  std::set<std::string, std::less<>> names_;
  bool after_any_ = false;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const re2::RE2>> uri_template(std::string_view pattern) {
  auto text = Compiler(pattern).compile();
  if (!text.ok()) return text.status();
  auto compiled = std::make_shared<re2::RE2>(*text, re2::RE2::Quiet);
  if (!compiled->ok()) return absl::InvalidArgumentError(compiled->error());
  return compiled;
}

absl::StatusOr<std::string> uri_template_rewrite(std::string_view rewrite, const re2::RE2& form) {
  const auto error = [](std::string_view reason) {
    return absl::InvalidArgumentError(absl::string_view(reason.data(), reason.size()));
  };
  if (rewrite.empty() || rewrite.size() > kMaxPatternBytes) {
    return error("must have 1 to 256 bytes");
  }
  if (rewrite.front() != '/') return error("must begin with '/'");
  const auto& variables = form.NamedCapturingGroups();
  std::string out;
  for (size_t at = 0; at < rewrite.size(); ++at) {
    const char c = rewrite[at];
    if (c == '{') {
      const size_t close = rewrite.find('}', at);
      if (close == std::string_view::npos) return error("a '{' is not closed");
      const auto found = variables.find(std::string(rewrite.substr(at + 1, close - at - 1)));
      if (found == variables.end()) return error("names a variable that the match does not have");
      out += absl::StrCat("\\", found->second);
      at = close;
      continue;
    }
    const bool plain = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '/' ||
                       kSegmentSymbols.find(c) != std::string_view::npos;
    if (!plain) return error(absl::StrCat("'", std::string(1, c), "' is no part of a path"));
    if (c == '/' && rewrite.substr(at, 2) == "//") return error("an empty segment");
    out += c;
  }
  return out;
}

}  // namespace remora::xds::translate
