// Which form a target has and what it names. Any thread.
#include "proxy/http1/request_target.h"

#include <cstdint>

#include "proxy/http/target.h"
#include "proxy/http1/parser.h"

namespace remora::http1 {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex_digit(char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

bool is_scheme(std::string_view text, std::string_view lower_case) {
  if (text.size() != lower_case.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] | 0x20) != lower_case[i]) return false;
  }
  return true;
}

RequestTarget refuse(std::string_view detail) {
  RequestTarget target;
  target.error_detail = detail;
  return target;
}

bool is_port(std::string_view text) {
  constexpr uint32_t kMaxPort = 65535;
  uint32_t port = 0;
  for (const char c : text) {
    if (!is_digit(c)) return false;
    port = port * 10 + static_cast<uint32_t>(c - '0');
    if (port > kMaxPort) return false;
  }
  return !text.empty();
}

/// A name or an address, perhaps with a port: narrower than a Host field, as what a target names
/// replaces it. No zones, which mean nothing to anybody else.
bool is_plain_host(std::string_view authority) {
  size_t end = 0;
  const bool bracketed = authority.starts_with('[');
  if (bracketed) {
    end = 1;
    while (end < authority.size() &&
           (is_hex_digit(authority[end]) || authority[end] == ':' || authority[end] == '.')) {
      ++end;
    }
    if (end == 1 || end == authority.size() || authority[end] != ']') return false;
    ++end;
  } else {
    while (end < authority.size() && (is_letter(authority[end]) || is_digit(authority[end]) ||
                                      authority[end] == '.' || authority[end] == '-')) {
      ++end;
    }
    if (end == 0) return false;
  }
  const std::string_view rest = authority.substr(end);
  return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
}

RequestTarget authority_form(std::string_view target) {
  if (!http::is_valid_authority(target) || !http::has_host_and_port(target)) {
    return refuse(details::kInvalidUrl);
  }
  RequestTarget result;
  result.authority = target;
  return result;
}

RequestTarget absolute_form(std::string_view target, Arena& arena) {
  size_t letters = 0;
  while (letters < target.size() && is_letter(target[letters])) ++letters;
  if (letters == 0 || target.substr(letters, 3) != "://") return refuse(details::kCodecError);
  RequestTarget result;
  const std::string_view scheme = target.substr(0, letters);
  if (is_scheme(scheme, "http")) {
    result.scheme = "http";
  } else if (is_scheme(scheme, "https")) {
    result.scheme = "https";
  } else {
    return refuse(details::kInvalidScheme);
  }
  const std::string_view rest = target.substr(letters + 3);
  const size_t end = rest.find_first_of("/?#");
  result.authority = rest.substr(0, end);
  if (const size_t at = result.authority.find('@'); at != std::string_view::npos) {
    const std::string_view user = result.authority.substr(0, at);
    if (!http::is_valid_authority(user) || user.find_first_of("[]") != std::string_view::npos) {
      return refuse(details::kInvalidUrl);
    }
    result.authority.remove_prefix(at + 1);  // user information is not for the next hop
  }
  if (!is_plain_host(result.authority)) return refuse(details::kInvalidUrl);
  const std::string_view path =
      end == std::string_view::npos ? std::string_view() : rest.substr(end);
  if (path.empty()) {
    result.path = "/";
  } else {
    result.path = path.front() == '/' ? path : arena.join("/", path);
  }
  return result;
}

}  // namespace

RequestTarget read_request_target(std::string_view method, std::string_view target,
                                  bool allow_absolute, Arena& arena) {
  if (method == "CONNECT") return authority_form(target);
  RequestTarget result;
  if (target.front() == '/') {
    if (http::climbs_out_of_double_slash(target)) return refuse(details::kInvalidUrl);
    result.path = target;
    return result;
  }
  if (target.front() == '*') {
    if (target.size() != 1 || method != "OPTIONS") return refuse(details::kInvalidUrl);
    result.path = target;
    return result;
  }
  RequestTarget absolute = absolute_form(target, arena);
  if (allow_absolute || !absolute.error_detail.empty()) return absolute;
  result.path = target;
  return result;
}

}  // namespace remora::http1
