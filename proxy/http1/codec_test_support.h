// What the tests and fuzz targets of the codecs share: a connection without a socket, and ends that
// write down what they hear. Test only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/event/event_loop.h"
#include "proxy/http/codec.h"
#include "proxy/net/connection.h"

namespace remora::http1::test {

/// A connection that nothing was read from or sent over; bytes are given to the codec by hand.
class Wire : private ConnectionHandler {
 public:
  Wire() : Wire(nullptr) {}
  /// On a loop that many wires share.
  explicit Wire(EventLoop& loop) : Wire(&loop) {}

  EventLoop& loop() { return loop_; }
  Connection& connection() { return connection_; }
  Buffer& input() { return input_; }
  bool closed() const { return closed_; }
  /// What was written since the last call.
  std::string take_output() {
    std::string text = connection_.write_buffer().to_string();
    connection_.write_buffer().clear();
    return text;
  }

 private:
  explicit Wire(EventLoop* shared)
      : own_loop_(shared != nullptr ? nullptr : std::make_unique<EventLoop>()),
        loop_(shared != nullptr ? *shared : *own_loop_),
        connection_(loop_, Socket(), raw_transport_factory()->make(-1, {}), ConnectionLimits()),
        input_(loop_.blocks()) {
    connection_.set_handler(*this);
  }

  void on_connected() override {}
  void on_data(Buffer&, bool) override {}
  void on_closed(CloseCause) override { closed_ = true; }
  void on_write_high_water() override {}
  void on_write_low_water() override {}

  std::unique_ptr<EventLoop> own_loop_;
  EventLoop& loop_;
  Connection connection_;
  Buffer input_;
  bool closed_ = false;
};

inline std::string describe(const http::HeaderMap& headers) {
  std::string text;
  for (const http::HeaderEntry& entry : headers.entries()) {
    if (entry.removed) continue;
    text += std::string(entry.name) + "=" + std::string(entry.value) + "\n";
  }
  return text;
}

/// Writes a message down as text: its header lines, then "body", "trailers" and "end" or "reset"
/// lines.
class Recorder final : public http::StreamReceiver {
 public:
  explicit Recorder(BlockPool& pool) : arena_(pool) {}

  Arena& arena() override { return arena_; }
  void on_informational(http::HeaderMap& headers) override { informational += describe(headers); }
  void on_headers(http::HeaderMap& map, bool end_stream) override {
    headers = describe(map);
    this->map = &map;
    ended = end_stream;
    if (then_on_headers) then_on_headers(map, end_stream);
  }
  void on_data(Buffer& data, bool end_stream) override {
    body += data.to_string();
    data.clear();
    ended = end_stream;
    if (then_on_data) then_on_data(end_stream);
  }
  void on_trailers(http::HeaderMap& map) override {
    trailers = describe(map);
    ended = true;
    if (then_on_data) then_on_data(true);
  }
  void on_reset(http::ResetReason reason, std::string_view detail) override {
    reset = std::string(http::reset_reason_text(reason)) + " " + std::string(detail);
  }
  void on_send_high_water() override { send_blocked = true; }
  void on_send_low_water() override { send_blocked = false; }

  /// Everything, for comparing one run with another.
  std::string all() const {
    return informational + "|" + headers + "|" + body + "|" + trailers + "|" +
           (ended ? "end" : "open") + "|" + reset;
  }

  http::HeaderMap* map = nullptr;  // the head's
  std::string informational, headers, body, trailers, reset;
  bool ended = false;
  bool send_blocked = false;
  std::function<void(http::HeaderMap&, bool)> then_on_headers;
  std::function<void(bool)> then_on_data;

 private:
  Arena arena_;
};

/// A response or request to send, in an arena of its own.
class Message {
 public:
  Message(BlockPool& pool,
          std::initializer_list<std::pair<std::string_view, std::string_view>> fields)
      : arena_(pool), map_(arena_) {
    for (const auto& [name, value] : fields) map_.add(name, value);
  }
  http::HeaderMap& map() { return map_; }

 private:
  Arena arena_;
  http::HeaderMap map_;
};

}  // namespace remora::http1::test
