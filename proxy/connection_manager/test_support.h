// For tests of the connection manager and the router: a client connection with an HTTP connection
// manager on it, a cluster "test" with one hand-driven server behind it, all on one event loop.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/connection_manager/connection_manager.h"
#include "proxy/connection_manager/request_stream.h"
#include "proxy/net/transport.h"
#include "proxy/router/route_tables.h"
#include "proxy/router/router.h"
#include "proxy/upstream/test_cluster.h"

namespace remora::connection_manager::testing {

/// A client and the proxy's end of its connection.
class TestClient final : private ConnectionHandler, private NetworkFilterContext {
 public:
  TestClient(WorkerContext& worker, const NetworkFilterFactory& factory) : worker_(worker) {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ::fcntl(fds[1], F_SETFL, O_NONBLOCK);
    client_ = Socket(fds[0]);
    facts_.remote = facts_.direct_remote = *Address::from_ip("10.1.1.1", 40000);
    facts_.local = facts_.direct_local = *Address::from_ip("10.2.2.2", 8080);
    connection_ =
        std::make_unique<Connection>(worker.loop(), Socket(fds[1]),
                                     raw_transport_factory()->make(fds[1], {}), ConnectionLimits{});
    connection_->set_handler(*this);
    filter_ = factory.make(*this);
    connection_->begin();
  }
  ~TestClient() {
    if (connection_ != nullptr && !connection_->closed()) connection_->close(CloseHow::NoFlush);
    // The filter may still be named by what the turn has to do.
    worker_.loop().run_once(0);
  }

  void send(std::string_view bytes) {
    EXPECT_EQ(::send(client_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  /// As much of it as fits; nothing when the proxy has closed.
  void try_send(std::string_view bytes) {
    [[maybe_unused]] const ssize_t sent =
        ::send(client_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  /// Everything that has come so far.
  std::string& received() {
    char bytes[16 * 1024];
    for (;;) {
      const ssize_t got = ::recv(client_.fd(), bytes, sizeof(bytes), MSG_DONTWAIT);
      if (got > 0) {
        received_.append(bytes, static_cast<size_t>(got));
      } else {
        if (got == 0) ended_ = true;
        return received_;
      }
    }
  }
  bool got(std::string_view text) { return received().find(text) != std::string::npos; }
  bool ended() {
    received();
    return ended_;
  }
  void end_sending() { ::shutdown(client_.fd(), SHUT_WR); }
  void leave() { client_.close(); }
  void drain() {
    draining_ = true;
    filter_->on_drain();
  }
  ConnectionFacts& connection_facts() { return facts_; }

 private:
  // --- ConnectionHandler ---
  void on_connected() override { filter_->on_new_connection(); }
  void on_data(Buffer& data, bool end_stream) override { filter_->on_data(data, end_stream); }
  void on_closed(CloseCause cause) override { filter_->on_closed(cause); }
  void on_write_high_water() override { filter_->on_write_high_water(); }
  void on_write_low_water() override { filter_->on_write_low_water(); }
  // --- NetworkFilterContext ---
  Connection& connection() override { return *connection_; }
  ConnectionFacts& facts() override { return facts_; }
  WorkerContext& worker() override { return worker_; }
  void continue_reading() override {}
  void set_termination_details(std::string_view) override {}
  bool draining() const override { return draining_; }

  WorkerContext& worker_;
  Socket client_;
  ConnectionFacts facts_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<NetworkFilter> filter_;
  std::string received_;
  bool ended_ = false;
  bool draining_ = false;
};

class HttpTest : public upstream::testing::ClusterTestBase {
 protected:
  HttpTest() {
    worker.set_clusters(*map);
    worker.set_routes(route_tables);
    worker.set_streams(streams);
    http.stat_prefix = "test";
    route.match.path = "/";
    router::ClusterAction action;
    action.cluster = "test";
    route.action = action;
    vhost.name = "all";
    vhost.domains = {"*"};
    router_config.stats = store->group<stats::RouterSchema>("http.test");
  }
  ~HttpTest() override {
    clients_.clear();
    loop.run_once(0);
  }

  router::ClusterAction& action() { return std::get<router::ClusterAction>(route.action); }
  router::RouteTable::Input table_input() {
    router::RouteTable::Input input;
    input.name = "table";
    input.hosts = {vhost};
    input.hosts[0].routes = {route};
    return input;
  }

  /// A client of a connection manager with the configuration as it is now; the cluster has the
  /// server as its host.
  TestClient& connect() {
    if (map->find("test") == nullptr && !no_cluster)
      apply({upstream::testing::endpoint_at(server.address())});
    auto shared_config = std::make_shared<HttpConfig>(http);
    if (shared_config->rds_name.empty())
      shared_config->routes = *router::RouteTable::build(table_input());
    for (auto& filter : filters) shared_config->filters.push_back(filter);
    shared_config->filters.push_back(
        {"router", std::make_shared<router::RouterFactory>(router_config)});
    Shared everything;
    everything.config = std::move(shared_config);
    everything.stats = store->group<stats::HttpSchema>("http.test");
    factories_.push_back(std::make_unique<ConnectionManagerFactory>(std::move(everything)));
    clients_.push_back(std::make_unique<TestClient>(worker, *factories_.back()));
    settle();
    return *clients_.back();
  }
  /// Sends a request and answers with the server's end once the request has come there.
  upstream::testing::TestPeer request(TestClient& client, std::string_view bytes) {
    client.send(bytes);
    run_until([&] { return server.has_waiting(); });
    settle();
    upstream::testing::TestPeer peer = server.accept();
    settle();
    return peer;
  }
  /// Waits until the client has `text`.
  void expect(TestClient& client, std::string_view text) {
    run_until([&] { return client.got(text) || client.ended(); });
    EXPECT_THAT(client.received(), ::testing::HasSubstr(std::string(text)));
  }
  uint64_t http_stat(stats::HttpStat which) {
    return store->group<stats::HttpSchema>("http.test")->at(0).value(which);
  }
  uint64_t router_stat(stats::RouterStat which) { return router_config.stats->at(0).value(which); }

  static constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nhost: a.com\r\n\r\n";

  router::RouteTables route_tables;
  StreamPool streams{worker};
  HttpConfig http;
  router::Route route;
  router::VirtualHost vhost;
  router::RouterConfig router_config;
  std::vector<HttpFilterConfig> filters;  // in front of the router
  bool no_cluster = false;

 private:
  std::vector<std::unique_ptr<ConnectionManagerFactory>> factories_;
  std::vector<std::unique_ptr<TestClient>> clients_;
};

}  // namespace remora::connection_manager::testing
