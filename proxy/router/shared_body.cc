#include "proxy/router/shared_body.h"

#include <string_view>
#include <utility>

namespace remora::router {

void share(Buffer& from, Buffer& copy) {
  Buffer kept(from.pool());
  while (!from.empty()) {
    const std::string_view run = from.front();
    const BlockRef block = from.front_block();
    kept.append_shared(block, run);
    copy.append_shared(block, run);
    from.consume(run.size());
  }
  from = std::move(kept);
}

void copy_headers(const http::HeaderMap& from, http::HeaderMap& copy) {
  Arena& arena = copy.arena();
  for (const http::HeaderEntry& entry : from.entries()) {
    if (entry.removed) continue;
    const std::string_view name =
        entry.id == http::HeaderId::Other ? arena.copy(entry.name) : http::header_name(entry.id);
    copy.push(entry.id, name, arena.copy(entry.value));
  }
}

}  // namespace remora::router
