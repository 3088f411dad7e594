// Two TLS ends over a socket pair, with the proxy's own connections, on one loop that the test
// turns.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/net/connection_test_support.h"
#include "proxy/stats/store.h"
#include "proxy/tls/context.h"
#include "proxy/tls/test_certificates.h"
#include "proxy/tls/transport_factory.h"

namespace remora::tls::test {

/// One end of a connection and what it heard.
struct End {
  Handler handler;
  std::unique_ptr<Connection> connection;
  Socket plain;  // an end that speaks no TLS has only this

  Transport& transport() { return connection->transport(); }
  const TlsFacts* facts() { return transport().tls(); }
  std::string failure() {
    return connection == nullptr ? detail : std::string(connection->failure_detail());
  }
  std::string detail;
};

class TlsTest : public testing::Test {
 protected:
  TlsTest() { server_settings.session_scope = "test"; }

  // --- what both sides are made of; set before open() ---
  Issued root = Issued::root();
  Issued server_certificate =
      root.issue({.common_name = "server", .sans = "DNS:server.test,URI:spiffe://mesh/server"});
  Issued client_certificate =
      root.issue({.common_name = "client", .sans = "URI:spiffe://mesh/client"});
  ServerSettings server_settings;
  ClientSettings client_settings;
  Validation server_trusts = trusting(root);
  Validation client_trusts = trusting(root);
  TicketKeys ticket_keys;
  bool client_shows = true;
  bool server_verifies = true;

  static Validation trusting(const Issued& root) {
    Validation validation;
    validation.ca_pem = root.pem();
    return validation;
  }
  static SanMatch exactly(SanMatch::Type type, std::string text) {
    SanMatch rule;
    rule.type = type;
    rule.match.text = std::move(text);
    return rule;
  }

  ContextPtr server_context() {
    auto made = make_server_context(server_settings, {server_certificate.secret(server_chain)},
                                    server_verifies ? &server_trusts : nullptr, ticket_keys);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : nullptr;
  }
  ContextPtr client_context() {
    const Certificate secret = client_certificate.secret(client_chain);
    auto made =
        make_client_context(client_settings, client_shows ? &secret : nullptr, &client_trusts);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : nullptr;
  }
  /// New contexts out of the settings above, as after a rotation.
  void renew_server() { server_slots->set(0, server_context()); }
  void renew_client() { client_slots->set(0, client_context()); }

  void make_factories() {
    if (server_slots == nullptr) {
      server_slots = std::make_shared<ContextSlots>(1);
      renew_server();
      servers = server_factory(server_settings, server_slots, server_stats);
    }
    if (client_slots == nullptr) {
      client_slots = std::make_shared<ContextSlots>(1);
      renew_client();
      clients = client_factory(client_settings, client_slots, client_stats);
    }
  }

  /// Starts a connection; nothing has been said yet.
  void open(TransportOptions options = {}, ConnectionLimits limits = {}) {
    make_factories();
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    adopt(server, Socket(fds[0]), *servers, {}, limits);
    adopt(client, Socket(fds[1]), *clients, options, limits);
    server.connection->begin();
    client.connection->begin_connecting(0, 0);
  }
  /// A server whose other end is in the test's hands.
  void open_server_only() {
    make_factories();
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    adopt(server, Socket(fds[0]), *servers, {}, {});
    client.plain = Socket(fds[1]);
    server.connection->begin();
  }
  void open_client_only() {
    make_factories();
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    adopt(client, Socket(fds[0]), *clients, {}, {});
    server.plain = Socket(fds[1]);
    client.connection->begin_connecting(0, 0);
  }
  void adopt(End& end, Socket socket, const Factory& factory, const TransportOptions& options,
             ConnectionLimits limits) {
    const int fd = socket.fd();
    end.handler = Handler();
    end.detail.clear();
    end.connection =
        std::make_unique<Connection>(loop, std::move(socket), factory.make(fd, options), limits);
    end.connection->set_handler(end.handler);
    end.handler.when_closed = [this, &end] {
      end.detail = end.connection->failure_detail();
      loop.defer_delete(std::move(end.connection));
    };
  }

  void connect(TransportOptions options = {}) {
    open(options);
    turn_until(
        [&] { return (server.handler.connected && client.handler.connected) || any_closed(); });
  }
  bool both_connected() {
    return server.handler.connected == 1 && client.handler.connected == 1 && !any_closed();
  }
  bool any_closed() {
    return server.handler.closed.has_value() || client.handler.closed.has_value();
  }
  /// Says something both ways, so that tickets that came after the handshake are read.
  void exchange() {
    send(client, "ping");
    turn_until([&] { return server.handler.received == "ping"; });
    send(server, "pong");
    turn_until([&] { return client.handler.received == "pong"; });
  }
  /// Ends the connection in an orderly way, so that a next one can be opened.
  void disconnect() {
    if (client.connection) client.connection->close(CloseHow::NoFlush);
    if (server.connection) server.connection->close(CloseHow::NoFlush);
    loop.run_once(0);
  }
  void connect_again(TransportOptions options = {}) {
    disconnect();
    connect(options);
  }
  /// A handshake that the server must refuse, seen from its side.
  void expect_refused_by_server() {
    open();
    turn_until([&] { return server.handler.closed.has_value(); });
    EXPECT_EQ(server.handler.connected, 0);
    EXPECT_EQ(*server.handler.closed, CloseCause::TransportError);
    disconnect();
  }
  void expect_refused_by_client(TransportOptions options = {}) {
    open(options);
    turn_until([&] { return client.handler.closed.has_value(); });
    EXPECT_EQ(client.handler.connected, 0);
    EXPECT_EQ(*client.handler.closed, CloseCause::TransportError);
    disconnect();
  }

  void send(End& end, std::string_view text, bool end_stream = false) {
    Buffer data(loop.blocks());
    data.append(text);
    end.connection->write(data, end_stream);
  }
  void turn() { loop.run_once(0); }
  template <class Condition>
  void turn_until(Condition condition) {
    const MonotonicMs give_up = monotonic_now_ms() + 20000;
    while (!condition() && monotonic_now_ms() < give_up) loop.run_once(10);
    ASSERT_TRUE(condition()) << "server: " << server.failure() << "\nclient: " << client.failure();
  }
  uint64_t at_server(stats::TlsSchema::Stat stat) { return server_stats->at(0).value(stat); }
  uint64_t at_client(stats::TlsSchema::Stat stat) { return client_stats->at(0).value(stat); }

  std::string server_chain, client_chain;  // PEM of intermediates to show
  EventLoop loop;
  std::unique_ptr<stats::Store> store = *stats::Store::make({}, 1);
  std::shared_ptr<TlsStats> server_stats = store->group<stats::TlsSchema>("listener.x.ssl");
  std::shared_ptr<TlsStats> client_stats = store->group<stats::TlsSchema>("cluster.x.ssl");
  std::shared_ptr<ContextSlots> server_slots, client_slots;
  std::shared_ptr<const Factory> servers, clients;
  End server, client;
};

using Stat = stats::TlsSchema::Stat;
using testing::HasSubstr;

}  // namespace remora::tls::test
