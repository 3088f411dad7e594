#include "proxy/http/underscores.h"

namespace remora::http {

std::optional<size_t> apply_underscores(Underscores action, HeaderMap& map) {
  size_t dropped = 0;
  if (action == Underscores::Allow) return dropped;
  for (const HeaderEntry& entry : map.entries()) {
    // No well-known name has one.
    if (entry.removed || entry.id != HeaderId::Other) continue;
    if (entry.name.find('_') == std::string_view::npos) continue;
    if (action == Underscores::Reject) return std::nullopt;
    dropped += map.remove(entry.name);
  }
  return dropped;
}

}  // namespace remora::http
