// A request on warm connections costs no allocation: the rule that the data path is built on.
#include <cstdlib>
#include <new>

#include "proxy/connection_manager/test_support.h"

namespace {

bool counting = false;
size_t allocations = 0;

void* counted(size_t bytes) {
  if (counting) ++allocations;
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

}  // namespace
}  // namespace remora::connection_manager
