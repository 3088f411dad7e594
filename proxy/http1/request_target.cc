// Which form a target has and what it names. Any thread.
#include "proxy/http1/request_target.h"

#include <array>
#include <cstdint>

#include "proxy/http1/parser.h"

namespace remora::http1 {
namespace {

constexpr std::array<bool, 256> kAuthorityByte = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
  for (char c : std::string_view("!$%&'()*+,-.:;=@[]_~")) table[static_cast<uint8_t>(c)] = true;
  return table;
}();

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

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

/// "//host/.." would be another host to a reader that resolves it as a reference.
bool climbs_out_of_double_slash(std::string_view target) {
  if (!target.starts_with("//")) return false;
  const std::string_view path = target.substr(0, target.find('?'));
  for (size_t at = path.find("/.."); at != std::string_view::npos; at = path.find("/..", at + 1)) {
    if (at + 3 == path.size() || path[at + 3] == '/') return true;
  }
  return false;
}

bool has_host_and_port(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == authority.size()) return false;
  if (authority.size() - colon > 6) return false;
  for (const char c : authority.substr(colon + 1)) {
    if (c < '0' || c > '9') return false;
  }
  const std::string_view host = authority.substr(0, colon);
  const bool bracketed = host.front() == '[' && host.back() == ']';
  return bracketed || host.find_first_of(":[]@") == std::string_view::npos;
}

RequestTarget authority_form(std::string_view target) {
  if (!is_valid_authority(target) || !has_host_and_port(target)) {
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
    result.authority.remove_prefix(at + 1);  // user information is not for the next hop
    if (result.authority.find('@') != std::string_view::npos) return refuse(details::kInvalidUrl);
  }
  if (result.authority.empty() || result.authority.front() == ':') {
    return refuse(details::kInvalidUrl);
  }
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

bool is_valid_authority(std::string_view authority) {
  for (const char c : authority) {
    if (!kAuthorityByte[static_cast<uint8_t>(c)]) return false;
  }
  return true;
}

RequestTarget read_request_target(std::string_view method, std::string_view target,
                                  bool allow_absolute, Arena& arena) {
  if (method == "CONNECT") return authority_form(target);
  RequestTarget result;
  if (target.front() == '/') {
    if (climbs_out_of_double_slash(target)) return refuse(details::kInvalidUrl);
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
