// HTTP/1 as a server speaks it: requests of one downstream connection, one after the other,
// pipelined ones waiting in the connection's read buffer; responses straight into its write buffer.
// Owned by the connection manager; the connection's worker only.
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

class ServerCodec final : public http::ServerCodec, private http::StreamSender {
 public:
  /// All three outlive the codec. Uses the connection's write buffer and its pause reasons
  /// kPauseByCodec (requests that must wait) and kPauseByPeerBuffer (pause_receiving()).
  ServerCodec(Connection& connection, http::ServerCodecHandler& handler, const Options& options);

  bool dispatch(Buffer& data, bool end_stream) override;
  void on_write_high_water() override;
  void on_write_low_water() override;
  void start_drain() override { draining_ = true; }
  void on_connection_closed() override;
  bool idle() const override { return receiver_ == nullptr && reading_ == Reading::Idle; }
  bool wants_close() const override { return close_after_; }
  /// Of the request being served (HTTP/1.1 while none is).
  http::Protocol protocol() const override { return version_; }

 private:
  enum class Reading : uint8_t {
    Idle,  // between requests
    Head,
    Body,
    Trailers,
    Undecided,  // an upgrade or CONNECT was asked for; nothing is read until it is answered
    Tunnel,
    Complete,  // the request has ended, its response has not
    Discard,   // the connection will close; what still comes has no meaning
  };
  enum class Writing : uint8_t { NotBegun, Nothing, Length, Chunked, UntilClose, Tunnel, Ended };
  enum class Step : uint8_t { Again, Wait };

  // --- reading (server_codec.cc) ---
  Step read_some(Buffer& data);
  Step begin_request(Buffer& data);
  Step read_head(Buffer& data);
  Step accept_head();
  bool accept_names();
  bool wants_upgrade(const BodyFraming& body) const;
  Step read_body(Buffer& data);
  Step read_trailers(Buffer& data);
  Step read_tunnel(Buffer& data);
  Step refuse(const ParseError& error);
  void on_peer_end();
  void deliver(Buffer& data, bool end_stream);
  void finish_stream();
  bool request_ended() const { return reading_ == Reading::Complete; }
  void wait_for_room();

  // --- StreamSender (server_encoder.cc) ---
  void send_informational(const http::HeaderMap& headers) override;
  void send_headers(const http::HeaderMap& headers, bool end_stream) override;
  void send_data(Buffer& data, bool end_stream) override;
  void send_trailers(const http::HeaderMap& trailers) override;
  void reset(http::ResetReason reason) override;
  void decline_upgrade() override;
  void pause_receiving() override;
  void resume_receiving() override;
  uint64_t wire_bytes_sent() const override { return sent_bytes_; }
  uint64_t wire_bytes_received() const override { return received_bytes_; }

  Writing choose_framing(uint16_t status, std::optional<uint64_t> length, bool end_stream);
  void decide_persistence(const http::HeaderMap& headers);
  void write_head(const http::HeaderMap& headers, uint16_t status, bool valid_length);
  void write_status_line(HeadWriter& out, const http::HeaderMap& headers, uint16_t status) const;
  void open_tunnel();
  void wrote(uint64_t bytes);
  void end_response();

  Connection& connection_;
  http::ServerCodecHandler& handler_;
  const Options& options_;
  HeadParser parser_;
  BodyReader body_;
  Buffer scratch_;  // body bytes on their way to the receiver; empty between calls

  // Of the connection.
  bool draining_ = false;
  bool close_after_ = false;  // no further request is served
  bool peer_ended_ = false;
  bool above_high_water_ = false;
  bool waiting_ = false;  // reading is paused by kPauseByCodec

  // Of the stream.
  http::StreamReceiver* receiver_ = nullptr;  // null: no open stream
  http::HeaderMap* headers_ = nullptr;        // being read: the head's, then the trailers'
  Reading reading_ = Reading::Idle;
  Writing writing_ = Writing::NotBegun;
  http::Protocol version_ = http::Protocol::Http11;
  bool head_request_ = false;
  bool connect_request_ = false;
  bool upgrade_request_ = false;
  bool client_closes_ = false;  // the request asked for it, or is HTTP/1.0 without keep-alive
  uint32_t pauses_ = 0;         // pause_receiving() calls without resume
  uint64_t response_left_ = 0;  // bytes of a response with content-length
  uint64_t sent_bytes_ = 0;
  uint64_t received_bytes_ = 0;
};

}  // namespace remora::http1
