// A request on warm connections costs no allocation: the rule that the data path is built on.
#include <cstdlib>
#include <new>

#include "proxy/connection_manager/test_support.h"
#include "proxy/http2/test_peer.h"

namespace {

bool counting = false;
size_t allocations = 0;

void count() {
  if (counting) ++allocations;
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(_GLIBCXX_TSAN)
// Sanitizers have an allocator of their own, so C++ alone is counted.
namespace {
void* counted(size_t bytes) {
  count();
  void* memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  return memory;
}
}  // namespace

void* operator new(size_t bytes) { return counted(bytes); }
void* operator new[](size_t bytes) { return counted(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
#else
// In place of the C library's for the whole process, libraries included; operator new comes here.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);

void* malloc(size_t bytes) noexcept {
  count();
  return __libc_malloc(bytes);
}
void* calloc(size_t number, size_t bytes) noexcept {
  count();
  return __libc_calloc(number, bytes);
}
void* realloc(void* memory, size_t bytes) noexcept {
  count();
  return __libc_realloc(memory, bytes);
}
}
#endif

namespace remora::connection_manager {
namespace {

using testing::TestClient;
using upstream::testing::TestPeer;

class SteadyStateTest : public testing::HttpTest {
 protected:
  /// One exchange on connections that are there; counts what the loop allocates.
  void exchange(TestClient& client, TestPeer& peer, std::string_view request,
                std::string_view response) {
    client.send(request);
    turn();
    peer.read_until("\r\n\r\n");
    peer.write(response);
    turn();
    client.received().clear();
  }
  void turn() {
    counting = true;
    loop.run_once(0);
    loop.run_once(0);
    counting = false;
  }
  size_t allocations_of(int exchanges, TestClient& client, TestPeer& peer, std::string_view request,
                        std::string_view response) {
    allocations = 0;
    for (int i = 0; i < exchanges; ++i) exchange(client, peer, request, response);
    return allocations;
  }
};

TEST_F(SteadyStateTest, ARequestOnWarmConnectionsAllocatesNothing) {
  router::RetryPolicy policy;
  policy.on = router::parse_retry_on("5xx,connect-failure");
  action().retry = policy;
  TestClient& client = connect();
  TestPeer peer = request(client, kGet);
  peer.read_head();
  peer.answer("warm");
  expect(client, "warm");
  constexpr std::string_view kResponse =
      "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello";
  allocations_of(20, client, peer, kGet, kResponse);
  EXPECT_EQ(allocations_of(100, client, peer, kGet, kResponse), 0u);
  EXPECT_EQ(http_stat(stats::HttpStat::downstream_rq_2xx), 121u);
}

/// A client that speaks HTTP/2, and a server that speaks it too or HTTP/1.1.
class SteadyHttp2Test : public SteadyStateTest {
 protected:
  using H2 = http2::TestPeer;

  void open(upstream::HttpProtocol upstream) {
    config.protocol = upstream;
    client_ = &connect();
    to_and_fro();
    ask();
    until([&] { return server.has_waiting(); });
    peer_ = server.accept();
    answer();
  }
  void ask() {
    stream_ = h2_.request({{":method", "GET"},
                           {":path", "/x"},
                           {":scheme", "http"},
                           {":authority", "a.com"},
                           {"user-agent", "steady"}},
                          true);
    to_and_fro();
  }
  void answer() {
    if (config.protocol == upstream::HttpProtocol::Http2) {
      until([&] {
        return !upstream_h2_.requests.empty() && upstream_h2_.requests.rbegin()->second.ended;
      });
      const int32_t id = upstream_h2_.requests.rbegin()->first;
      upstream_h2_.headers(id, {{":status", "200"}, {"content-length", "5"}, {"x-a", "b"}}, false);
      upstream_h2_.data(id, "hello", true);
    } else {
      peer_.read_until("\r\n\r\n");
      peer_.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello");
    }
    until([&] { return h2_.requests[stream_].closed; });
    EXPECT_EQ(h2_.requests[stream_].body, "hello");
  }
  /// Both peers say what they have to say; only what the loop allocates counts.
  void to_and_fro() {
    for (int i = 0; i < 2; ++i) {
      if (const std::string out = h2_.output(); !out.empty()) client_->send(out);
      if (connected_to_http2()) {
        if (const std::string out = upstream_h2_.output(); !out.empty()) peer_.write(out);
      }
      turn();
      h2_.receive(std::exchange(client_->received(), {}));
      if (connected_to_http2()) upstream_h2_.receive(peer_.read_available());
    }
  }
  template <class F>
  void until(F done) {
    const uint64_t deadline = monotonic_now_ms() + upstream::testing::kPatienceMs;
    for (to_and_fro(); !done(); to_and_fro()) {
      if (monotonic_now_ms() > deadline) {
        ADD_FAILURE() << "waited too long";
        return;
      }
    }
  }
  double per_request(int requests) {
    for (int i = 0; i < 20; ++i) {
      ask();
      answer();
    }
    allocations = 0;
    for (int i = 0; i < requests; ++i) {
      ask();
      answer();
    }
    return static_cast<double>(allocations) / requests;
  }

 private:
  bool connected_to_http2() const {
    return config.protocol == upstream::HttpProtocol::Http2 && peer_.fd() >= 0;
  }

  H2 h2_{{}, false, H2::Side::Client};
  H2 upstream_h2_;
  TestClient* client_ = nullptr;
  TestPeer peer_;
  int32_t stream_ = 0;
};

TEST_F(SteadyHttp2Test, ARequestToHttp1AllocatesTwiceAtMost) {
  open(upstream::HttpProtocol::Http1);
  EXPECT_LE(per_request(100), 2);
}

TEST_F(SteadyHttp2Test, ARequestToHttp2AllocatesTwiceAtMost) {
  open(upstream::HttpProtocol::Http2);
  EXPECT_LE(per_request(100), 2);
}

}  // namespace
}  // namespace remora::connection_manager
