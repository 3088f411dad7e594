#include "proxy/http/upgrade.h"

#include <algorithm>

namespace remora::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool is_blank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

bool same_protocol(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

bool names_upgrade(std::string_view connection) {
  while (!connection.empty()) {
    const size_t comma = std::min(connection.find(','), connection.size());
    std::string_view option = connection.substr(0, comma);
    connection.remove_prefix(std::min(comma + 1, connection.size()));
    while (!option.empty() && is_blank(option.front())) option.remove_prefix(1);
    while (!option.empty() && is_blank(option.back())) option.remove_suffix(1);
    if (same_protocol(option, "upgrade")) return true;
  }
  return false;
}

std::string_view wanted_upgrade(const HeaderMap& request) {
  if (!request.has(HeaderId::Upgrade) || !request.has(HeaderId::Connection)) return {};
  for (const HeaderEntry& entry : request.entries()) {
    if (entry.removed || entry.id != HeaderId::Connection) continue;
    if (names_upgrade(entry.value)) return request.get(HeaderId::Upgrade);
  }
  return {};
}

std::string_view wanted_tunnel(const HeaderMap& request) {
  return request.method() == kConnect ? kConnect : wanted_upgrade(request);
}

bool opens_tunnel(std::string_view wanted, uint16_t status) {
  if (wanted == kConnect) return status >= 200 && status < 300;
  return !wanted.empty() && status == 101;
}

}  // namespace remora::http
