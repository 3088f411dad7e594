// What the tests of the client's session share: a receiver that writes down what it hears, and a
// session that talks to nghttp2's own server side, in memory and simulated time.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http2/session.h"
#include "proxy/http2/test_peer.h"
#include "proxy/stats/store.h"

namespace remora::http2 {

using http::HeaderMap;
using http::ResetReason;
using Stat = stats::Http2Stat;

/// Hears a response and writes it down.
struct Receiver final : http::StreamReceiver {
  explicit Receiver(BlockPool& pool) : arena_(pool), kept(pool) {}
  Arena& arena() override { return arena_; }
  void on_informational(HeaderMap& h) override {
    said += "info " + std::to_string(h.status()) + ";";
  }
  void on_headers(HeaderMap& h, bool end) override {
    said += "headers " + std::to_string(h.status()) + (end ? " end;" : ";");
    if (const auto* e = h.find("x-test"))
      said += std::string("x-test=") + std::string(e->value) + ";";
  }
  void on_data(Buffer& data, bool end) override {
    body += data.to_string();
    data.clear();
    ended |= end;
  }
  void on_trailers(HeaderMap& t) override {
    ended = true;
    for (auto& e : t.entries())
      said += "trailer " + std::string(e.name) + "=" + std::string(e.value) + ";";
  }
  void on_reset(ResetReason r, std::string_view detail) override {
    ASSERT_FALSE(reset);
    reset = r;
    reset_detail = detail;
  }
  void on_send_high_water() override { said += "high;"; }
  void on_send_low_water() override { said += "low;"; }

  Arena arena_;
  Buffer kept;
  std::string said, body, reset_detail;
  bool ended = false;
  std::optional<ResetReason> reset;
};

struct SessionTest : testing::Test, SessionUser {
  void on_work_pending() override { pending = true; }
  void on_stream_failed(ResetReason) override {}
  void on_stream_ended() override { ++ended; }
  void on_goaway() override { ++goaways; }
  void on_max_streams(uint32_t max) override { max_streams = max; }
  void on_session_error(std::string_view detail) override { error = detail; }

  void start(SessionOptions options = {}) {
    session.emplace(Role::Client, options, *this, wheel, pool, &stats->at(0));
  }
  uint64_t stat(Stat which) { return stats->at(0).value(which); }
  void pass(uint64_t ms) {
    time.now_ms += ms;
    wheel.advance();
  }
  /// Bytes to and fro until neither side has more to say.
  bool exchange() {
    for (int i = 0; i < 100; ++i) {
      Buffer out(pool);
      session->turn(out, write_limit);
      const std::string to_peer = out.to_string();
      peer.receive(to_peer);
      const std::string back = peer.output();
      if (to_peer.empty() && back.empty()) return true;
      if (!give(back)) return false;
    }
    ADD_FAILURE() << "the two never stop talking";
    return false;
  }
  bool give(std::string_view bytes) {
    Buffer in(pool);
    in.append(bytes);
    return session->receive(in);
  }
  http::StreamSender& request(Receiver& r, bool end, size_t extra = 0) {
    HeaderMap h(r.arena());
    h.add("x-early", "1");
    h.add(http::HeaderId::Method, "POST");
    h.add(http::HeaderId::Path, "/p");
    h.add(http::HeaderId::Scheme, "http");
    h.add(http::HeaderId::Authority, "host");
    h.add(http::HeaderId::Connection, "keep-alive");
    h.add(http::HeaderId::Te, "trailers");
    http::StreamSender& s = session->open_stream(r);
    s.send_headers(h, end);
    return s;
  }
  void send(http::StreamSender& s, std::string_view text, bool end) {
    Buffer b(pool);
    b.append(text);
    s.send_data(b, end);
  }

  TurnTime time;
  BlockPool pool;
  TimerWheel wheel{time};
  TestPeer peer;
  std::unique_ptr<stats::Store> store = *stats::Store::make({}, 1);
  std::shared_ptr<stats::Group<stats::Http2Schema>> stats =
      store->group<stats::Http2Schema>("http2");
  std::optional<Session> session;
  size_t write_limit = 1 << 20;
  bool pending = false;
  int ended = 0, goaways = 0;
  uint32_t max_streams = 0;
  std::string error;
};

}  // namespace remora::http2
