// Bytes over TLS: handshakes, bulk both ways, ends, and peers that speak something else.
#include "proxy/tls/tls_transport.h"

#include "proxy/tls/tls_test_support.h"

namespace remora::tls::test {
namespace {

TEST_F(TlsTest, BothSidesKnowEachOtherAfterTheHandshake) {
  server_settings.require_client_certificate = true;
  connect();
  ASSERT_TRUE(both_connected()) << server.failure() << client.failure();
  const TlsFacts& facts = *server.facts();
  EXPECT_EQ(facts.version, "TLSv1.3");
  EXPECT_EQ(facts.cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_TRUE(facts.peer_verified);
  EXPECT_FALSE(facts.resumed);
  ASSERT_NE(facts.peer, nullptr);
  EXPECT_THAT(facts.peer->uri_sans, testing::ElementsAre("spiffe://mesh/client"));
  EXPECT_EQ(facts.peer->subject, "CN=client");
  EXPECT_EQ(facts.peer->issuer, "CN=root");
  EXPECT_THAT(facts.local->dns_sans, testing::ElementsAre("server.test"));
  EXPECT_TRUE(client.facts()->peer_verified);
  EXPECT_THAT(client.facts()->peer->uri_sans, testing::ElementsAre("spiffe://mesh/server"));
  EXPECT_THAT(facts.peer_pem(), testing::StartsWith("-----BEGIN%20CERTIFICATE-----%0A"));
  EXPECT_EQ(at_server(Stat::handshake), 1u);
  EXPECT_EQ(at_server(Stat::tls13), 1u);
  EXPECT_EQ(at_server(Stat::tls_aes_128_gcm_sha256), 1u);
  EXPECT_EQ(at_server(Stat::no_certificate), 0u);
  EXPECT_EQ(at_server(Stat::connection_error), 0u);
}

TEST_F(TlsTest, BytesGoBothWays) {
  connect();
  ASSERT_TRUE(both_connected());
  exchange();
}

TEST_F(TlsTest, Tls12WorksToo) {
  client_settings.max_version = Version::Tls12;
  connect();
  ASSERT_TRUE(both_connected()) << server.failure() << client.failure();
  EXPECT_EQ(server.facts()->version, "TLSv1.2");
  EXPECT_EQ(server.facts()->cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
  EXPECT_TRUE(server.facts()->peer_verified);
  exchange();
}

TEST_F(TlsTest, OldVersionsAreRefusedByDefault) {
  client_settings.min_version = Version::Tls10;
  client_settings.max_version = Version::Tls11;
  client_settings.cipher_suites = {"ECDHE-ECDSA-AES128-SHA"};
  expect_refused_by_server();
  EXPECT_EQ(at_server(Stat::connection_error), 1u);
  EXPECT_THAT(server.detail, HasSubstr("UNSUPPORTED_PROTOCOL"));
}

TEST_F(TlsTest, FourMegabytesGoBothWaysAtOnceThroughSmallSockets) {
  connect();
  ASSERT_TRUE(both_connected());
  std::string text(4 << 20, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
  send(server, text);
  send(client, text);
  turn_until([&] {
    return server.handler.received.size() >= text.size() &&
           client.handler.received.size() >= text.size();
  });
  EXPECT_TRUE(server.handler.received == text);
  EXPECT_TRUE(client.handler.received == text);
}

TEST_F(TlsTest, OddPiecesArriveInOrder) {
  connect();
  ASSERT_TRUE(both_connected());
  std::string all;
  Buffer data(loop.blocks());
  for (int i = 0; i < 2000; ++i) {
    const std::string piece(static_cast<size_t>(i * 37 % 9000), static_cast<char>('a' + i % 26));
    Buffer part(loop.blocks());
    part.append(piece);
    data.append(std::move(part));
    all += piece;
  }
  client.connection->write(data, false);
  turn_until([&] { return server.handler.received.size() >= all.size(); });
  EXPECT_TRUE(server.handler.received == all);
}

TEST_F(TlsTest, AReaderThatPausesStopsTheWriterAndLosesNothing) {
  open({}, {.buffer_bytes = 64 * 1024});
  turn_until([&] { return server.handler.connected && client.handler.connected; });
  server.connection->pause_reading(kPauseByFilter);
  const std::string text(2 << 20, 'x');
  send(client, text);
  for (int i = 0; i < 50; ++i) turn();
  EXPECT_EQ(client.handler.high_water, 1);
  EXPECT_GT(client.connection->write_buffer().size(), size_t{1} << 20);
  EXPECT_EQ(server.handler.received.size(), 0u);
  server.connection->resume_reading(kPauseByFilter);
  turn_until([&] { return server.handler.received.size() == text.size(); });
  EXPECT_EQ(client.handler.low_water, 1);
}

TEST_F(TlsTest, TheEndIsToldWithACloseNotifyAndTheOtherDirectionStaysOpen) {
  connect();
  ASSERT_TRUE(both_connected());
  send(client, "last words", true);
  turn_until([&] { return server.handler.ends == 1; });
  EXPECT_EQ(server.handler.received, "last words");
  EXPECT_FALSE(any_closed());
  const std::string answer(1 << 20, 'a');
  send(server, answer, true);
  turn_until([&] { return client.handler.received.size() == answer.size() && any_closed(); });
  EXPECT_EQ(*client.handler.closed, CloseCause::RemoteClose);
}

TEST_F(TlsTest, AFinWithoutCloseNotifyIsAnEndToo) {
  connect();
  ASSERT_TRUE(both_connected());
  exchange();
  server.handler.received.clear();
  send(client, "cut");
  client.connection->flush();
  shutdown(client.connection->fd(), SHUT_WR);
  turn_until([&] { return server.handler.ends == 1; });
  EXPECT_EQ(server.handler.received, "cut");
  EXPECT_EQ(at_server(Stat::connection_error), 0u);
}

TEST_F(TlsTest, ABrokenRecordEndsTheConnectionAndIsCounted) {
  connect();
  ASSERT_TRUE(both_connected());
  exchange();
  const std::string junk(
      "\x17\x03\x03\x00\x20"
      "0123456789abcdef0123456789abcdef",
      37);
  ASSERT_EQ(::send(client.connection->fd(), junk.data(), junk.size(), 0), ssize_t(junk.size()));
  turn_until([&] { return server.handler.closed.has_value(); });
  EXPECT_EQ(*server.handler.closed, CloseCause::TransportError);
  EXPECT_THAT(server.detail, HasSubstr("TLS_error:|"));
  EXPECT_THAT(server.detail, testing::EndsWith(":TLS_error_end"));
  EXPECT_EQ(at_server(Stat::connection_error), 1u);
}

TEST_F(TlsTest, PlainHttpToATlsPortIsRefused) {
  open_server_only();
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_EQ(::send(client.plain.fd(), request.data(), request.size(), 0), ssize_t(request.size()));
  turn_until([&] { return server.handler.closed.has_value(); });
  EXPECT_EQ(*server.handler.closed, CloseCause::TransportError);
  EXPECT_THAT(server.detail, HasSubstr("HTTP_REQUEST"));
  EXPECT_EQ(at_server(Stat::connection_error), 1u);
}

TEST_F(TlsTest, PlainTextBeforeTheServerHelloIsAnError) {
  open_client_only();
  const std::string answer = "HTTP/1.1 200 OK\r\n\r\n";
  ASSERT_EQ(::send(server.plain.fd(), answer.data(), answer.size(), 0), ssize_t(answer.size()));
  turn_until([&] { return client.handler.closed.has_value(); });
  EXPECT_EQ(*client.handler.closed, CloseCause::TransportError);
  EXPECT_THAT(client.detail, HasSubstr("WRONG_VERSION_NUMBER"));
  EXPECT_EQ(client.handler.received, "");
}

TEST_F(TlsTest, APeerThatLeavesDuringTheHandshakeIsNoTlsError) {
  open_server_only();
  ASSERT_EQ(::send(client.plain.fd(), "\x16\x03\x01", 3, 0), 3);
  client.plain.close();
  turn_until([&] { return server.handler.closed.has_value(); });
  EXPECT_EQ(*server.handler.closed, CloseCause::RemoteReset);
  EXPECT_EQ(at_server(Stat::connection_error), 0u);
}

TEST_F(TlsTest, AHandshakeInOneBytePiecesSucceeds) {
  make_factories();
  int near[2];
  int far[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, near), 0);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, far), 0);
  adopt(server, Socket(near[0]), *servers, {}, {});
  adopt(client, Socket(far[0]), *clients, {}, {});
  const Socket server_wire(near[1]);
  const Socket client_wire(far[1]);
  server.connection->begin();
  client.connection->begin_connecting(0, 0);
  const auto carry = [&](const Socket& from, const Socket& to) {
    char byte;
    while (::recv(from.fd(), &byte, 1, 0) == 1) {
      ASSERT_EQ(::send(to.fd(), &byte, 1, 0), 1);
      turn();
    }
  };
  const MonotonicMs give_up = monotonic_now_ms() + 20000;
  while (!both_connected() && monotonic_now_ms() < give_up) {
    turn();
    carry(client_wire, server_wire);
    carry(server_wire, client_wire);
  }
  EXPECT_TRUE(both_connected()) << server.failure() << client.failure();
}

TEST_F(TlsTest, WithoutSecretsEveryConnectionFails) {
  make_factories();
  server_slots->set(0, nullptr);
  client_slots->set(0, nullptr);
  open();
  turn_until(
      [&] { return server.handler.closed.has_value() && client.handler.closed.has_value(); });
  EXPECT_EQ(server.detail, "TLS error: Secret is not supplied by SDS");
  EXPECT_EQ(client.detail, "TLS error: Secret is not supplied by SDS");
}

TEST_F(TlsTest, ProtocolsAreChosenByTheServersPreference) {
  server_settings.alpn = {"h2", "http/1.1"};
  client_settings.alpn = {"istio", "http/1.1", "h2"};
  connect();
  ASSERT_TRUE(both_connected());
  EXPECT_EQ(server.transport().negotiated_protocol(), "h2");
  EXPECT_EQ(client.transport().negotiated_protocol(), "h2");
}

TEST_F(TlsTest, WithoutACommonProtocolThereIsNone) {
  server_settings.alpn = {"h2"};
  client_settings.alpn = {"http/1.1"};
  connect();
  ASSERT_TRUE(both_connected());
  EXPECT_EQ(server.transport().negotiated_protocol(), "");
  EXPECT_EQ(client.transport().negotiated_protocol(), "");
}

}  // namespace
}  // namespace remora::tls::test
