// An HTTP/2 connection to some host of a cluster, for one gRPC stream: picks the host, connects,
// runs the codec. Tries once. Owned by a GrpcStream; main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/http2/client_codec.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/tcp_pool.h"
#include "proxy/upstream/worker_context.h"

namespace remora::xds {

class GrpcConnectionUser {
 public:
  /// Connected: a stream may be opened on codec().
  virtual void on_connection_ready() = 0;
  /// No connection came about, or it broke the protocol; close() is next. A connection that merely
  /// ends is told of by the stream's on_reset().
  virtual void on_connection_failed(std::string_view detail) = 0;

 protected:
  ~GrpcConnectionUser() = default;
};

class GrpcConnection final : private upstream::TcpWaiter,
                             private ConnectionHandler,
                             private http::ClientCodecHandler {
 public:
  GrpcConnection(WorkerContext& context, GrpcConnectionUser& user);
  ~GrpcConnection() override;

  /// What comes of it is told from the loop.
  void open(std::string_view cluster, const http2::SessionOptions& options);
  /// Closes without a further word. The codec lives on until this object is destroyed.
  void close();

  http::ClientCodec& codec() { return *codec_; }
  bool secure() const { return tcp_->connection().transport().secure(); }

 private:
  void fail_later(std::string_view detail);
  void tell_failure();

  void on_tcp_ready(std::unique_ptr<upstream::TcpConnection> connection) override;
  void on_tcp_failure(upstream::PoolFailure failure, std::string_view detail,
                      const upstream::HostPtr& host) override;
  void on_connected() override {}
  void on_data(Buffer& data, bool end_stream) override;
  void on_closed(CloseCause cause) override;
  void on_written(size_t) override { tcp_->count_bytes(); }
  void on_write_high_water() override { codec_->on_write_high_water(); }
  void on_write_low_water() override { codec_->on_write_low_water(); }
  void on_codec_draining() override {}
  void on_stream_ended() override {}
  void on_codec_error(std::string_view detail) override;

  WorkerContext& context_;
  GrpcConnectionUser& user_;
  http2::SessionOptions options_;
  uint32_t write_limit_bytes_ = 0;
  bool closed_ = false;
  std::string failure_;  // found before there was a turn to tell it in
  Timer failing_;
  std::unique_ptr<upstream::PendingRequest> pending_;
  std::unique_ptr<upstream::TcpConnection> tcp_;
  std::unique_ptr<http2::ClientCodec> codec_;
};

}  // namespace remora::xds
