// A recursive descent as deep as kMaxTreeDepth.
#include "xds/translate/json_text.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace remora::xds::translate {
namespace {

using Kind = TreeNode::Kind;

class Reader {
 public:
  Reader(std::string_view text, Tree* tree)
      : begin_(text.data()), at_(begin_), end_(begin_ + text.size()), tree_(*tree) {}

  absl::Status read() {
    skip_space();
    if (!value(&tree_.root(), 0)) return said();
    skip_space();
    if (at_ != end_) fail("nothing may follow");
    return reason_.empty() ? absl::OkStatus() : said();
  }

 private:
  bool fail(std::string reason) {
    reason_ = std::move(reason);
    return false;
  }

  absl::Status said() const {
    const auto lines = std::count(begin_, at_, '\n');
    const char* line = at_;
    while (line != begin_ && line[-1] != '\n') --line;
    return absl::InvalidArgumentError(
        absl::StrCat("line ", lines + 1, ", column ", at_ - line + 1, ": ", reason_));
  }

  bool more() const { return at_ != end_; }
  bool take(char c) {
    if (!more() || *at_ != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (!std::string_view(at_, static_cast<size_t>(end_ - at_)).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void skip_space() {
    while (more() && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }

  // Leaves the name of `out` alone.
  bool value(TreeNode* out, int depth) {
    if (depth > kMaxTreeDepth) return fail("is nested too deeply");
    switch (more() ? *at_ : '\0') {
      case '{':
        return object(out, depth);
      case '[':
        return list(out, depth);
      case '"':
      case '\'':
        out->kind = Kind::Text;
        return string(&out->text);
      default:
        return word(out) || number(out);
    }
  }

  bool word(TreeNode* out) {
    if (take("null")) {
      out->kind = Kind::Null;
      return true;
    }
    out->truth = take("true");
    if (!out->truth && !take("false")) return false;
    out->kind = Kind::Bool;
    return true;
  }

  // Children wait in `open_` until all of them are there.
  bool object(TreeNode* out, int depth) {
    const size_t first = open_.size();
    ++at_;
    skip_space();
    while (!take('}')) {
      TreeNode member;
      if (!member_name(&member.name)) return false;
      skip_space();
      if (!take(':')) return fail("expected ':' after a name");
      skip_space();
      if (!value(&member, depth + 1)) return false;
      open_.push_back(member);
      skip_space();
      if (take('}')) break;
      if (!take(',')) return fail("expected ',' or '}'");
      skip_space();
    }
    if (const TreeNode* twice = tree_.set_object(opened(first), out)) return duplicate(*twice);
    open_.resize(first);
    return true;
  }

  // Behind a node of the same name. What is said is where the later one stands, if it is in the
  // text as it is.
  bool duplicate(const TreeNode& node) {
    const char* place = begin_;
    for (const TreeNode* same : {&node - 1, &node}) {
      const char* start = same->name.data();
      if (start > place && start < end_) place = start;
    }
    if (place != begin_) at_ = place;
    return fail("duplicate key '" + std::string(node.name) + "'");
  }

  bool list(TreeNode* out, int depth) {
    const size_t first = open_.size();
    ++at_;
    skip_space();
    while (!take(']')) {
      TreeNode item;
      if (!value(&item, depth + 1)) return false;
      open_.push_back(item);
      skip_space();
      if (take(']')) break;
      if (!take(',')) return fail("expected ',' or ']'");
      skip_space();
    }
    tree_.set_list(opened(first), out);
    open_.resize(first);
    return true;
  }

  std::span<TreeNode> opened(size_t first) { return std::span(open_).subspan(first); }

  bool member_name(std::string_view* out) {
    if (more() && (*at_ == '"' || *at_ == '\'')) return string(out);
    const char* begin = at_;
    while (more() && (absl::ascii_isalnum(static_cast<unsigned char>(*at_)) || *at_ == '_')) ++at_;
    *out = {begin, static_cast<size_t>(at_ - begin)};
    if (out->empty() || absl::ascii_isdigit(static_cast<unsigned char>(*begin)) || *out == "null" ||
        *out == "true" || *out == "false") {
      at_ = begin;
      return fail("expected a name or '}'");
    }
    return true;
  }

  bool digits() {
    const char* begin = at_;
    while (more() && absl::ascii_isdigit(static_cast<unsigned char>(*at_))) ++at_;
    return at_ != begin;
  }

  bool number(TreeNode* out) {
    const char* begin = at_;
    take('-');
    const bool whole = take('0') || digits();
    if (at_ == begin) return fail("expected a value");
    bool good = whole && (!take('.') || digits());
    if (good && (take('e') || take('E'))) {
      if (!take('+')) take('-');
      good = digits();
    }
    if (!good) return fail("is no number");
    out->kind = Kind::Number;
    out->text = {begin, static_cast<size_t>(at_ - begin)};
    return true;
  }

  // What holds no escapes stays where it is.
  bool string(std::string_view* out) {
    const char quote = *at_++;
    const char* begin = at_;
    while (more() && *at_ != quote && *at_ != '\\') ++at_;
    if (take(quote)) {
      *out = {begin, static_cast<size_t>(at_ - begin - 1)};
      return true;
    }
    std::string unescaped(begin, at_);
    while (!take(quote)) {
      if (!more()) return fail("text does not end");
      if (!take('\\')) {
        unescaped += *at_++;
      } else if (!escape(&unescaped)) {
        return false;
      }
    }
    *out = tree_.keep(unescaped);
    return true;
  }

  bool escape(std::string* out) {
    constexpr std::string_view kNames = "\"'\\/bfnrt";
    constexpr std::string_view kBytes = "\"'\\/\b\f\n\r\t";
    if (take('u')) return unicode(out);
    const size_t which = more() ? kNames.find(*at_) : std::string_view::npos;
    if (which == std::string_view::npos) return fail("unknown escape");
    ++at_;
    *out += kBytes[which];
    return true;
  }

  bool four_hex(uint32_t* out) {
    if (end_ - at_ < 4) return false;
    const auto [stop, error] = std::from_chars(at_, at_ + 4, *out, 16);
    if (error != std::errc() || stop != at_ + 4) return false;
    at_ += 4;
    return true;
  }

  // After "\u". Half a surrogate pair stands for nothing.
  bool unicode(std::string* out) {
    uint32_t point = 0;
    if (!four_hex(&point)) return fail("expected four hexadecimal digits");
    if (point >= 0xd800 && point <= 0xdfff) {
      uint32_t low = 0;
      if (point > 0xdbff || !take("\\u") || !four_hex(&low) || low < 0xdc00 || low > 0xdfff) {
        return fail("half a surrogate pair");
      }
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(point, out);
    return true;
  }

  static void append_utf8(uint32_t point, std::string* out) {
    const auto put = [out](uint32_t byte) { *out += static_cast<char>(byte); };
    if (point < 0x80) return put(point);
    const int tail = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    put((0xff00u >> (tail + 1) & 0xff) | point >> (6 * tail));
    for (int i = tail - 1; i >= 0; --i) put(0x80 | (point >> (6 * i) & 0x3f));
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  Tree& tree_;
  std::vector<TreeNode> open_;
  std::string reason_;
};

}  // namespace

absl::StatusOr<Tree> parse_json_text(std::string_view text) {
  Tree tree;
  if (absl::Status status = Reader(text, &tree).read(); !status.ok()) return status;
  return tree;
}

}  // namespace remora::xds::translate
