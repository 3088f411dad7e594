#include "proxy/stats/names.h"

namespace remora::stats {

std::string sanitize(std::string_view name) {
  std::string out;
  out.reserve(name.size());
  for (size_t i = 0; i < name.size();) {
    std::string_view rest = name.substr(i);
    if (rest.starts_with("://")) {
      out += '_';
      i += 3;
    } else if (rest.starts_with(":/")) {
      out += '_';
      i += 2;
    } else {
      char c = rest.front();
      out += c == ':' || c == '\0' ? '_' : c;
      ++i;
    }
  }
  return out;
}

}  // namespace remora::stats
