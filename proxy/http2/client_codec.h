// The HTTP/2 client codec. Owned by whoever owns the connection (a pool, a gRPC stream); that
// thread only.
#pragma once

#include <cstddef>
#include <string_view>

#include "proxy/http/codec.h"
#include "proxy/http2/session_io.h"

namespace remora::http2 {

class ClientCodec final : public http::ClientCodec, private SessionIo {
 public:
  /// `connection` is connected and outlives the codec or is told of by on_connection_closed(); the
  /// preface leaves at the end of this turn. `write_limit` is the connection's high-water mark in
  /// bytes.
  ClientCodec(Connection& connection, http::ClientCodecHandler& handler,
              const SessionOptions& options, size_t write_limit, SessionStats* stats = nullptr)
      : SessionIo(Role::Client, connection, options, write_limit, stats), handler_(handler) {}

  http::StreamSender& new_stream(http::StreamReceiver& response) override {
    return session().open_stream(response);
  }
  bool can_take_stream() const override { return session().can_open_stream(); }
  size_t active_streams() const override { return session().active_streams(); }
  bool dispatch(Buffer& data, bool end_stream) override;
  void on_write_high_water() override { block_writing(); }
  void on_write_low_water() override { go_on_writing(); }
  void on_connection_closed(http::ResetReason reason, std::string_view detail) override {
    abandon(reason, detail);
  }
  http::Protocol protocol() const override { return http::Protocol::Http2; }

 private:
  void on_stream_failed(http::ResetReason reason) override { handler_.on_stream_failed(reason); }
  void on_stream_ended() override { handler_.on_stream_ended(); }
  void on_goaway() override { handler_.on_codec_draining(); }
  void on_max_streams(uint32_t max) override { handler_.on_max_streams(max); }
  void on_session_error(std::string_view detail) override;

  http::ClientCodecHandler& handler_;
  bool error_told_ = false;
};

}  // namespace remora::http2
