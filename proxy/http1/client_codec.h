// HTTP/1 as a client speaks it: one stream at a time on an upstream connection, reused from one to
// the next while nothing on the connection is in doubt. Owned by a pool's connection; that worker
// only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/http/codec.h"
#include "proxy/http1/framing.h"
#include "proxy/http1/head_writer.h"
#include "proxy/http1/options.h"
#include "proxy/http1/parser.h"
#include "proxy/net/connection.h"

namespace remora::http1 {

/// Hears the Keep-Alive fields of responses.
class KeepAliveListener {
 public:
  virtual void on_keep_alive(std::string_view value) = 0;

 protected:
  ~KeepAliveListener() = default;
};

class ClientCodec final : public http::ClientCodec, private http::StreamSender {
 public:
  /// All three outlive the codec. Uses the connection's write buffer and its pause reason
  /// kPauseByPeerBuffer (pause_receiving()). Of the handler, on_codec_draining() and
  /// on_stream_ended() may also be called from within a stream's sending calls and reset(); the
  /// receiver never is.
  ClientCodec(Connection& connection, http::ClientCodecHandler& handler,
              const ClientOptions& options, KeepAliveListener* keep_alive = nullptr);

  http::StreamSender& new_stream(http::StreamReceiver& response) override;
  bool can_take_stream() const override { return receiver_ == nullptr && !draining_; }
  size_t active_streams() const override { return receiver_ == nullptr ? 0 : 1; }
  bool dispatch(Buffer& data, bool end_stream) override;
  void on_write_high_water() override;
  void on_write_low_water() override;
  void on_connection_closed(http::ResetReason reason, std::string_view detail) override;
  http::Protocol protocol() const override { return http::Protocol::Http11; }

 private:
  enum class Reading : uint8_t {
    NotBegun,  // no byte of the response
    Head,      // of the final response or of one before it
    Body,
    Trailers,
    Tunnel,
    Complete,
  };
  enum class Writing : uint8_t {
    NotBegun,
    Length,
    Chunked,
    AwaitTunnel,  // an upgrade or CONNECT was sent; bytes wait for the answer
    Tunnel,
    Ended,
  };
  enum class Step : uint8_t { Again, Wait };

  // --- reading (client_codec.cc) ---
  Step read_some(Buffer& data);
  Step begin_head(Buffer& data);
  Step read_head(Buffer& data);
  Step accept_informational();
  Step accept_tunnel();
  Step accept_final();
  Step read_body(Buffer& data);
  Step read_trailers(Buffer& data);
  Step read_tunnel(Buffer& data);
  Step refuse(std::string_view detail);
  void end_of_input(const Buffer& data);
  void deliver(Buffer& data, bool end_stream);
  void fail_stream(http::ResetReason reason);
  void end_stream_when_done();
  void release_stream();
  void drain();
  bool is_tunnel() const { return reading_ == Reading::Tunnel || writing_ == Writing::Tunnel; }

  // --- StreamSender (client_encoder.cc) ---
  void send_informational(const http::HeaderMap& headers) override {}
  void send_headers(const http::HeaderMap& headers, bool end_stream) override;
  void send_data(Buffer& data, bool end_stream) override;
  void send_trailers(const http::HeaderMap& trailers) override;
  void reset(http::ResetReason reason) override;
  void pause_receiving() override;
  void resume_receiving() override;
  uint64_t wire_bytes_sent() const override { return sent_bytes_; }
  uint64_t wire_bytes_received() const override { return received_bytes_; }

  Writing choose_framing(std::optional<uint64_t> length, bool end_stream);
  void write_head(const http::HeaderMap& headers, bool has_length);
  void wrote(uint64_t bytes);
  void end_request();

  Connection& connection_;
  http::ClientCodecHandler& handler_;
  KeepAliveListener* const keep_alive_;
  const ClientOptions options_;
  HeadParser parser_;
  BodyReader body_;
  Buffer scratch_;  // body bytes on their way to the receiver; empty between calls
  Buffer held_;     // what an upgrade's stream sent before the answer

  // Of the connection.
  bool draining_ = false;  // takes no further stream
  bool peer_ended_ = false;
  const Buffer* input_ = nullptr;  // what dispatch() was given, while it runs

  // Of the stream.
  http::StreamReceiver* receiver_ = nullptr;  // null: no open stream
  http::HeaderMap* headers_ = nullptr;        // being read
  Reading reading_ = Reading::NotBegun;
  Writing writing_ = Writing::NotBegun;
  bool head_request_ = false;
  bool connect_request_ = false;
  std::string_view asked_upgrade_;  // empty: none; of the request, which lives with the stream
  bool response_started_ = false;   // the final head was handed up
  bool held_end_ = false;           // nothing will follow what is held
  bool was_tunnel_ = false;
  uint32_t pauses_ = 0;
  uint32_t informational_responses_ = 0;
  uint64_t informational_bytes_ = 0;
  uint64_t request_left_ = 0;  // bytes of a request with content-length
  uint64_t sent_bytes_ = 0;
  uint64_t received_bytes_ = 0;
};

}  // namespace remora::http1
