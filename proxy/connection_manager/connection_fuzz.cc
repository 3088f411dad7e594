// Whole connections: what a client sends, what servers send, and the passing of time, in any order,
// through the connection manager, the router and the pools. Nothing may be left once all are gone.
//
// Input: a byte of configuration, then steps. Byte 0xff begins a step and is followed by a letter
// that says which; what follows up to the next step is its text (0xff twice stands for itself).
#include <fcntl.h>
#include <poll.h>
#include <sys/un.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>

#include "proxy/base/clock.h"
#include "proxy/connection_manager/test_support.h"

// The kernel's clocks are replaced: these are linked before the ones of proxy/base.
namespace remora {
namespace {
uint64_t simulated_us = 1'000'000'000;
}  // namespace
MonotonicMs monotonic_now_ms() { return simulated_us / 1000; }
uint64_t monotonic_now_us() { return simulated_us; }
WallNs wall_now_ns() { return static_cast<WallNs>(simulated_us) * 1000; }
}  // namespace remora

namespace remora::connection_manager {
namespace {

using stats::HttpStat;
using upstream::testing::endpoint_at;

/// A listening Unix socket for the life of the process: no ports to run out of.
class Listening {
 public:
  Listening() {
    std::string folder = "/tmp/remora-fuzz-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) std::abort();
    folder_ = folder;
    address_ = *Address::from_unix_path(folder_ + "/s");
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    std::snprintf(name.sun_path, sizeof(name.sun_path), "%s/s", folder_.c_str());
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0) std::abort();
    if (::listen(fd_, 128) != 0) std::abort();
  }
  ~Listening() {
    ::close(fd_);
    std::filesystem::remove_all(folder_);
  }
  const Address& address() const { return address_; }
  /// -1: nobody waits.
  int accept() { return ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }

 private:
  std::string folder_;
  Address address_;
  int fd_ = -1;
};

Listening& listening() {
  static Listening instance;
  return instance;
}

class World final : public testing::HttpTest {
 public:
  explicit World(uint8_t choice) {
    if (choice & 1) {
      config.protocol = upstream::HttpProtocol::Http2;
      http2::SessionOptions options;
      options.max_concurrent_streams = 2;
      config.http2 = std::make_shared<const http2::SessionOptions>(options);
    }
    if (choice & 2) {
      router::RetryPolicy policy;
      policy.on = router::RetryPolicy::k5xx | router::RetryPolicy::kReset;
      policy.num_retries = 2;
      policy.per_try_timeout_ms = 500;
      action().retry = policy;
    }
    http.http1.enable_trailers = choice & 4;
    http.http1.accept_http_10 = choice & 8;
    if (choice & 16) http.upgrades = {{"websocket", true}, {"CONNECT", true}};
    http.proxy_100_continue = choice & 32;
    if (choice & 64) config.max_requests_per_connection = 2;
    if (choice & 128) http.max_requests_per_connection = 3;
    http.request_headers_timeout_ms = 5'000;
    http.stream_idle_timeout_ms = 20'000;
    http.max_stream_duration_ms = 60'000;
    http.max_connection_duration_ms = 300'000;
    action().timeout_ms = 15'000;
    apply({endpoint_at(listening().address())});
    clients_ = {&connect(), &connect()};
  }
  ~World() override { while_gone(); }

  void step(char what, std::string_view text) {
    const char first = text.empty() ? '\0' : text.front();
    switch (what) {
      case 'c':
      case 'd':
        if (client(what) != nullptr) client(what)->try_send(text);
        break;
      case 's':
      case 't':
        if (TestPeer* peer = server(what)) peer->try_write(text);
        break;
      case 'w':
        pass(text.empty() ? 1 : 1u << (static_cast<uint8_t>(first) % 20));
        break;
      case 'r':
        if (client(first) != nullptr) client(first)->received().clear();
        break;
      case 'e':
        if (client(first) != nullptr) client(first)->end_sending();
        break;
      case 'x':
        leave(first);
        break;
      case 'E':
        if (TestPeer* peer = server(first)) peer->end_sending();
        break;
      case 'q':
        if (TestPeer* peer = server(first)) peer->close();
        break;
      case 'D':
        if (client(first) != nullptr) client(first)->drain();
        break;
      case 'h':
        update_hosts({});
        break;
      case 'H':
        update_hosts({endpoint_at(listening().address())});
        break;
      default:
        break;
    }
    turns(what == 'w' ? 1 : 2);
  }

  /// Everybody leaves; then nothing may be held.
  void while_gone() {
    for (const char which : {'c', 'd'}) leave(which);
    servers_.clear();
    for (int i = 0; i < 4; ++i) {
      pass(400'000);
      turns(2);
    }
    servers_.clear();
    turns(2);
    require(http_stat(HttpStat::downstream_cx_active) == 0, "a client connection is left");
    require(http_stat(HttpStat::downstream_rq_active) == 0, "a request is left");
    require(stat(stats::ClusterStat::upstream_rq_active) == 0, "a request to a server is left");
    require(in_use(upstream::Resource::Requests) == 0, "a request counts for ever");
    require(in_use(upstream::Resource::Pending) == 0, "a waiting request counts for ever");
    require(in_use(upstream::Resource::Retries) == 0, "a retry counts for ever");
  }

 private:
  /// The server's end, written to and read without waiting.
  class TestPeer {
   public:
    explicit TestPeer(int fd) : socket_(fd) {}
    void try_write(std::string_view text) {
      [[maybe_unused]] auto sent =
          ::send(socket_.fd(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    void drain() {
      char bytes[16 * 1024];
      while (::recv(socket_.fd(), bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
      }
    }
    void end_sending() { ::shutdown(socket_.fd(), SHUT_WR); }
    void close() { socket_.close(); }
    bool closed() const { return !socket_; }

   private:
    Socket socket_;
  };

  void TestBody() override {}

  testing::TestClient* client(char which) { return clients_[which == 'd' ? 1 : 0]; }
  void leave(char which) {
    testing::TestClient*& client = clients_[which == 'd' ? 1 : 0];
    if (client != nullptr) client->leave();
    client = nullptr;
  }
  /// 't': the oldest connection, else the newest.
  TestPeer* server(char which) {
    if (servers_.empty()) return nullptr;
    TestPeer& peer = which == 't' ? servers_.front() : servers_.back();
    return peer.closed() ? nullptr : &peer;
  }
  void pass(uint64_t ms) { simulated_us += ms * 1000; }
  void turns(int count) {
    for (int i = 0; i < count; ++i) {
      loop.run_once(0);
      for (int fd = listening().accept(); fd >= 0; fd = listening().accept()) {
        servers_.emplace_back(fd);
      }
      for (TestPeer& peer : servers_) {
        if (!peer.closed()) peer.drain();
      }
    }
  }
  static void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
  }

  std::array<testing::TestClient*, 2> clients_;
  std::deque<TestPeer> servers_;
};

/// The text of the step at the front of `input`, which is behind it then.
std::string next_text(std::string_view& input) {
  std::string text;
  while (!input.empty()) {
    const bool mark = input.front() == '\xff';
    if (mark && (input.size() < 2 || input[1] != '\xff')) break;
    text += input.front();
    input.remove_prefix(mark ? 2 : 1);
  }
  return text;
}

}  // namespace
}  // namespace remora::connection_manager

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora::connection_manager;
  constexpr int kMaxSteps = 200;
  if (size < 2) return 0;
  World world(data[0]);
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (int steps = 0; input.size() >= 2 && steps < kMaxSteps; ++steps) {
    if (input.front() != '\xff') {
      input.remove_prefix(1);
      continue;
    }
    const char what = input[1];
    input.remove_prefix(2);
    world.step(what, next_text(input));
  }
  return 0;
}
