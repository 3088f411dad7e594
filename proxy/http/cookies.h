// What a Cookie field holds: pairs of name and value (RFC 6265 section 5.4), read as leniently as
// Envoy does. Pure functions. Any thread.
#pragma once

#include <algorithm>
#include <string_view>

#include "proxy/http/header_map.h"

namespace remora::http {

/// Without spaces and tabs at both ends.
inline std::string_view without_blanks(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// Calls use(name, value) for every pair of every Cookie field, in order, until it answers false.
/// Quotes around a value are no part of it.
template <class Use>
void for_each_cookie(const HeaderMap& request, Use use) {
  for (const HeaderEntry& entry : request.entries()) {
    if (entry.removed || entry.id != HeaderId::Cookie) continue;
    std::string_view list = entry.value;
    while (!list.empty()) {
      const size_t end = std::min(list.find(';'), list.size());
      const std::string_view pair = list.substr(0, end);
      list.remove_prefix(std::min(end + 1, list.size()));
      const size_t equals = pair.find('=');
      if (equals == std::string_view::npos) continue;
      std::string_view value = without_blanks(pair.substr(equals + 1));
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
      }
      if (!use(without_blanks(pair.substr(0, equals)), value)) return;
    }
  }
}

/// Of the first cookie with this name; empty when there is none.
inline std::string_view cookie_value(const HeaderMap& request, std::string_view wanted) {
  std::string_view found;
  for_each_cookie(request, [&](std::string_view name, std::string_view value) {
    if (name != wanted) return true;
    found = value;
    return false;
  });
  return found;
}

}  // namespace remora::http
