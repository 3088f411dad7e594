// What TLS costs over plain bytes: a small request and answer, bulk, handshakes, and memory while
// idle.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <string>
#include <vector>

#include "proxy/net/connection.h"
#include "proxy/stats/store.h"
#include "proxy/tls/test_certificates.h"
#include "proxy/tls/transport_factory.h"

namespace remora::tls {
namespace {

class Counter final : public ConnectionHandler {
 public:
  void on_connected() override { connected = true; }
  void on_data(Buffer& data, bool) override {
    received += data.size();
    data.clear();
  }
  void on_closed(CloseCause) override {}
  void on_write_high_water() override {}
  void on_write_low_water() override {}
  bool connected = false;
  size_t received = 0;
};

struct World {
  World() {
    Validation rules;
    rules.ca_pem = root.pem();
    ServerSettings server;
    server.require_client_certificate = true;
    ClientSettings client;
    client.max_session_keys = 0;
    const Certificate certificate = leaf.secret();
    slots[0]->set(0, *make_server_context(server, {certificate}, &rules, {}));
    slots[1]->set(0, *make_client_context(client, &certificate, &rules));
    servers = server_factory(server, slots[0], stats);
    clients = client_factory(client, slots[1], stats);
    client.max_session_keys = 1;
    slots[2]->set(0, *make_client_context(client, &certificate, &rules));
    resuming = client_factory(client, slots[2], stats);
  }
  test::Issued root = test::Issued::root();
  test::Issued leaf = root.issue({.sans = "URI:spiffe://mesh/a"});
  std::unique_ptr<stats::Store> store = *stats::Store::make({}, 1);
  std::shared_ptr<TlsStats> stats = store->group<stats::TlsSchema>("x");
  std::shared_ptr<ContextSlots> slots[3] = {std::make_shared<ContextSlots>(1),
                                            std::make_shared<ContextSlots>(1),
                                            std::make_shared<ContextSlots>(1)};
  std::shared_ptr<const TransportFactory> servers, clients, resuming;
  EventLoop loop;
};

struct Pair {
  Pair(World& world, const TransportFactory& server, const TransportFactory& client)
      : loop(world.loop) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) abort();
    ends[0] = std::make_unique<Connection>(loop, Socket(fds[0]), server.make(fds[0], {}),
                                           ConnectionLimits{});
    ends[1] = std::make_unique<Connection>(loop, Socket(fds[1]), client.make(fds[1], {}),
                                           ConnectionLimits{});
    for (int i = 0; i < 2; ++i) ends[i]->set_handler(handlers[i]);
    ends[0]->begin();
    ends[1]->begin_connecting(0, 0);
    while (!handlers[0].connected || !handlers[1].connected) loop.run_once(0);
  }
  ~Pair() {
    for (auto& end : ends) end->close(CloseHow::NoFlush);
    loop.run_once(0);
  }
  void send(int from, const std::string& text) {
    Buffer data(loop.blocks());
    data.append(text);
    ends[from]->write(data, false);
    const size_t want = handlers[1 - from].received + text.size();
    while (handlers[1 - from].received < want) loop.run_once(0);
  }
  EventLoop& loop;
  Counter handlers[2];
  std::unique_ptr<Connection> ends[2];
};

const TransportFactory& raw() {
  static const std::shared_ptr<const TransportFactory> factory = raw_transport_factory();
  return *factory;
}

void ping_pong(benchmark::State& state, size_t bytes, bool secure) {
  World world;
  Pair pair(world, secure ? *world.servers : raw(), secure ? *world.clients : raw());
  const std::string text(bytes, 'x');
  for (auto _ : state) {
    pair.send(1, text);
    pair.send(0, text);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * 2 * bytes));
}
BENCHMARK_CAPTURE(ping_pong, raw_1k, 1024, false);
BENCHMARK_CAPTURE(ping_pong, tls_1k, 1024, true);
BENCHMARK_CAPTURE(ping_pong, raw_1m, 1 << 20, false);
BENCHMARK_CAPTURE(ping_pong, tls_1m, 1 << 20, true);

void handshake(benchmark::State& state, bool resumed) {
  World world;
  for (auto _ : state) {
    Pair pair(world, *world.servers, resumed ? *world.resuming : *world.clients);
    if (resumed) pair.send(0, "x");
  }
}
BENCHMARK_CAPTURE(handshake, full, false);
BENCHMARK_CAPTURE(handshake, resumed, true);

void idle_memory(benchmark::State& state, bool secure) {
  World world;
  constexpr size_t kPairs = 500;
  for (auto _ : state) {
    std::vector<std::unique_ptr<Pair>> pairs;
    pairs.push_back(std::make_unique<Pair>(world, secure ? *world.servers : raw(),
                                           secure ? *world.clients : raw()));
    world.loop.blocks().trim(0);
    const size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < kPairs; ++i) {
      pairs.push_back(std::make_unique<Pair>(world, secure ? *world.servers : raw(),
                                             secure ? *world.clients : raw()));
      pairs.back()->send(1, std::string(1024, 'x'));
      pairs.back()->send(0, std::string(1024, 'x'));
    }
    world.loop.blocks().trim(0);
    state.counters["bytes_per_connection"] =
        static_cast<double>(mallinfo2().uordblks - before) / (2 * kPairs);
  }
}
BENCHMARK_CAPTURE(idle_memory, raw, false)->Iterations(1);
BENCHMARK_CAPTURE(idle_memory, tls, true)->Iterations(1);

}  // namespace
}  // namespace remora::tls

BENCHMARK_MAIN();
