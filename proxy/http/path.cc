// One pass per step over the path; the arena is touched only when something has to change. Any
// thread.
#include "proxy/http/path.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace remora::http {
namespace {

enum Treatment : uint8_t {
  kKeep,    // stands for itself, escaped or not: both forms are kept as they came
  kDecode,  // needs no escape: %XX becomes the byte
  kEscape,  // must not stand bare: becomes %XX
};

constexpr std::array<Treatment, 256> kTreatment = [] {
  std::array<Treatment, 256> table{};
  for (int c = 0; c < 256; ++c) {
    const bool alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (alphanumeric || c == '-' || c == '.' || c == '_' || c == '~') {
      table[c] = kDecode;
    } else if (c <= 0x20 || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '^' || c == '`' ||
               c == '{' || c == '|' || c == '}') {
      table[c] = kEscape;
    }
  }
  return table;
}();

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The byte that an escape at `at` stands for; -1 when there is none.
int escaped_byte(std::string_view path, size_t at) {
  if (path.size() - at < 3 || path[at] != '%') return -1;
  const int high = hex_digit(path[at + 1]);
  const int low = hex_digit(path[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/// How many bytes one dot takes at `at`, as "." or "%2e"; 0 when there is none.
size_t dot_at(std::string_view path, size_t at) {
  if (at >= path.size()) return 0;
  if (path[at] == '.') return 1;
  return escaped_byte(path, at) == '.' ? 3 : 0;
}

bool ends_segment(std::string_view path, size_t at) {
  return at == path.size() || path[at] == '/' || path[at] == '\\';
}

/// A segment that is one or two dots, perhaps with a ";parameter" that some readers ignore.
struct DotSegment {
  int dots = 0;    // 0: an ordinary segment
  size_t end = 0;  // where its separator (or the path's end) is
};

DotSegment dot_segment_at(std::string_view path, size_t at) {
  DotSegment found;
  size_t end = at;
  int dots = 0;
  while (dots < 2) {
    const size_t width = dot_at(path, end);
    if (width == 0) break;
    end += width;
    ++dots;
  }
  if (dots == 0) return found;
  if (end < path.size() && path[end] == ';') {
    end = path.find('/', end);
    if (end == std::string_view::npos) end = path.size();
  }
  if (ends_segment(path, end)) found = {dots, end};
  return found;
}

bool needs_normalizing(std::string_view path) {
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '%' || c == '\\' || kTreatment[static_cast<uint8_t>(c)] == kEscape) return true;
    if (c == '/' && dot_segment_at(path, i + 1).dots > 0) return true;
  }
  return false;
}

/// Writes a path whose segments are complete; knows how to take the last one back.
class PathWriter {
 public:
  explicit PathWriter(char* out) : begin_(out), at_(out) { *at_++ = '/'; }
  void put(char c) { *at_++ = c; }
  void put_escaped(uint8_t byte) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    *at_++ = '%';
    *at_++ = kDigits[byte >> 4];
    *at_++ = kDigits[byte & 15];
  }
  void put(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  /// Back to just after the slash that begins the segment before.
  void drop_segment() {
    if (at_ - begin_ == 1) return;
    --at_;
    while (at_[-1] != '/') --at_;
  }
  std::string_view finish(std::string_view query) {
    if (!query.empty()) put(query);
    return {begin_, static_cast<size_t>(at_ - begin_)};
  }

 private:
  char* begin_;
  char* at_;
};

/// Copies one ordinary segment from `at`; answers where it ends, npos when it holds an escaped NUL.
size_t copy_segment(std::string_view path, size_t at, PathWriter& out) {
  for (; !ends_segment(path, at); ++at) {
    const auto byte = static_cast<uint8_t>(path[at]);
    if (byte == '%') {
      const int escaped = escaped_byte(path, at);
      if (escaped == 0) return std::string_view::npos;
      if (escaped > 0) {
        if (kTreatment[escaped] == kDecode) {
          out.put(static_cast<char>(escaped));
        } else {
          out.put(path.substr(at, 3));
        }
        at += 2;
        continue;
      }
    }
    if (kTreatment[byte] == kEscape) {
      out.put_escaped(byte);
    } else {
      out.put(static_cast<char>(byte));
    }
  }
  return at;
}

}  // namespace

std::string_view path_without_query(std::string_view path_and_query) {
  return path_and_query.substr(0, path_and_query.find('?'));
}

bool has_fragment(std::string_view path_and_query) {
  return path_and_query.find('#') != std::string_view::npos;
}

NormalizedPath normalize_path(std::string_view path_and_query, Arena& arena) {
  NormalizedPath result{true, false, path_and_query};
  const std::string_view path = path_without_query(path_and_query);
  if (path.empty() || path[0] != '/') {
    result.ok = false;
    return result;
  }
  if (!needs_normalizing(path)) return result;
  const std::string_view query = path_and_query.substr(path.size());
  PathWriter out(static_cast<char*>(arena.allocate(path.size() * 3 + query.size() + 1, 1)));
  size_t at = 1;
  while (at < path.size()) {
    if (const DotSegment dots = dot_segment_at(path, at); dots.dots > 0) {
      if (dots.dots == 2) out.drop_segment();
      at = dots.end + 1;
      continue;
    }
    at = copy_segment(path, at, out);
    if (at == std::string_view::npos) {
      result.ok = false;
      return result;
    }
    if (at == path.size()) break;
    out.put('/');
    ++at;
  }
  result.path = out.finish(query);
  result.changed = result.path != path_and_query;
  return result;
}

NormalizedPath merge_slashes(std::string_view path_and_query, Arena& arena) {
  NormalizedPath result{true, false, path_and_query};
  const std::string_view path = path_without_query(path_and_query);
  if (path.find("//") == std::string_view::npos) return result;
  const std::string_view query = path_and_query.substr(path.size());
  char* out = static_cast<char*>(arena.allocate(path_and_query.size(), 1));
  char* at = out;
  for (const char c : path) {
    if (c != '/' || at == out || at[-1] != '/') *at++ = c;
  }
  if (!query.empty()) std::memcpy(at, query.data(), query.size());
  at += query.size();
  result.path = {out, static_cast<size_t>(at - out)};
  result.changed = true;
  return result;
}

bool has_escaped_slashes(std::string_view path_and_query) {
  const std::string_view path = path_without_query(path_and_query);
  for (size_t i = path.find('%'); i != std::string_view::npos; i = path.find('%', i + 1)) {
    const int byte = escaped_byte(path, i);
    if (byte == '/' || byte == '\\') return true;
  }
  return false;
}

NormalizedPath unescape_slashes(std::string_view path_and_query, Arena& arena) {
  NormalizedPath result{true, false, path_and_query};
  if (!has_escaped_slashes(path_and_query)) return result;
  const std::string_view path = path_without_query(path_and_query);
  const std::string_view query = path_and_query.substr(path.size());
  char* out = static_cast<char*>(arena.allocate(path_and_query.size(), 1));
  char* at = out;
  for (size_t i = 0; i < path.size(); ++i) {
    const int byte = escaped_byte(path, i);
    if (byte == '/' || byte == '\\') {
      *at++ = static_cast<char>(byte);
      i += 2;
    } else {
      *at++ = path[i];
    }
  }
  if (!query.empty()) std::memcpy(at, query.data(), query.size());
  at += query.size();
  result.path = {out, static_cast<size_t>(at - out)};
  result.changed = true;
  return result;
}

}  // namespace remora::http
