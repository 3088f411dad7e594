// Tunnels over HTTP/2: CONNECT and extended CONNECT, as a client asks for them and as a server
// opens them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

/// One end of a stream: hears a message, written down as text, and has a sender.
struct End final : http::StreamReceiver {
  explicit End(BlockPool& pool) : arena_(pool) {}
  Arena& arena() override { return arena_; }
  void on_headers(HeaderMap& h, bool end) override {
    for (const http::HeaderEntry& e : h.entries()) {
      if (!e.removed) head += std::string(e.name) + "=" + std::string(e.value) + ";";
    }
    ended |= end;
  }
  void on_data(Buffer& data, bool end) override {
    body += data.to_string();
    data.clear();
    ended |= end;
  }
  void on_trailers(HeaderMap&) override { ended = true; }
  void on_reset(ResetReason r, std::string_view why) override {
    reset = r;
    detail = why;
  }

  Arena arena_;
  http::StreamSender* sender = nullptr;
  std::string head, body, detail;
  bool ended = false;
  std::optional<ResetReason> reset;
};

struct TunnelTest : testing::Test, SessionUser {
  http::StreamReceiver* on_new_stream(http::StreamSender& response) override {
    ends.push_back(std::make_unique<End>(pool));
    ends.back()->sender = &response;
    return ends.back().get();
  }
  void on_work_pending() override {}
  void on_stream_failed(ResetReason) override {}
  void on_stream_ended() override { ++over; }
  void on_goaway() override {}
  void on_max_streams(uint32_t) override {}
  void on_session_error(std::string_view detail) override { error = detail; }

  void be(Role role, std::vector<nghttp2_settings_entry> settings = {}) {
    const auto side = role == Role::Client ? TestPeer::Side::Server : TestPeer::Side::Client;
    peer = std::make_unique<TestPeer>(std::move(settings), false, side);
    options.allow_connect = role == Role::Server;
    session.emplace(role, options, *this, wheel, pool);
  }
  void exchange() {
    for (int i = 0; i < 100; ++i) {
      Buffer out(pool);
      session->turn(out, 1 << 20);
      const std::string to_peer = out.to_string();
      peer->receive(to_peer);
      const std::string back = peer->output();
      if (to_peer.empty() && back.empty()) return;
      Buffer in(pool);
      in.append(back);
      session->receive(in);
    }
    ADD_FAILURE() << "the two never stop talking";
  }
  HeaderMap& message(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
    auto* headers = arena.make<HeaderMap>(arena);
    for (const auto& [name, value] : fields) headers->add(name, value);
    return *headers;
  }
  HeaderMap& upgrade() {
    return message({{":method", "GET"},
                    {":path", "/ws"},
                    {":scheme", "http"},
                    {":authority", "host"},
                    {"connection", "Upgrade"},
                    {"upgrade", "websocket"}});
  }
  End& ask(const HeaderMap& request) {
    ends.push_back(std::make_unique<End>(pool));
    ends.back()->sender = &session->open_stream(*ends.back());
    ends.back()->sender->send_headers(request, false);
    return *ends.back();
  }
  void send(End& end, std::string_view text, bool last) {
    Buffer data(pool);
    data.append(text);
    end.sender->send_data(data, last);
  }

  static constexpr nghttp2_settings_entry kAllowed = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};

  TurnTime time;
  BlockPool pool;
  TimerWheel wheel{time};
  Arena arena{pool};
  SessionOptions options;
  std::unique_ptr<TestPeer> peer;
  std::optional<Session> session;
  std::vector<std::unique_ptr<End>> ends;
  int over = 0;
  std::string error;
};

// --- as a client ---

TEST_F(TunnelTest, AnUpgradeIsAskedForByExtendedConnect) {
  be(Role::Client, {kAllowed});
  End& end = ask(upgrade());
  send(end, "early", false);
  exchange();
  TestPeer::Request& request = peer->requests[1];
  EXPECT_THAT(request.headers,
              ElementsAre(Pair(":method", "CONNECT"), Pair(":path", "/ws"), Pair(":scheme", "http"),
                          Pair(":authority", "host"), Pair(":protocol", "websocket")));
  EXPECT_EQ(request.body, "") << "nothing is sent before the answer";
  peer->headers(1, {{":status", "200"}}, false);
  exchange();
  EXPECT_EQ(end.head, ":status=101;upgrade=websocket;connection=upgrade;");
  EXPECT_EQ(request.body, "early");
  peer->data(1, "down", true);
  exchange();
  EXPECT_EQ(end.body, "down");
  EXPECT_TRUE(end.ended);
  send(end, " and more", true);
  exchange();
  EXPECT_EQ(request.body, "early and more");
  EXPECT_TRUE(request.ended);
  EXPECT_FALSE(end.reset);
  EXPECT_EQ(over, 1);
}

TEST_F(TunnelTest, ARefusedUpgradeIsAnOrdinaryAnswer) {
  be(Role::Client, {kAllowed});
  End& end = ask(upgrade());
  send(end, "early", false);
  exchange();
  peer->headers(1, {{":status", "403"}}, false);
  peer->data(1, "no", true);
  exchange();
  EXPECT_EQ(end.head, ":status=403;");
  EXPECT_EQ(end.body, "no");
  send(end, "late", true);
  exchange();
  EXPECT_EQ(peer->requests[1].body, "") << "what was for the tunnel goes nowhere";
}

TEST_F(TunnelTest, APeerThatDoesNotKnowExtendedConnectIsNotAsked) {
  be(Role::Client);
  End& end = ask(upgrade());
  exchange();
  EXPECT_TRUE(peer->requests.empty());
  EXPECT_EQ(end.reset, ResetReason::ProtocolError);
  EXPECT_EQ(end.detail, "http2.extended_connect_not_enabled");
  EXPECT_EQ(over, 1);
}

TEST_F(TunnelTest, ARequestThatWaitsForSettingsMayBeGivenUp) {
  be(Role::Client, {kAllowed});
  End& end = ask(upgrade());
  end.sender->reset(ResetReason::LocalReset);
  exchange();
  EXPECT_TRUE(peer->requests.empty());
  EXPECT_EQ(over, 1);
}

TEST_F(TunnelTest, AConnectHasNoPath) {
  be(Role::Client);
  End& end = ask(message({{":method", "CONNECT"}, {":authority", "h:443"}, {":scheme", "http"}}));
  send(end, "early", true);
  exchange();
  TestPeer::Request& request = peer->requests[1];
  EXPECT_THAT(request.headers,
              ElementsAre(Pair(":method", "CONNECT"), Pair(":authority", "h:443")));
  EXPECT_FALSE(request.ended);
  peer->headers(1, {{":status", "200"}}, false);
  exchange();
  EXPECT_EQ(end.head, ":status=200;");
  EXPECT_EQ(request.body, "early");
  EXPECT_TRUE(request.ended);
}

// --- as a server ---

TEST_F(TunnelTest, AnExtendedConnectComesAsAnUpgrade) {
  be(Role::Server);
  exchange();
  const int32_t id = peer->request({{":method", "CONNECT"},
                                    {":protocol", "websocket"},
                                    {":path", "/ws"},
                                    {":scheme", "http"},
                                    {":authority", "host"}},
                                   false);
  exchange();
  ASSERT_EQ(ends.size(), 1u);
  End& end = *ends[0];
  EXPECT_EQ(end.head,
            ":method=GET;:path=/ws;:scheme=http;:authority=host;upgrade=websocket;connection="
            "upgrade;");
  end.sender->send_headers(
      message({{":status", "101"}, {"upgrade", "websocket"}, {"connection", "Upgrade"}}), false);
  send(end, "down", true);
  exchange();
  TestPeer::Request& answer = peer->requests[id];
  EXPECT_THAT(answer.headers, ElementsAre(Pair(":status", "200")));
  EXPECT_EQ(answer.body, "down");
  EXPECT_TRUE(answer.ended);
  EXPECT_FALSE(answer.closed) << "the client may have more to say";
  peer->data(id, "up", true);
  exchange();
  EXPECT_EQ(end.body, "up");
  EXPECT_TRUE(end.ended);
  EXPECT_TRUE(answer.closed);
  EXPECT_EQ(answer.close_code, 0u);
  EXPECT_EQ(over, 1);
}

TEST_F(TunnelTest, TheClientOfAConnectMayEndFirst) {
  be(Role::Server);
  exchange();
  const int32_t id = peer->request({{":method", "CONNECT"}, {":authority", "h:443"}}, false);
  exchange();
  End& end = *ends.at(0);
  EXPECT_EQ(end.head, ":method=CONNECT;:authority=h:443;");
  end.sender->send_headers(message({{":status", "200"}}), false);
  peer->data(id, "bye", true);
  exchange();
  EXPECT_EQ(end.body, "bye");
  EXPECT_TRUE(end.ended);
  send(end, "after", true);
  exchange();
  EXPECT_EQ(peer->requests[id].body, "after");
  EXPECT_EQ(over, 1);
}

TEST_F(TunnelTest, AnyOtherAnswerEndsTheRequest) {
  be(Role::Server);
  exchange();
  const int32_t id = peer->request({{":method", "CONNECT"}, {":authority", "h:443"}}, false);
  exchange();
  ends.at(0)->sender->send_headers(message({{":status", "403"}}), true);
  exchange();
  EXPECT_THAT(peer->requests[id].headers, ElementsAre(Pair(":status", "403")));
  EXPECT_TRUE(peer->requests[id].closed);
}

}  // namespace
}  // namespace remora::http2
