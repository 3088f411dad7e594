// See the header.
#include "filters/listener/http_inspector/first_line.h"

#include <absl/strings/ascii.h>

#include <algorithm>

namespace remora::filters {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

bool is_space(char c) { return static_cast<unsigned char>(c) <= ' '; }
bool is_visible(char c) { return c > ' ' && c < 0x7f; }
bool is_alpha(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_token(char c) {
  return is_alpha(c) || is_digit(c) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string_view take_word(std::string_view& line) {
  const auto end = std::find_if(line.begin(), line.end(), is_space);
  const std::string_view word = line.substr(0, static_cast<size_t>(end - line.begin()));
  line.remove_prefix(word.size());
  while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
  return word;
}

bool is_target(std::string_view target, std::string_view method) {
  if (target.empty() || !std::all_of(target.begin(), target.end(), is_visible)) return false;
  if (target.front() == '/' || target.front() == '*' || method == "CONNECT") return true;
  const std::string_view scheme = target.substr(0, target.find("://"));
  return scheme.size() < target.size() && is_alpha(target.front()) &&
         std::all_of(scheme.begin(), scheme.end(), [](char c) {
           return is_alpha(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
         });
}

/// What stands in a line up to its line feed.
FirstLineReader::Result judge(std::string_view line) {
  using Result = FirstLineReader::Result;
  while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
  const std::string_view method = take_word(line);
  const std::string_view target = take_word(line);
  const std::string_view version = line;
  if (method.empty() || !is_target(target, method)) return Result::NotHttp;
  if (version.empty()) return Result::Http10;  // HTTP/0.9 had none
  const bool well_formed = version.size() == 8 && version.starts_with("HTTP/") &&
                           is_digit(version[5]) && version[6] == '.' && is_digit(version[7]);
  if (!well_formed) return Result::NotHttp;
  return version == "HTTP/1.1" ? Result::Http11 : Result::Http10;
}

}  // namespace

FirstLineReader::Result FirstLineReader::read(std::string_view bytes) {
  if (bytes.starts_with(kPreface)) return Result::Http2;
  if (kPreface.starts_with(bytes)) return Result::NeedMore;
  if (!method_goes_on(bytes)) return Result::NotHttp;
  const size_t end = bytes.find('\n', scanned_);
  scanned_ = bytes.size();
  return end == std::string_view::npos ? Result::NeedMore : judge(bytes.substr(0, end));
}

/// What cannot be a method is not HTTP, however long its first line may become.
bool FirstLineReader::method_goes_on(std::string_view bytes) {
  while (!method_ended_ && method_bytes_ < bytes.size()) {
    const char c = bytes[method_bytes_];
    if (is_space(c)) {
      method_ended_ = true;
    } else if (!is_token(c)) {
      return false;
    } else {
      ++method_bytes_;
    }
  }
  return method_bytes_ > 0;
}

}  // namespace remora::filters
