// Sessions that reach their server through a tunnel: what differs from those that have a connection
// of their own. The worker's thread.
#include <utility>

#include "filters/network/tcp_proxy/tcp_proxy.h"
#include "proxy/upstream/worker_context.h"

namespace remora::tcp_proxy {

/// False: a circuit breaker is open.
bool TcpProxy::start_tunnel(upstream::HostPtr host, const upstream::ConnectionNeeds& needs) {
  drop_tunnel();
  Tunnel::User& user = *this;
  tunnel_ = std::make_unique<Tunnel>(user, *config_.tunneling, context_.worker().blocks());
  if (!tunnel_->prepare(facts())) {
    give_up(http::ResponseFlag::UF);
    return true;
  }
  host_ = std::move(host);
  if (!tunnel_->start(*cluster_, host_, needs)) return false;
  ++attempts_;
  active();
  return true;
}

/// It may be in the middle of a call.
void TcpProxy::drop_tunnel() {
  if (tunnel_ == nullptr) return;
  tunnel_->give_up();
  context_.worker().loop().defer_delete(std::move(tunnel_));
}

void TcpProxy::on_tunnel_failed(std::string_view detail) {
  const upstream::HostPtr host = tunnel_->host();
  connect_failed(detail, host);
}

void TcpProxy::on_tunnel_open() {
  host_ = tunnel_->host();
  begin_relay(*tunnel_->connection());
}

void TcpProxy::on_tunnel_data(Buffer& data, bool end_stream) {
  active();
  client_.write(data, end_stream);
}

void TcpProxy::on_tunnel_broken() {
  // After its end it means only that the server takes nothing any more.
  const bool reset = !tunnel_->server_ended();
  if (reset) flags_.set(http::ResponseFlag::UR);
  drop_tunnel();
  end_client(reset ? Ending::Reset : Ending::Close);
}

}  // namespace remora::tcp_proxy
