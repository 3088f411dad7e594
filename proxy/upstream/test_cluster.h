// For tests of pools and clusters: a worker with a cluster map and statistics, and requests that
// remember what they were told.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/event/event_loop.h"
#include "proxy/stats/store.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/test_hosts.h"
#include "proxy/upstream/test_server.h"

namespace remora::upstream::testing {

inline EndpointConfig endpoint_at(const Address& address) {
  EndpointConfig endpoint;
  endpoint.address = address;
  return endpoint;
}

/// A request (GET /) that waits for a connection, sends itself and collects the answer.
class TestRequest final : public HttpPoolWaiter, public http::StreamReceiver {
 public:
  explicit TestRequest(EventLoop& loop) : arena_(loop.blocks()) {}
  ~TestRequest() {
    if (sender != nullptr && !done()) abandon();
  }

  void start(Cluster& cluster, const HostPtr& host, Priority priority = Priority::Default,
             const ConnectionNeeds& needs = {}) {
    Acquired acquired = cluster.acquire_http(host, priority, *this, needs);
    if (acquired.ready != nullptr) {
      immediate = true;
      send(*acquired.ready);
      return;
    }
    pending = std::move(acquired.pending);
    if (pending == nullptr) failure = acquired.failure;
  }

  /// Resets the request, which must be in flight.
  void abandon() { std::exchange(sender, nullptr)->reset(http::ResetReason::LocalReset); }
  bool done() const { return ended || reset_reason || failure; }

  bool immediate = false;  // a connection was there at once
  std::unique_ptr<PendingRequest> pending;
  std::optional<PoolFailure> failure;
  std::string failure_detail;
  std::optional<http::ResetReason> reset_reason;
  bool unprocessed = false;
  uint16_t status = 0;
  std::string body;
  bool ended = false;
  HttpConnection* connection = nullptr;
  uint64_t streams_before = 0;
  http::StreamSender* sender = nullptr;
  std::function<void()> on_failure;

 private:
  void on_pool_ready(HttpConnection& connection) override {
    pending.reset();
    send(connection);
  }
  void on_pool_failure(PoolFailure reason, std::string_view detail, const HostPtr&) override {
    pending.reset();
    failure = reason;
    failure_detail = std::string(detail);
    if (on_failure) on_failure();
  }

  void send(HttpConnection& ready) {
    connection = &ready;
    streams_before = ready.streams_before();
    sender = &ready.new_stream(*this);
    http::HeaderMap headers(arena_);
    headers.add(http::HeaderId::Method, "GET");
    headers.add(http::HeaderId::Path, "/");
    headers.add(http::HeaderId::Authority, "test");
    headers.add(http::HeaderId::Scheme, "http");
    sender->send_headers(headers, true);
  }

  Arena& arena() override { return arena_; }
  void on_headers(http::HeaderMap& headers, bool end_stream) override {
    status = headers.status();
    ended = end_stream;
  }
  void on_data(Buffer& data, bool end_stream) override {
    body += data.to_string();
    data.clear();
    ended = end_stream;
  }
  void on_trailers(http::HeaderMap&) override { ended = true; }
  void on_reset(http::ResetReason reason, std::string_view) override {
    reset_reason = reason;
    unprocessed = connection->unprocessed();
  }

  Arena arena_;
};

class ClusterTestBase : public ::testing::Test {
 protected:
  ClusterTestBase() { config.name = "test"; }
  ~ClusterTestBase() override { loop.run_once(0); }

  /// Makes or updates the cluster "test" with `config`.
  Cluster& apply(std::vector<EndpointConfig> endpoints) {
    return apply_sets({locality(std::move(endpoints))});
  }
  Cluster& apply_sets(std::vector<LocalityEndpoints> localities) {
    hosts = make_host_set(assignment(std::move(localities)), hosts.get(), config);
    if (shared == nullptr) shared = std::make_shared<ClusterShared>(config, *store);
    map->update(std::make_shared<ClusterConfig>(config), shared, hosts);
    return *map->find("test");
  }
  void update_hosts(std::vector<EndpointConfig> endpoints) {
    hosts = make_host_set(assignment({locality(std::move(endpoints))}), hosts.get(), config);
    map->update_hosts("test", hosts);
  }
  Cluster& cluster() { return *map->find("test"); }
  HostPtr host(size_t index = 0) const { return hosts->priorities[0].hosts[index]; }

  template <class F>
  void run_until(F done) {
    const uint64_t deadline = monotonic_now_ms() + kPatienceMs;
    while (!done()) {
      loop.run_once(10);
      if (monotonic_now_ms() > deadline) {
        ADD_FAILURE() << "waited too long";
        return;
      }
    }
  }
  /// Lets everything happen that is about to.
  void settle() {
    for (int i = 0; i < 3; ++i) loop.run_once(1);
  }

  /// One whole request and answer; leaves the connection idle.
  void exchange(TestPeer* peer) {
    TestRequest request(loop);
    request.start(cluster(), host());
    run_until([&] { return request.sender != nullptr || request.failure; });
    if (!request.immediate) *peer = server.accept();
    loop.run_once(0);
    peer->read_head();
    peer->answer("ok");
    run_until([&] { return request.done(); });
    EXPECT_EQ(request.body, "ok");
  }

  uint64_t stat(stats::ClusterStat which) {
    return shared->stats().at(worker.index()).value(which);
  }
  uint32_t in_use(Resource resource, Priority priority = Priority::Default) {
    return shared->counts(priority).used(resource);
  }

  EventLoop loop;
  std::unique_ptr<stats::Store> store = *stats::Store::make({}, 1);
  WorkerContext worker{loop, 0, 42};
  std::unique_ptr<ClusterMap> map = std::make_unique<ClusterMap>(worker);
  TestServer server;
  ClusterConfig config;
  std::shared_ptr<ClusterShared> shared;
  std::shared_ptr<const HostSet> hosts;
};

/// One host: the test's server.
class HttpPoolTestBase : public ClusterTestBase {
 protected:
  Cluster& one_host() { return apply({endpoint_at(server.address())}); }

  /// Starts `request` and waits until the server has read it.
  TestPeer deliver(TestRequest& request) {
    request.start(cluster(), host());
    run_until([&] { return request.sender != nullptr; });
    TestPeer peer = server.accept();
    loop.run_once(0);
    EXPECT_EQ(peer.read_head().substr(0, 16), "GET / HTTP/1.1\r\n");
    return peer;
  }
};

}  // namespace remora::upstream::testing
