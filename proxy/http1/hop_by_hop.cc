// What Connection may name for removal, and what it may not. The stream's worker only.
#include "proxy/http1/hop_by_hop.h"

#include <algorithm>
#include <string_view>

#include "proxy/http/upgrade.h"
#include "proxy/http1/options.h"
#include "proxy/http1/scan.h"

namespace remora::http1 {
namespace {

using http::HeaderId;

enum class Upgrade : uint8_t { Remove, Keep };

bool may_be_nominated(std::string_view lower_case_name, Upgrade upgrade) {
  const HeaderId id = http::header_id_of(lower_case_name);
  if (id == HeaderId::Upgrade) return upgrade == Upgrade::Remove;
  if (id == HeaderId::Other) {
    return !lower_case_name.starts_with("x-envoy-") && !lower_case_name.starts_with("x-forwarded-");
  }
  // Every well-known field carries meaning for somebody behind us, except these.
  return id == HeaderId::KeepAlive || id == HeaderId::Http2Settings ||
         id == HeaderId::ProxyConnection;
}

void remove_nominated(http::HeaderMap& headers, std::string_view value, Upgrade upgrade) {
  char name[kMaxFieldNameBytes];
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    std::string_view token = value.substr(0, comma);
    value.remove_prefix(std::min(comma + 1, value.size()));
    while (!token.empty() && is_blank(token.front())) token.remove_prefix(1);
    while (!token.empty() && is_blank(token.back())) token.remove_suffix(1);
    if (token.empty() || token.size() > sizeof(name)) continue;
    std::transform(token.begin(), token.end(), name, token_lower);
    const std::string_view lower(name, token.size());
    if (may_be_nominated(lower, upgrade)) headers.remove(lower);
  }
}

void remove_all_nominated(http::HeaderMap& headers, Upgrade upgrade) {
  for (const http::HeaderEntry& entry : headers.entries()) {
    if (entry.id == HeaderId::Connection && !entry.removed) {
      remove_nominated(headers, entry.value, upgrade);
    }
  }
}

}  // namespace

void remove_hop_by_hop(http::HeaderMap& headers) {
  if (headers.has(HeaderId::Connection)) {
    remove_all_nominated(headers, Upgrade::Remove);
    headers.remove(HeaderId::Connection);
  }
  for (const HeaderId id :
       {HeaderId::KeepAlive, HeaderId::ProxyConnection, HeaderId::TransferEncoding,
        HeaderId::Upgrade, HeaderId::Http2Settings}) {
    headers.remove(id);
  }
}

void keep_only_upgrade(http::HeaderMap& headers) {
  remove_all_nominated(headers, Upgrade::Keep);
  // The only option, however it is written, is left as it came.
  if (!http::same_protocol(headers.get(HeaderId::Connection), "upgrade") ||
      headers.count(HeaderId::Connection) > 1) {
    headers.set(HeaderId::Connection, "Upgrade");
  }
  for (const HeaderId id : {HeaderId::KeepAlive, HeaderId::ProxyConnection,
                            HeaderId::TransferEncoding, HeaderId::Http2Settings}) {
    headers.remove(id);
  }
}

}  // namespace remora::http1
