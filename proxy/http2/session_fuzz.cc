// Frames from a server that may say anything. The first byte chooses how many requests are open and
// how they behave; the rest comes in pieces whose length the data chooses too.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http2/session.h"

namespace remora::http2 {
namespace {

struct Receiver final : http::StreamReceiver {
  explicit Receiver(BlockPool& pool) : arena_(pool) {}
  Arena& arena() override { return arena_; }
  void on_headers(http::HeaderMap&, bool end) override { check(end); }
  void on_data(Buffer& data, bool end) override {
    data.clear();
    check(end);
  }
  void on_trailers(http::HeaderMap&) override { check(true); }
  void on_reset(http::ResetReason, std::string_view) override {
    if (reset) abort();
    reset = true;
  }
  void check(bool end) {
    if (ended || reset) abort();
    ended = end;
    if (give_up && sender != nullptr && !end) {
      sender->reset(http::ResetReason::LocalReset);
      reset = true;
    }
  }

  Arena arena_;
  http::StreamSender* sender = nullptr;
  bool give_up = false;
  bool ended = false;
  bool reset = false;
};

struct User final : SessionUser {
  void on_work_pending() override {}
  void on_stream_failed(http::ResetReason) override {}
  void on_stream_ended() override {}
  void on_goaway() override {}
  void on_max_streams(uint32_t) override {}
  void on_session_error(std::string_view detail) override {
    if (detail.empty()) abort();
  }
};

}  // namespace
}  // namespace remora::http2

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora;
  using namespace remora::http2;
  if (size < 2) return 0;
  BlockPool pool;
  TurnTime time;
  TimerWheel wheel(time);
  User user;
  std::deque<Receiver> receivers;
  SessionOptions options;
  options.initial_stream_window = 70'000;
  options.stream_send_high_water = 1000;
  {
    Session session(Role::Client, options, user, wheel, pool);
    const int streams = data[0] & 3;
    for (int i = 0; i < streams; ++i) {
      Receiver& r = receivers.emplace_back(pool);
      http::HeaderMap h(r.arena());
      h.add(http::HeaderId::Method, "POST");
      h.add(http::HeaderId::Path, "/");
      h.add(http::HeaderId::Scheme, "http");
      h.add(http::HeaderId::Authority, "a");
      r.sender = &session.open_stream(r);
      r.sender->send_headers(h, i == 0);
      if (data[0] & 4) r.sender->pause_receiving();
      r.give_up = data[0] & 8;
      if (i == 1) {
        Buffer body(pool);
        body.append(std::string(5000, 'b'));
        r.sender->send_data(body, true);
      }
    }
    const size_t step = data[1] == 0 ? size : data[1];
    std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
    bool healthy = true;
    while (healthy && !rest.empty()) {
      Buffer in(pool), out(pool);
      in.append(rest.substr(0, step));
      rest.remove_prefix(std::min(step, rest.size()));
      healthy = session.receive(in);
      session.turn(out, 1 << 16);
      if (!healthy && session.error().empty()) abort();
    }
    if (data[0] & 4) {
      for (Receiver& r : receivers) {
        if (!r.ended && !r.reset) r.sender->resume_receiving();
      }
    }
    Buffer out(pool);
    session.turn(out, 1 << 16);
    session.abandon(http::ResetReason::ConnectionClosed, "end");
    session.turn(out, 1 << 16);
    if (session.active_streams() != 0) abort();
  }
  receivers.clear();
  return 0;
}
