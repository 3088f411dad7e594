// What the tests of TCP sessions share: a downstream connection with the filter on it, a cluster
// map, servers and clients over loopback TCP, with the loop turned by hand.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "filters/network/tcp_proxy/tcp_proxy.h"
#include "proxy/stats/store.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/cluster_shared.h"
#include "proxy/upstream/worker_context.h"

namespace remora::tcp_proxy {

/// A client's connection and its only filter, as a listener would run them.
class Session final : private ConnectionHandler, private NetworkFilterContext {
 public:
  Session(WorkerContext& worker, const TcpProxyFactory& factory, Socket socket,
          const ConnectionLimits& limits)
      : worker_(worker), connection_(make(worker.loop(), std::move(socket), limits)) {
    connection_->set_handler(*this);
    filter_ = factory.make(*this);
  }

  void begin() { connection_->begin(); }
  /// As if a filter in front had looked at the first bytes, or waited for something.
  bool hold_back = false;
  void let_go() {
    hold_back = false;
    on_connected();
    run();
  }

  std::optional<CloseCause> closed;
  Connection& connection() override { return *connection_; }
  ConnectionFacts& facts() override { return facts_; }
  void drop_filter() { filter_ = nullptr; }

 private:
  static std::unique_ptr<Connection> make(EventLoop& loop, Socket socket,
                                          const ConnectionLimits& limits) {
    auto transport = raw_transport_factory()->make(socket.fd(), {});
    return std::make_unique<Connection>(loop, std::move(socket), std::move(transport), limits);
  }
  void run() {
    Buffer& data = connection_->read_buffer();
    const bool end =
        connection_->peer_ended() && !std::exchange(told_end_, connection_->peer_ended());
    if (!connection_->closing() && (end || !data.empty())) filter_->on_data(data, end);
  }

  void on_connected() override {
    if (!hold_back) filter_->on_new_connection();
  }
  void on_data(Buffer&, bool) override {
    if (!hold_back) run();
  }
  void on_closed(CloseCause cause) override {
    closed = cause;
    filter_->on_closed(cause);
  }
  void on_write_high_water() override { filter_->on_write_high_water(); }
  void on_write_low_water() override { filter_->on_write_low_water(); }
  void on_written(size_t bytes) override { filter_->on_written(bytes); }

  WorkerContext& worker() override { return worker_; }
  void continue_reading() override {}
  void set_termination_details(std::string_view) override {}
  bool draining() const override { return false; }

  WorkerContext& worker_;
  ConnectionFacts facts_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<NetworkFilter> filter_;
  bool told_end_ = false;
};

class SessionTest : public testing::Test {
 protected:
  using Stat = stats::TcpStat;
  using ClusterStat = stats::ClusterStat;

  SessionTest() : store(*stats::Store::make({}, 1)), worker(loop, 0, 42), clusters(worker) {
    worker.set_clusters(clusters);
    config.cluster = "app";
    config.stats = store->group<stats::TcpSchema>("tcp.t");
    limits.delayed_close_ms = 1000;
  }

  // --- upstream ---
  struct Server {
    Socket listening;
    Address address() const { return local_address_of(listening.fd()); }
    Socket accept() const { return accept_one(listening.fd(), nullptr); }
  };
  static Server listen() {
    Server server;
    server.listening = *listen_on(*Address::from_ip("127.0.0.1", 0), {});
    return server;
  }
  static Address refusing() { return listen().address(); }

  void set_cluster(const std::vector<Address>& hosts,
                   const std::function<void(upstream::ClusterConfig&)>& change = {}) {
    auto cluster = std::make_shared<upstream::ClusterConfig>();
    cluster->name = "app";
    upstream::LocalityEndpoints locality;
    for (const Address& host : hosts) {
      upstream::EndpointConfig endpoint;
      endpoint.address = host;
      locality.add(std::move(endpoint));
    }
    cluster->assignment.localities.push_back(std::move(locality));
    if (change) change(*cluster);
    auto shared = std::make_shared<upstream::ClusterShared>(*cluster, *store);
    cluster_stats = &shared->stats();
    auto set = upstream::make_host_set(cluster->assignment, nullptr);
    clusters.update(std::move(cluster), std::move(shared), std::move(set));
  }
  uint64_t cluster_stat(ClusterStat stat) { return cluster_stats->at(0).value(stat); }
  uint64_t stat(Stat stat) { return config.stats->at(0).value(stat); }

  // --- downstream ---
  /// Makes a client and the session of its connection, not begun.
  Session& prepare() {
    factory = std::make_unique<TcpProxyFactory>(config);
    const Server here = listen();
    int error = 0;
    client = connect_to(here.address(), {}, &error);
    Socket accepted;
    while (!accepted) accepted = here.accept();
    session = std::make_unique<Session>(worker, *factory, std::move(accepted), limits);
    return *session;
  }
  Session& open() {
    prepare().begin();
    return *session;
  }
  /// Opens a session to `host` and accepts its upstream connection.
  void relay(const Server& host) {
    open();
    turn_until([&] { return bool(server = host.accept()); });
    turn_until([&] { return !session->connection().reading_paused(); });
  }

  // --- the ends ---
  static void send(const Socket& from, std::string_view text) {
    ASSERT_EQ(::send(from.fd(), text.data(), text.size(), MSG_NOSIGNAL), ssize_t(text.size()));
  }
  static void end(const Socket& socket) { shutdown(socket.fd(), SHUT_WR); }
  static void reset(Socket& socket) {
    set_abortive_close(socket.fd());
    socket.close();
  }
  /// What waits; "<FIN>" or "<RESET>" at the end.
  static std::string receive(const Socket& socket) {
    std::string all;
    std::string part(1 << 16, '\0');
    for (;;) {
      const ssize_t got = ::recv(socket.fd(), part.data(), part.size(), MSG_DONTWAIT);
      if (got > 0) {
        all.append(part, 0, static_cast<size_t>(got));
        continue;
      }
      if (got == 0) all += "<FIN>";
      if (got < 0 && errno == ECONNRESET) all += "<RESET>";
      return all;
    }
  }
  /// Sends until no more is taken, or `most`, while the proxy reads what it wants; answers how
  /// much.
  size_t fill(const Socket& from, size_t most = SIZE_MAX) {
    const std::string block(1 << 16, 'z');
    size_t total = 0;
    for (int quiet = 0; quiet < 3 && total < most;) {
      const size_t wanted = std::min(block.size(), most - total);
      const ssize_t sent = ::send(from.fd(), block.data(), wanted, MSG_DONTWAIT | MSG_NOSIGNAL);
      quiet = sent > 0 ? 0 : quiet + 1;
      if (sent > 0) total += static_cast<size_t>(sent);
      turn();
    }
    return total;
  }
  /// Receives until `count` bytes have come, or the end.
  std::string receive_all(const Socket& socket, size_t count) {
    std::string all;
    turn_until([&] {
      all += receive(socket);
      return all.size() >= count || all.ends_with("<FIN>") || all.ends_with("<RESET>");
    });
    return all;
  }
  void expect_receives(const Socket& socket, std::string_view text) {
    EXPECT_EQ(receive_all(socket, text.size()), text);
  }

  void turn() { loop.run_once(0); }
  void turn_until(const std::function<bool()>& condition) {
    const MonotonicMs give_up = monotonic_now_ms() + 20'000;
    bool holds = condition();
    while (!holds && monotonic_now_ms() < give_up) {
      loop.run_once(5);
      holds = condition();
    }
    ASSERT_TRUE(holds);
  }
  void turn_until_closed() {
    turn_until([&] { return session->closed.has_value(); });
    turn();
  }

  EventLoop loop;
  std::unique_ptr<stats::Store> store;
  WorkerContext worker;
  upstream::ClusterMap clusters;
  stats::Group<stats::ClusterSchema>* cluster_stats = nullptr;
  Config config;
  ConnectionLimits limits;
  std::unique_ptr<TcpProxyFactory> factory;
  std::unique_ptr<Session> session;
  Socket client;
  Socket server;
};

}  // namespace remora::tcp_proxy
