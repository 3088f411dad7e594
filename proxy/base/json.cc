// A recursive descent as deep as kMaxJsonDepth.
#include "proxy/base/json.h"

#include <charconv>
#include <cstdint>
#include <string>
#include <utility>

#include "proxy/base/utf8.h"

namespace remora {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Reader {
 public:
  explicit Reader(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool whole(MetadataValue& out) {
    skip_space();
    if (!value(out, 0)) return false;
    skip_space();
    return at_ == end_;
  }

 private:
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
    while (more() && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
  }

  bool value(MetadataValue& out, size_t depth) {
    if (!more() || depth > kMaxJsonDepth) return false;
    switch (*at_) {
      case '{':
        return object(out, depth);
      case '[':
        return array(out, depth);
      case '"':
        return text_value(out);
      case 't':
        out = true;
        return take("true");
      case 'f':
        out = false;
        return take("false");
      case 'n':
        out = MetadataValue();
        return take("null");
      default:
        return number(out);
    }
  }

  bool object(MetadataValue& out, size_t depth) {
    MetadataStruct fields;
    ++at_;
    skip_space();
    if (!take('}')) {
      do {
        skip_space();
        std::string name;
        MetadataValue field;
        if (!string(name)) return false;
        skip_space();
        if (!take(':')) return false;
        skip_space();
        if (!value(field, depth + 1)) return false;
        if (!fields.try_emplace(std::move(name), std::move(field)).second) return false;
        skip_space();
      } while (take(','));
      if (!take('}')) return false;
    }
    out = std::move(fields);
    return true;
  }

  bool array(MetadataValue& out, size_t depth) {
    MetadataList list;
    ++at_;
    skip_space();
    if (!take(']')) {
      do {
        skip_space();
        if (!value(list.emplace_back(), depth + 1)) return false;
        skip_space();
      } while (take(','));
      if (!take(']')) return false;
    }
    out = std::move(list);
    return true;
  }

  bool text_value(MetadataValue& out) {
    std::string text;
    if (!string(text)) return false;
    out = std::move(text);
    return true;
  }

  bool digits() {
    const char* begin = at_;
    while (more() && is_digit(*at_)) ++at_;
    return at_ != begin;
  }

  bool number(MetadataValue& out) {
    const char* begin = at_;
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (!digits()) return false;
    }
    double number = 0;
    const auto [stop, error] = std::from_chars(begin, at_, number);
    if (error != std::errc() || stop != at_) return false;
    out = number;
    return true;
  }

  bool string(std::string& out) {
    if (!take('"')) return false;
    while (more()) {
      const auto c = static_cast<unsigned char>(*at_);
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c < 0x20) return false;
      if (c == '\\') {
        ++at_;
        if (!escape(out)) return false;
      } else if (c < 0x80) {
        out += *at_++;
      } else if (!multibyte(out)) {
        return false;
      }
    }
    return false;
  }

  bool escape(std::string& out) {
    if (!more()) return false;
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kBytes = "\"\\/\b\f\n\r\t";
    const char c = *at_++;
    if (c == 'u') return unicode(out);
    const size_t which = kNames.find(c);
    if (which == std::string_view::npos) return false;
    out += kBytes[which];
    return true;
  }

  bool four_hex(uint32_t& out) {
    if (end_ - at_ < 4) return false;
    const auto [stop, error] = std::from_chars(at_, at_ + 4, out, 16);
    if (error != std::errc() || stop != at_ + 4) return false;
    at_ += 4;
    return true;
  }

  // After "\u". Half a surrogate pair stands for nothing.
  bool unicode(std::string& out) {
    uint32_t point = 0;
    if (!four_hex(point)) return false;
    if (point >= 0xdc00 && point <= 0xdfff) return false;
    if (point >= 0xd800 && point <= 0xdbff) {
      uint32_t low = 0;
      if (!take("\\u") || !four_hex(low) || low < 0xdc00 || low > 0xdfff) return false;
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(point, out);
    return true;
  }

  static void append_utf8(uint32_t point, std::string& out) {
    const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (point >> shift & 0x3f)); };
    if (point < 0x80) {
      out += static_cast<char>(point);
    } else if (point < 0x800) {
      out += static_cast<char>(0xc0 | point >> 6);
      tail(0);
    } else if (point < 0x10000) {
      out += static_cast<char>(0xe0 | point >> 12);
      tail(6);
      tail(0);
    } else {
      out += static_cast<char>(0xf0 | point >> 18);
      tail(12);
      tail(6);
      tail(0);
    }
  }

  bool multibyte(std::string& out) {
    const size_t length = utf8_length({at_, static_cast<size_t>(end_ - at_)});
    if (length == 0) return false;
    out.append(at_, length);
    at_ += length;
    return true;
  }

  const char* at_;
  const char* end_;
};

}  // namespace

std::optional<MetadataValue> parse_json(std::string_view text) {
  MetadataValue out;
  if (!Reader(text).whole(out)) return std::nullopt;
  return out;
}

}  // namespace remora
