// One bidirectional gRPC stream over an ordinary cluster: headers, framing of messages, status. It
// tries once; whoever owns it decides about the next try. Owned by an AdsClient; main thread.
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "xds/grpc_connection.h"
#include "xds/grpc_frame.h"

namespace remora::xds {

inline constexpr uint64_t kMaxGrpcMessageBytes = 512 * 1024 * 1024;

struct GrpcTarget {
  std::string cluster;
  std::string authority;  // empty: the name of the cluster
  std::string path;       // "/package.Service/Method"
  std::vector<std::pair<std::string, std::string>> initial_metadata;
  uint64_t max_message_bytes = kMaxGrpcMessageBytes;
  uint64_t keepalive_interval_ms =
      0;  // HTTP/2 PING on a quiet connection; 0: none. gRPC servers tolerate few.
};

struct GrpcStatus {
  int code = 0;  // google.rpc.Code
  std::string message;
};

/// All calls come from the loop.
class GrpcStreamUser {
 public:
  /// Connected: send() may be called.
  virtual void on_stream_ready() = 0;
  /// A message is at the head of `input`: decoder.parse() it. False when it is not what it should
  /// be.
  virtual bool on_stream_message(GrpcDecoder& decoder, Buffer& input) = 0;
  /// The last call: not connected, ended or broken.
  virtual void on_stream_closed(const GrpcStatus& status) = 0;

 protected:
  ~GrpcStreamUser() = default;
};

/// Destroyed by EventLoop::defer_delete(), after close().
class GrpcStream final : public Deferrable,
                         private GrpcConnectionUser,
                         private http::StreamReceiver {
 public:
  GrpcStream(WorkerContext& context, GrpcTarget target, GrpcStreamUser& user);

  /// Starts. Whatever comes of it is told from the loop.
  void open();
  void send(const google::protobuf::MessageLite& message);
  /// Ends it without a word to the user.
  void close();

 private:
  void send_headers();
  void fail(int code, std::string_view message);
  void finish(const http::HeaderMap& trailers);
  bool read_messages();

  // GrpcConnectionUser
  void on_connection_ready() override;
  void on_connection_failed(std::string_view detail) override;
  // http::StreamReceiver
  Arena& arena() override { return arena_; }
  void on_headers(http::HeaderMap& headers, bool end_stream) override;
  void on_data(Buffer& data, bool end_stream) override;
  void on_trailers(http::HeaderMap& trailers) override { finish(trailers); }
  void on_reset(http::ResetReason reason, std::string_view detail) override;

  WorkerContext& context_;
  const GrpcTarget target_;
  GrpcStreamUser& user_;
  Arena arena_;
  Buffer received_;
  GrpcDecoder decoder_;
  GrpcConnection connection_;
  http::StreamSender* sender_ = nullptr;
  bool answered_ = false;  // response headers came
  bool closed_ = false;
};

/// What a failed HTTP exchange means to gRPC, by the table in gRPC's documentation.
int grpc_code_of_http_status(uint16_t status);
/// grpc-message as it was before it was percent-encoded.
std::string decode_grpc_message(std::string_view text);

}  // namespace remora::xds
