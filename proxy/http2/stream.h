// One HTTP/2 stream: what came and was not delivered yet, what is to be sent and may not leave yet.
// Owned by its Session; that connection's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/http/codec.h"
#include "proxy/http/header_map.h"
#include "proxy/http2/extended_connect.h"

namespace remora::http2 {

class Session;
struct Callbacks;
struct FieldList;

// The lists of its session that a stream may be in.
struct HasNews : ListLink {};
struct Unsettled : ListLink {};
struct SetAside : ListLink {};

class Stream final : public http::StreamSender, public HasNews, public Unsettled, public SetAside {
 public:
  Stream(Session& session, http::StreamReceiver& receiver);  // that we open
  Stream(Session& session, int32_t id);                      // that the peer opened
  ~Stream();

  // http::StreamSender
  void send_informational(const http::HeaderMap& headers) override;
  void send_headers(const http::HeaderMap& headers, bool end_stream) override;
  void send_data(Buffer& data, bool end_stream) override;
  void send_trailers(const http::HeaderMap& trailers) override;
  void reset(http::ResetReason reason) override;
  void pause_receiving() override { ++receive_pauses_; }
  void resume_receiving() override;
  http::Protocol protocol() const override { return http::Protocol::Http2; }
  /// Body bytes count when they are handed over, headers when they were encoded.
  uint64_t wire_bytes_sent() const override { return wire_bytes_sent_ + pending_.size(); }
  uint64_t wire_bytes_received() const override { return wire_bytes_received_; }

 private:
  friend class Session;
  friend struct Callbacks;

  /// One field of the header block under way; false when the block passes a limit.
  bool add_header(std::string_view name, std::string_view value);
  /// A head that waited for the peer's SETTINGS is sent, or fails.
  void submit_held_head();
  bool headers_complete();
  bool request_complete(http::HeaderMap& block);

  void deliver();
  void deliver_body();
  void deliver_close();
  void uncount();
  void check_water_marks();
  void watch_flush();
  void on_flush_timeout();
  /// The user has heard, or said, the last word.
  void detach();
  /// What is kept for the receiver goes with its arena.
  http::StreamReceiver* forget_receiver();
  void end_of_message();
  void consumed(size_t bytes);
  void hold();
  void send_request(const http::HeaderMap& headers, bool end_stream);
  void submit_extended(const FieldList& fields);
  void submit_request(const FieldList& fields, bool end_stream);
  void settle_tunnel();
  /// A server's user has said and heard the last word of an open tunnel.
  bool both_said() const;
  bool in_open_tunnel() const { return tunnel_ == Tunnel::Open; }
  bool delivery_stopped() const { return receiver_ == nullptr || receive_pauses_ > 0; }

  Session& session_;
  http::StreamReceiver* receiver_;
  int32_t id_ = 0;    // 0: HEADERS not submitted yet
  size_t index_ = 0;  // in the session's list

  // Receiving. Header maps are in the receiver's arena.
  std::vector<http::HeaderMap*> informational_;
  http::HeaderMap* arriving_ = nullptr;  // a header block under way
  http::HeaderMap* headers_ = nullptr;
  http::HeaderMap* trailers_ = nullptr;
  Buffer received_;
  size_t held_ = 0;  // of received_: no longer counts against the connection's window
  uint32_t header_list_bytes_ = 0;  // of the block under way
  uint16_t header_count_ = 0;
  uint16_t informational_count_ = 0;
  uint16_t receive_pauses_ = 0;
  bool in_dead_ = false;
  bool headers_delivered_ = false;
  bool remote_ended_ = false;   // END_STREAM came
  bool headers_ended_ = false;  // with the head itself, not in a frame of its own
  bool end_delivered_ = false;
  bool remote_reset_ = false;  // RST_STREAM came
  bool too_large_ = false;     // a response's headers are over a limit
  bool closed_ = false;        // for nghttp2 the stream is over
  uint32_t close_code_ = 0;
  std::string_view detail_;  // why we refused what came; static text

  // Tunnels. What is sent before the answer waits, and goes nowhere when it is a refusal.
  enum class Tunnel : uint8_t { None, Asked, Refused, Open };
  TunnelKind tunnel_kind_ = TunnelKind::None;
  Tunnel tunnel_ = Tunnel::None;
  std::string_view protocol_;  // of an upgrade that we ask for; lives with the request
  std::vector<std::pair<std::string, std::string>> held_head_;  // until the peer's SETTINGS come

  // Sending.
  Buffer pending_;
  std::vector<std::pair<std::string, std::string>> send_trailers_;
  bool end_after_pending_ = false;
  bool deferred_ = false;     // nghttp2 waits for resume_data
  bool local_ended_ = false;  // END_STREAM was sent
  bool over_high_water_ = false;
  uint32_t reset_code_ = 0;             // once reset() was called
  std::unique_ptr<Timer> flush_timer_;  // of a server's stream that waits for the client to read
  uint64_t wire_bytes_sent_ = 0;
  uint64_t wire_bytes_received_ = 0;
};

}  // namespace remora::http2
