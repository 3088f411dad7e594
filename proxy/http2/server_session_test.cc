// The server's side of a session against nghttp2's own client side, in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "proxy/http2/session.h"
#include "proxy/http2/test_peer.h"

namespace remora::http2 {
namespace {

using http::HeaderId;
using http::HeaderMap;
using http::ResetReason;
using testing::ElementsAre;
using testing::Pair;

/// One request as its server hears it, and the way to answer.
struct Exchange final : http::StreamReceiver {
  Exchange(BlockPool& pool, http::StreamSender& out) : arena_(pool), sender(out) {}
  Arena& arena() override { return arena_; }
  void on_headers(HeaderMap& h, bool end) override {
    headers = &h;
    ended |= end;
  }
  void on_data(Buffer& data, bool end) override {
    body += data.to_string();
    data.clear();
    ended |= end;
  }
  void on_trailers(HeaderMap& t) override {
    ended = true;
    for (auto& e : t.entries()) trailers += std::string(e.name) + "=" + std::string(e.value);
  }
  void on_reset(ResetReason r, std::string_view why) override {
    reset = r;
    detail = why;
  }
  void on_send_high_water() override { said += "high;"; }
  void on_send_low_water() override { said += "low;"; }

  void answer(std::string_view status, bool end) {
    HeaderMap response(arena_);
    response.add(HeaderId::Status, status);
    response.add(HeaderId::Connection, "keep-alive");
    response.add("x-server", "s");
    sender.send_headers(response, end);
  }

  Arena arena_;
  http::StreamSender& sender;
  HeaderMap* headers = nullptr;
  std::string body, trailers, said, detail;
  bool ended = false;
  std::optional<ResetReason> reset;
};

struct ServerSessionTest : testing::Test, SessionUser {
  http::StreamReceiver* on_new_stream(http::StreamSender& response) override {
    exchanges.push_back(std::make_unique<Exchange>(pool, response));
    return exchanges.back().get();
  }
  void on_work_pending() override {}
  void on_stream_failed(ResetReason) override {}
  void on_stream_ended() override { ++ended; }
  void on_goaway() override { ++goaways; }
  void on_max_streams(uint32_t) override {}
  void on_session_error(std::string_view detail) override { error = detail; }

  void start() { session.emplace(Role::Server, options, *this, wheel, pool); }
  bool exchange() {
    if (!session) start();
    for (int i = 0; i < 100; ++i) {
      const std::string to_server = client.output();
      bool healthy = true;
      if (!to_server.empty()) healthy = give(to_server);
      Buffer out(pool);
      session->turn(out, write_limit);
      const std::string back = out.to_string();
      client.receive(back);
      if (!healthy) return false;
      if (to_server.empty() && back.empty()) return true;
    }
    ADD_FAILURE() << "the two never stop talking";
    return false;
  }
  bool give(std::string_view bytes) {
    Buffer in(pool);
    in.append(bytes);
    return session->receive(in);
  }
  int32_t get(std::string_view path = "/") { return client.request(head("GET", path), true); }
  static TestPeer::Fields head(std::string_view method, std::string_view path) {
    return {{":method", std::string(method)},
            {":path", std::string(path)},
            {":scheme", "http"},
            {":authority", "host"}};
  }
  void send(Exchange& e, std::string_view text, bool end) {
    Buffer b(pool);
    b.append(text);
    e.sender.send_data(b, end);
  }
  /// What a request with these fields besides the usual ones leads to: the detail, or "served".
  std::string verdict(TestPeer::Fields fields) {
    options.stream_error_on_invalid_message = true;
    client.request(fields, true);
    exchange();
    Exchange& e = *exchanges.back();
    return e.reset ? e.detail : e.ended ? "served" : "nothing";
  }

  TurnTime time;
  BlockPool pool;
  TimerWheel wheel{time};
  TestPeer client{{}, false, TestPeer::Side::Client};
  SessionOptions options;
  std::vector<std::unique_ptr<Exchange>> exchanges;
  std::optional<Session> session;
  size_t write_limit = 1 << 20;
  int ended = 0, goaways = 0;
  std::string error;
};

TEST_F(ServerSessionTest, ServesARequestWithBodyAndTrailersBothWays) {
  const int32_t id = client.request(head("POST", "/p"), false);
  ASSERT_TRUE(exchange());
  client.data(id, "question", true, {{"x-t", "1"}});
  ASSERT_TRUE(exchange());
  ASSERT_EQ(exchanges.size(), 1u);
  Exchange& e = *exchanges[0];
  EXPECT_EQ(e.headers->method(), "POST");
  EXPECT_EQ(e.headers->path(), "/p");
  EXPECT_EQ(e.headers->authority(), "host");
  EXPECT_EQ(e.body, "question");
  EXPECT_EQ(e.trailers, "x-t=1");
  e.answer("200", false);
  send(e, "answer", false);
  HeaderMap trailers(e.arena());
  trailers.add("grpc-status", "0");
  e.sender.send_trailers(trailers);
  ASSERT_TRUE(exchange());
  const TestPeer::Request& got = client.requests[id];
  EXPECT_THAT(got.headers, ElementsAre(Pair(":status", "200"), Pair("x-server", "s")));
  EXPECT_EQ(got.body, "answer");
  EXPECT_THAT(got.trailers, ElementsAre(Pair("grpc-status", "0")));
  EXPECT_TRUE(got.closed);
  EXPECT_EQ(got.close_code, 0u);
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(session->active_streams(), 0u);
}

TEST_F(ServerSessionTest, ServesStreamsInAnyOrder) {
  const int32_t first = get("/1"), second = get("/2");
  ASSERT_TRUE(exchange());
  exchanges[1]->answer("404", true);
  ASSERT_TRUE(exchange());
  EXPECT_TRUE(client.requests[second].closed);
  EXPECT_FALSE(client.requests[first].closed);
  exchanges[0]->answer("200", true);
  ASSERT_TRUE(exchange());
  EXPECT_TRUE(client.requests[first].closed);
}

TEST_F(ServerSessionTest, AnswersInFrontOfTheFinalOne) {
  const int32_t id = get();
  ASSERT_TRUE(exchange());
  HeaderMap early(exchanges[0]->arena());
  early.set_status(103);
  exchanges[0]->sender.send_informational(early);
  exchanges[0]->answer("204", true);
  ASSERT_TRUE(exchange());
  EXPECT_THAT(client.requests[id].headers, ElementsAre(Pair(":status", "103")));
  EXPECT_THAT(client.requests[id].trailers, testing::Contains(Pair(":status", "204")));
}

TEST_F(ServerSessionTest, TellsAClientToStopSendingWhatNobodyWants) {
  const int32_t id = client.request(head("POST", "/"), false);
  ASSERT_TRUE(exchange());
  client.data(id, "much", false);
  ASSERT_TRUE(exchange());
  exchanges[0]->answer("413", true);
  ASSERT_TRUE(exchange());
  EXPECT_THAT(client.requests[id].headers, testing::Contains(Pair(":status", "413")));
  EXPECT_TRUE(client.requests[id].closed);
  EXPECT_EQ(client.requests[id].close_code, static_cast<uint32_t>(NGHTTP2_NO_ERROR));
  EXPECT_EQ(session->active_streams(), 0u);
}

TEST_F(ServerSessionTest, AResetByTheClientIsHeardAtOnceEvenWhilePaused) {
  const int32_t id = client.request(head("POST", "/"), false);
  ASSERT_TRUE(exchange());
  exchanges[0]->sender.pause_receiving();
  client.data(id, "body", true);
  ASSERT_TRUE(exchange());
  client.reset(id, NGHTTP2_CANCEL);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(exchanges[0]->reset, ResetReason::RemoteReset);
  EXPECT_EQ(session->active_streams(), 0u);
}

TEST_F(ServerSessionTest, RefusesHeadsForStreamsThatAreOver) {
  const int32_t id = get();
  ASSERT_TRUE(exchange());
  exchanges[0]->answer("200", true);
  ASSERT_TRUE(exchange());
  const std::string number(1, static_cast<char>(id));
  EXPECT_FALSE(give(std::string("\0\0\1\1\5\0\0\0", 8) + number + "\x82"));
  EXPECT_EQ(session->error(), "http2.protocol_error{HEADERS for a closed stream}");
}

TEST_F(ServerSessionTest, IgnoresWhatWasOnItsWayWhenItReset) {
  const int32_t id = client.request(head("POST", "/"), false);
  ASSERT_TRUE(exchange());
  exchanges[0]->sender.reset(ResetReason::LocalReset);
  Buffer out(pool);
  session->turn(out, write_limit);
  client.data(id, "late", true, {{"x-t", "1"}});
  const std::string late = client.output();
  ASSERT_FALSE(late.empty());
  EXPECT_TRUE(give(late));
  Buffer more(pool);
  session->turn(more, write_limit);
  EXPECT_TRUE(more.empty());
  EXPECT_FALSE(session->broken());
}

TEST_F(ServerSessionTest, GivingUpTellsTheClientOfAnInternalError) {
  const int32_t id = get();
  ASSERT_TRUE(exchange());
  exchanges[0]->answer("200", false);
  exchanges[0]->sender.reset(ResetReason::LocalReset);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(client.requests[id].close_code, static_cast<uint32_t>(NGHTTP2_INTERNAL_ERROR));
  EXPECT_FALSE(exchanges[0]->reset);
  EXPECT_EQ(session->active_streams(), 0u);
}

TEST_F(ServerSessionTest, WhatWasSaidBeforeGivingUpStillArrives) {
  const int32_t id = get();
  ASSERT_TRUE(exchange());
  exchanges[0]->answer("200", false);
  send(*exchanges[0], "half", false);
  exchanges[0]->sender.reset(ResetReason::LocalReset);
  ASSERT_TRUE(exchange());
  EXPECT_THAT(client.requests[id].headers, testing::Contains(Pair(":status", "200")));
  EXPECT_EQ(client.requests[id].body, "half");
  EXPECT_EQ(client.requests[id].close_code, static_cast<uint32_t>(NGHTTP2_INTERNAL_ERROR));
}

TEST_F(ServerSessionTest, ARequestThatIsBrokenBeforeItIsHeardIsNotBegun) {
  const int32_t id = get();
  std::string bytes = client.output();
  client.reset(id, NGHTTP2_CANCEL);
  bytes += client.output();
  start();
  ASSERT_TRUE(give(bytes));
  ASSERT_TRUE(exchange());
  EXPECT_EQ(exchanges[0]->headers, nullptr);
  EXPECT_EQ(exchanges[0]->reset, ResetReason::RemoteReset);
}

TEST_F(ServerSessionTest, ASlowReaderStopsItsOwnSender) {
  TestPeer slow({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000}}, true, TestPeer::Side::Client);
  std::swap(client.session, slow.session);
  options.stream_send_high_water = 10'000;
  get();
  ASSERT_TRUE(exchange());
  exchanges[0]->answer("200", false);
  send(*exchanges[0], std::string(20'000, 'x'), false);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(exchanges[0]->said, "high;");
  std::swap(client.session, slow.session);
}

TEST_F(ServerSessionTest, AResponseThatTheClientDoesNotReadIsGivenUpInTime) {
  TestPeer slow({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10}}, true, TestPeer::Side::Client);
  std::swap(client.session, slow.session);
  options.stream_flush_timeout_ms = 1000;
  get();
  ASSERT_TRUE(exchange());
  exchanges[0]->answer("200", false);
  send(*exchanges[0], "more than ten bytes", true);
  ASSERT_TRUE(exchange());
  EXPECT_EQ(session->active_streams(), 1u) << "the rest waits for the client";
  time.now_ms += 999;
  wheel.advance();
  ASSERT_TRUE(exchange());
  EXPECT_EQ(session->active_streams(), 1u);
  time.now_ms += 10;
  wheel.advance();
  ASSERT_TRUE(exchange());
  EXPECT_EQ(session->active_streams(), 0u);
  std::swap(client.session, slow.session);
}

TEST_F(ServerSessionTest, DrainsInTwoSteps) {
  const int32_t first = get();
  ASSERT_TRUE(exchange());
  session->start_drain();
  ASSERT_TRUE(exchange());
  EXPECT_EQ(client.goaway_code, 0u);
  EXPECT_EQ(client.goaway_last_id, 0x7fffffff);
  session->finish_drain();
  ASSERT_TRUE(exchange());
  EXPECT_EQ(client.goaway_last_id, first);
  exchanges[0]->answer("200", true);
  ASSERT_TRUE(exchange());
  EXPECT_TRUE(client.requests[first].closed);
  EXPECT_EQ(client.requests[first].close_code, 0u);
  EXPECT_FALSE(session->broken());
}

TEST_F(ServerSessionTest, ReadsAHeadOneWay) {
  auto with = [](TestPeer::Fields more) {
    TestPeer::Fields fields = head("GET", "/");
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  };
  EXPECT_EQ(verdict(with({{"cookie", "a=1"}, {"cookie", "b=2"}})), "served");
  EXPECT_EQ(exchanges.back()->headers->get(HeaderId::Cookie), "a=1; b=2");
  EXPECT_EQ(verdict(with({{"host", "HOST"}})), "served");
  EXPECT_FALSE(exchanges.back()->headers->has(HeaderId::Host));
  EXPECT_EQ(verdict({{":method", "GET"}, {":path", "/"}, {":scheme", "http"}, {"host", "h"}}),
            "served");
  EXPECT_EQ(exchanges.back()->headers->authority(), "h");
  EXPECT_EQ(verdict(with({{"host", "other"}})), "http2.invalid_authority");
  EXPECT_EQ(
      verdict({{":method", "GET"}, {":path", "/"}, {":scheme", "http"}, {":authority", "u@h"}}),
      "http2.invalid_authority");
  EXPECT_EQ(verdict(with({{std::string(255, 'n'), "1"}})), "served");
  EXPECT_EQ(verdict(with({{std::string(256, 'n'), "1"}})), "http2.invalid.header.field");
  EXPECT_EQ(verdict(head("GET", "//evil/..")), "http2.invalid_path");
  EXPECT_EQ(verdict({{":method", "GET"}, {":path", "/"}, {":scheme", "ftp"}, {":authority", "h"}}),
            "http2.invalid_scheme");
  EXPECT_EQ(verdict({{":method", "CONNECT"}, {":authority", "h"}}), "http2.invalid_authority");
}

TEST_F(ServerSessionTest, AMalformedRequestEndsTheConnectionUnlessConfiguredOtherwise) {
  TestPeer::Fields fields = head("GET", "/");
  fields.emplace_back("host", "other");
  client.request(fields, true);
  EXPECT_FALSE(exchange());
  EXPECT_EQ(session->error(), "http2.invalid_authority");
  EXPECT_EQ(client.goaway_code, static_cast<uint32_t>(NGHTTP2_PROTOCOL_ERROR));
}

TEST_F(ServerSessionTest, FieldsWithUnderscoresAreDropped) {
  options.underscores = http::Underscores::Drop;
  TestPeer::Fields fields = head("GET", "/");
  fields.emplace_back("x_a", "1");
  EXPECT_EQ(verdict(fields), "served");
  EXPECT_EQ(exchanges.back()->headers->find("x_a"), nullptr);
}

TEST_F(ServerSessionTest, OrTheirRequestsAreRefused) {
  options.underscores = http::Underscores::Reject;
  TestPeer::Fields fields = head("GET", "/");
  fields.emplace_back("x_a", "1");
  EXPECT_EQ(verdict(fields), "http2.unexpected_underscore");
}

TEST_F(ServerSessionTest, TooManyHeadersResetTheStream) {
  options.max_headers = 10;
  TestPeer::Fields fields = head("GET", "/");
  for (int i = 0; i < 10; ++i) fields.emplace_back("x-" + std::to_string(i), "v");
  const int32_t id = client.request(fields, true);
  ASSERT_TRUE(exchange());
  EXPECT_TRUE(client.requests[id].closed);
  EXPECT_EQ(exchanges[0]->detail, "http2.too_many_headers");
  EXPECT_EQ(exchanges[0]->headers, nullptr);
}

TEST_F(ServerSessionTest, RefusesStreamsAboveTheLimit) {
  options.max_concurrent_streams = 1;
  const int32_t first = get(), second = get();
  exchange();
  EXPECT_EQ(exchanges.size(), 1u);
  EXPECT_FALSE(client.requests[first].closed);
  EXPECT_TRUE(client.requests[second].closed);
  EXPECT_EQ(client.requests[second].close_code, static_cast<uint32_t>(NGHTTP2_REFUSED_STREAM));
}

TEST_F(ServerSessionTest, GivingUpTellsTheClientWhyAndThenTheUser) {
  get();
  ASSERT_TRUE(exchange());
  session->give_up("too much");
  session->give_up("more");
  EXPECT_EQ(error, "") << "not from inside the call";
  exchange();
  EXPECT_EQ(client.goaway_code, static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
  EXPECT_EQ(error, "too much");
  EXPECT_TRUE(session->broken());
}

TEST_F(ServerSessionTest, AbandoningTellsEveryStream) {
  get();
  get();
  ASSERT_TRUE(exchange());
  session->abandon(ResetReason::ConnectionClosed, "gone");
  EXPECT_EQ(exchanges[0]->reset, ResetReason::ConnectionClosed);
  EXPECT_EQ(exchanges[1]->detail, "gone");
  Buffer out(pool);
  session->turn(out, write_limit);
  EXPECT_EQ(session->active_streams(), 0u);
}

}  // namespace
}  // namespace remora::http2
