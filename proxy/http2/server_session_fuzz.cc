// Frames from a client that may say anything. The first byte chooses how requests are answered, the
// second how long the pieces are in which the rest comes.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/target.h"
#include "proxy/http2/session.h"

namespace remora::http2 {
namespace {

enum Choice : uint8_t {
  kStreamErrors = 1,    // a malformed message ends its stream only
  kConnect = 2,         // extended CONNECT is announced
  kAnswerAtOnce = 4,    // with headers alone; else with a body and trailers when the request ended
  kPause = 8,           // requests are not read until all has come
  kResetSome = 16,      // every third request is reset
  kInformational = 32,  // 103 comes first
  kLargeBody = 64,      // more than the windows that clients begin with
  kDrain = 128,         // half-way
};

[[noreturn]] void complain(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

/// What is handed up must fit into one line of HTTP/1.
void require_plain(const http::HeaderMap& headers) {
  for (const http::HeaderEntry& entry : headers.entries()) {
    if (entry.removed) continue;
    for (const char c : entry.name) {
      if (c <= ' ' || c >= 0x7f || (c >= 'A' && c <= 'Z')) complain("a name that is no token");
    }
    for (const char c : entry.value) {
      if (c == '\r' || c == '\n' || c == '\0') complain("a value that would end a line");
    }
  }
}

void require_request(const http::HeaderMap& headers) {
  require_plain(headers);
  using http::HeaderId;
  if (headers.method().empty() || headers.count(HeaderId::Method) != 1) complain("a method");
  if (headers.count(HeaderId::Authority) > 1 || headers.has(HeaderId::Host)) complain("a host");
  if (headers.count(HeaderId::Path) > 1) complain("two paths");
  if (!http::is_visible_ascii(headers.path())) complain("a path");
  if (!http::is_valid_authority(headers.authority())) complain("an authority");
  if (headers.has(HeaderId::TransferEncoding)) complain("a field of another connection");
  // Extended CONNECT comes up in the form of HTTP/1.
  if (headers.has(HeaderId::Connection) != headers.has(HeaderId::Upgrade))
    complain("half an upgrade");
  if (headers.has(HeaderId::Connection) && headers.get(HeaderId::Connection) != "upgrade") {
    complain("a field of another connection");
  }
}

struct Request final : http::StreamReceiver {
  Request(BlockPool& pool, http::StreamSender& sender, uint8_t choice, size_t number)
      : pool_(pool), arena_(pool), sender_(&sender), choice_(choice), number_(number) {}

  Arena& arena() override { return arena_; }
  void on_headers(http::HeaderMap& headers, bool end) override {
    if (headers_) complain("two heads");
    headers_ = true;
    require_request(headers);
    if (choice_ & kInformational) send("103", false);
    if (choice_ & kPause) {
      sender_->pause_receiving();
      paused_ = true;
    }
    if (choice_ & kResetSome && number_ % 3 == 0) {
      sender_->reset(http::ResetReason::LocalReset);
      over_ = true;
      return;
    }
    if (choice_ & kAnswerAtOnce) send("200", true);
    hear(end);
  }
  void on_data(Buffer& data, bool end) override {
    if (!headers_) complain("a body without a head");
    data.clear();
    hear(end);
  }
  void on_trailers(http::HeaderMap& trailers) override {
    require_plain(trailers);
    hear(true);
  }
  void on_reset(http::ResetReason, std::string_view detail) override {
    if (over_) complain("a word behind the last");
    if (detail.empty()) complain("a reset without a reason");
    over_ = true;
  }
  void resume() {
    if (over_ || !std::exchange(paused_, false)) return;
    sender_->resume_receiving();
  }

 private:
  void hear(bool end) {
    if (over_) return;
    if (ended_) complain("two ends");
    ended_ = end;
    if (end) answer();
  }
  void send(std::string_view status, bool end) {
    http::HeaderMap response(arena_);
    response.add(http::HeaderId::Status, status);
    if (status == "103") {
      sender_->send_informational(response);
      return;
    }
    sender_->send_headers(response, end);
    over_ = end;
  }
  void answer() {
    send("200", false);
    Buffer body(pool_);
    body.append(std::string(choice_ & kLargeBody ? 100'000 : 10, 'b'));
    sender_->send_data(body, false);
    http::HeaderMap trailers(arena_);
    trailers.add("x-trailer", "t");
    sender_->send_trailers(trailers);
    over_ = true;
  }

  BlockPool& pool_;
  Arena arena_;
  http::StreamSender* sender_;
  const uint8_t choice_;
  const size_t number_;
  bool headers_ = false, ended_ = false, over_ = false, paused_ = false;
};

struct Server final : SessionUser {
  Server(BlockPool& pool, uint8_t choice) : pool(pool), choice(choice) {}
  http::StreamReceiver* on_new_stream(http::StreamSender& response) override {
    requests.push_back(std::make_unique<Request>(pool, response, choice, requests.size()));
    return requests.back().get();
  }
  void on_work_pending() override {}
  void on_stream_failed(http::ResetReason) override {}
  void on_stream_ended() override {}
  void on_goaway() override {}
  void on_max_streams(uint32_t) override {}
  void on_session_error(std::string_view detail) override {
    if (detail.empty()) complain("an error without a reason");
  }

  BlockPool& pool;
  const uint8_t choice;
  std::vector<std::unique_ptr<Request>> requests;
};

}  // namespace
}  // namespace remora::http2

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora;
  using namespace remora::http2;
  constexpr size_t kWriteLimit = 1 << 16;
  if (size < 2) return 0;
  const uint8_t choice = data[0];
  BlockPool pool;
  TurnTime time;
  TimerWheel wheel(time);
  Server server(pool, choice);
  SessionOptions options;
  options.initial_stream_window = 70'000;
  options.max_concurrent_streams = 10;
  options.max_headers = 20;
  options.stream_error_on_invalid_message = choice & kStreamErrors;
  options.allow_connect = choice & kConnect;
  Session session(Role::Server, options, server, wheel, pool);
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t step = data[1] == 0 ? size : data[1];
  const size_t half = rest.size() / 2;
  bool healthy = true;
  while (healthy && !rest.empty()) {
    Buffer in(pool), out(pool);
    in.append(rest.substr(0, step));
    rest.remove_prefix(std::min(step, rest.size()));
    healthy = session.receive(in);
    session.turn(out, kWriteLimit);
    if (session.broken() && session.error().empty()) complain("broken without a reason");
    if (choice & kDrain && rest.size() <= half) session.start_drain();
  }
  Buffer out(pool);
  for (auto& request : server.requests) request->resume();
  session.turn(out, kWriteLimit);
  if (choice & kDrain) session.finish_drain();
  session.turn(out, kWriteLimit);
  session.abandon(http::ResetReason::ConnectionClosed, "end");
  session.turn(out, kWriteLimit);
  if (session.active_streams() != 0) complain("streams are left");
  return 0;
}
