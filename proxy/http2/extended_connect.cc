#include "proxy/http2/extended_connect.h"

#include "proxy/http/upgrade.h"

namespace remora::http2 {

using http::HeaderId;

TunnelKind read_tunnel_request(http::HeaderMap& request) {
  if (request.method() != http::kConnect) return TunnelKind::None;
  if (!request.has(HeaderId::Protocol)) return TunnelKind::Connect;
  const std::string_view protocol = request.get(HeaderId::Protocol);
  request.remove(HeaderId::Protocol);
  request.remove(HeaderId::ContentLength);
  request.set(HeaderId::Method, "GET");
  request.set(HeaderId::Upgrade, protocol);
  request.set(HeaderId::Connection, "upgrade");
  return TunnelKind::Extended;
}

TunnelKind tunnel_kind_of(const http::HeaderMap& request) {
  if (request.method() == http::kConnect) return TunnelKind::Connect;
  return http::wanted_upgrade(request).empty() ? TunnelKind::None : TunnelKind::Extended;
}

bool opens_tunnel(TunnelKind kind, uint16_t status) {
  if (kind == TunnelKind::Extended) return status == 200;
  return kind == TunnelKind::Connect && http::opens_tunnel(http::kConnect, status);
}

void read_tunnel_answer(http::HeaderMap& answer, std::string_view protocol) {
  answer.set_status(101);
  answer.remove(HeaderId::ContentLength);
  answer.set(HeaderId::Upgrade, protocol);
  answer.set(HeaderId::Connection, "upgrade");
}

}  // namespace remora::http2
