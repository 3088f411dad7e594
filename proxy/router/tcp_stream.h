// The end of a tunnel: what one stream carries goes over a TCP connection of its own, as it is. The
// answer to the request is ours: 200 as soon as the connection stands. Owned by the Attempt; its
// worker's thread only.
#pragma once

#include <cstdint>
#include <memory>

#include "proxy/event/event_loop.h"
#include "proxy/http/codec.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/tcp_pool.h"

namespace remora::router {

class TcpStream final : public http::StreamSender, private ConnectionHandler, private EndOfTurn {
 public:
  /// `receiver` hears the answer and what the server sends.
  TcpStream(std::unique_ptr<upstream::TcpConnection> upstream, http::StreamReceiver& receiver);
  ~TcpStream() override = default;

  /// Goes in front of everything; before send_headers().
  void send_first(std::string_view bytes);

  // --- StreamSender ---
  void send_informational(const http::HeaderMap& /*headers*/) override {}
  void send_headers(const http::HeaderMap& headers, bool end_stream) override;
  void send_data(Buffer& data, bool end_stream) override;
  void send_trailers(const http::HeaderMap& trailers) override;
  void reset(http::ResetReason reason) override;
  void pause_receiving() override;
  void resume_receiving() override;
  http::Protocol protocol() const override { return http::Protocol::Http11; }
  uint64_t wire_bytes_sent() const override { return sent_bytes_; }
  uint64_t wire_bytes_received() const override { return received_bytes_; }

 private:
  // --- ConnectionHandler ---
  void on_connected() override {}
  void on_data(Buffer& data, bool end_stream) override;
  void on_closed(CloseCause cause) override;
  void on_write_high_water() override;
  void on_write_low_water() override;
  void on_written(size_t bytes) override;

  void end_of_turn() override { answer(); }
  void answer();
  void finish_when_done();

  std::unique_ptr<upstream::TcpConnection> upstream_;  // null once over
  http::StreamReceiver* receiver_;                     // null once over
  uint32_t pauses_ = 0;
  bool answered_ = false;
  bool request_ended_ = false;
  bool response_ended_ = false;
  uint64_t sent_bytes_ = 0;
  uint64_t received_bytes_ = 0;
};

}  // namespace remora::router
