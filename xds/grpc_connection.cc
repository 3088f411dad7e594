// From a cluster's name to a codec.
#include "xds/grpc_connection.h"

#include <utility>

#include "proxy/upstream/cluster.h"

namespace remora::xds {
namespace {

constexpr std::string_view kBeforeHeaders =
    "upstream connect error or disconnect/reset before headers. reset reason: ";

std::string_view reason_of(upstream::PoolFailure failure) {
  switch (failure) {
    case upstream::PoolFailure::Overflow:
      return "overflow";
    case upstream::PoolFailure::ConnectFailed:
      return "remote connection failure";
    case upstream::PoolFailure::ConnectTimeout:
      return "connection timeout";
    case upstream::PoolFailure::ClusterGone:
      return "cluster removed";
  }
  return "connection failure";
}

http::ResetReason reset_reason_of(CloseCause cause) {
  switch (cause) {
    case CloseCause::ConnectFailed:
    case CloseCause::TransportError:
      return http::ResetReason::ConnectFailed;
    case CloseCause::ConnectTimeout:
      return http::ResetReason::ConnectTimeout;
    default:
      return http::ResetReason::ConnectionClosed;
  }
}

}  // namespace

GrpcConnection::GrpcConnection(WorkerContext& context, GrpcConnectionUser& user)
    : context_(context),
      user_(user),
      failing_(context.timers(), Timer::bind<&GrpcConnection::tell_failure, GrpcConnection>(),
               this) {}

GrpcConnection::~GrpcConnection() { close(); }

void GrpcConnection::open(std::string_view cluster_name, const http2::SessionOptions& options) {
  options_ = options;
  upstream::Cluster* cluster = context_.clusters().find(cluster_name);
  if (cluster == nullptr) return fail_later("no such cluster: " + std::string(cluster_name));
  upstream::PickContext pick;
  pick.random = context_.random();
  cluster = &cluster->member_for(pick);
  const upstream::HostPtr host = cluster->pick_host(pick);
  if (host == nullptr) return fail_later("no healthy upstream");
  write_limit_bytes_ = cluster->config().per_connection_buffer_limit;
  upstream::ConnectionNeeds needs;
  needs.alpn = "h2";
  upstream::TcpAcquired acquired = cluster->acquire_tcp(host, *this, needs);
  if (acquired.pending == nullptr) {
    return fail_later(std::string(kBeforeHeaders) + std::string(reason_of(acquired.failure)));
  }
  pending_ = std::move(acquired.pending);
}

void GrpcConnection::close() {
  closed_ = true;
  failing_.disarm();
  pending_.reset();
  if (codec_ != nullptr) codec_->on_connection_closed(http::ResetReason::LocalReset, "closed");
  tcp_.reset();
}

void GrpcConnection::fail_later(std::string_view detail) {
  failure_ = detail;
  failing_.arm(0);
}

void GrpcConnection::tell_failure() { user_.on_connection_failed(failure_); }

void GrpcConnection::on_tcp_ready(std::unique_ptr<upstream::TcpConnection> connection) {
  pending_.reset();
  tcp_ = std::move(connection);
  tcp_->connection().set_handler(*this);
  http::ClientCodecHandler& handler = *this;
  codec_ = std::make_unique<http2::ClientCodec>(tcp_->connection(), handler, options_,
                                                write_limit_bytes_);
  user_.on_connection_ready();
}

void GrpcConnection::on_tcp_failure(upstream::PoolFailure failure, std::string_view detail,
                                    const upstream::HostPtr&) {
  std::string message(kBeforeHeaders);
  message += reason_of(failure);
  if (!detail.empty()) message.append(", transport failure reason: ").append(detail);
  user_.on_connection_failed(message);
}

void GrpcConnection::on_data(Buffer& data, bool end_stream) {
  tcp_->count_bytes();
  const bool going_on = codec_->dispatch(data, end_stream);
  if (!going_on && !closed_) codec_->on_connection_closed(http::ResetReason::ConnectionClosed, "");
}

void GrpcConnection::on_closed(CloseCause cause) {
  if (closed_) return;
  const std::string detail(tcp_->connection().failure_detail());
  codec_->on_connection_closed(reset_reason_of(cause), detail);
}

void GrpcConnection::on_codec_error(std::string_view detail) {
  if (!closed_) user_.on_connection_failed(detail);
}

}  // namespace remora::xds
