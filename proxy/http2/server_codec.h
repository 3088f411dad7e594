// The HTTP/2 server codec: the requests of one downstream connection, all at once. Owned by the
// connection manager; the connection's worker only.
#pragma once

#include <cstddef>
#include <string_view>

#include "proxy/http/codec.h"
#include "proxy/http2/session_io.h"

namespace remora::http2 {

class ServerCodec final : public http::ServerCodec, private SessionIo {
 public:
  /// All but `options` outlive the codec. SETTINGS leave at the end of this turn. `write_limit` is
  /// the connection's high-water mark in bytes.
  ServerCodec(Connection& connection, http::ServerCodecHandler& handler,
              const SessionOptions& options, size_t write_limit, SessionStats* stats = nullptr)
      : SessionIo(Role::Server, connection, options, write_limit, stats), handler_(handler) {}

  bool dispatch(Buffer& data, bool end_stream) override;
  void on_write_high_water() override { block_writing(); }
  void on_write_low_water() override { go_on_writing(); }
  void start_drain() override { session().start_drain(); }
  void finish_drain() override;
  void on_connection_closed() override;
  /// The client asks for too much. False when it has been told already.
  bool give_up(std::string_view detail);
  bool idle() const override { return session().active_streams() == 0; }
  bool wants_close() const override { return session().broken() || client_leaves_; }
  http::Protocol protocol() const override { return http::Protocol::Http2; }

 private:
  http::StreamReceiver* on_new_stream(http::StreamSender& response) override {
    return &handler_.on_new_stream(response);
  }
  void on_stream_failed(http::ResetReason) override {}
  void on_stream_ended() override;
  void on_goaway() override;
  void on_max_streams(uint32_t) override {}
  void on_session_error(std::string_view detail) override;

  http::ServerCodecHandler& handler_;
  bool error_told_ = false;
  bool client_leaves_ = false;  // it said GOAWAY
};

}  // namespace remora::http2
