#include "proxy/http/target.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace remora::http {
namespace {

constexpr std::array<bool, 256> kAuthorityByte = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
  for (char c : std::string_view("!$%&'()*+,-.:;=@[]_~")) table[static_cast<uint8_t>(c)] = true;
  return table;
}();

}  // namespace

bool is_valid_authority(std::string_view authority) {
  return std::ranges::all_of(authority,
                             [](char c) { return kAuthorityByte[static_cast<uint8_t>(c)]; });
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

bool is_visible_ascii(std::string_view path) {
  return std::ranges::all_of(path, [](char c) { return c > ' ' && c < 0x7f; });
}

bool climbs_out_of_double_slash(std::string_view path) {
  if (!path.starts_with("//")) return false;
  path = path.substr(0, path.find('?'));
  for (size_t at = path.find("/.."); at != std::string_view::npos; at = path.find("/..", at + 1)) {
    if (at + 3 == path.size() || path[at + 3] == '/') return true;
  }
  return false;
}

}  // namespace remora::http
