#include "proxy/upstream/http_fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "proxy/upstream/test_cluster.h"

namespace remora::upstream {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TestPeer;

class HttpFetchTest : public testing::ClusterTestBase {
 protected:
  HttpFetchTest() { worker.set_clusters(*map); }
  ~HttpFetchTest() override { fetch.reset(); }

  void start(uint64_t timeout_ms = 60'000) {
    fetch = std::make_unique<HttpFetch>(
        worker, FetchRequest{"test", "keys.example:8080", "/jwks?a=b", timeout_ms, 100},
        [this](FetchResult got) {
          result = std::move(got);
          fetch.reset();
        });
  }
  TestPeer connected() {
    apply({testing::endpoint_at(server.address())});
    start();
    run_until([&] { return server.has_waiting(); });
    TestPeer peer = server.accept();
    settle();
    return peer;
  }
  void wait() {
    run_until([&] { return result.has_value(); });
  }

  std::unique_ptr<HttpFetch> fetch;
  std::optional<FetchResult> result;
};

TEST_F(HttpFetchTest, FetchesADocument) {
  TestPeer peer = connected();
  const std::string head = peer.read_head();
  EXPECT_THAT(head, StartsWith("GET /jwks?a=b HTTP/1.1\r\nhost: keys.example:8080\r\n"));
  EXPECT_FALSE(result);
  peer.answer("document");
  wait();
  EXPECT_EQ(result->status, 200);
  EXPECT_EQ(result->body, "document");
  EXPECT_EQ(result->failure, "");
}

TEST_F(HttpFetchTest, ToldOfAnyStatus) {
  TestPeer peer = connected();
  peer.read_head();
  peer.write("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  wait();
  EXPECT_EQ(result->status, 404);
  EXPECT_EQ(result->failure, "");
}

TEST_F(HttpFetchTest, RefusesAnAnswerThatIsTooLong) {
  TestPeer peer = connected();
  peer.read_head();
  peer.answer(std::string(101, 'x'));
  wait();
  EXPECT_THAT(result->failure, HasSubstr("too long"));
  EXPECT_EQ(result->body, "");
}

TEST_F(HttpFetchTest, AnAnswerCutShortIsNone) {
  TestPeer peer = connected();
  peer.read_head();
  peer.write("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf");
  peer.close();
  wait();
  EXPECT_NE(result->failure, "");
  EXPECT_EQ(result->body, "");
}

TEST_F(HttpFetchTest, GivesUpAfterItsTime) {
  apply({testing::endpoint_at(server.address())});
  start(1);
  wait();
  EXPECT_EQ(result->failure, "timeout");
}

TEST_F(HttpFetchTest, WithoutAClusterOrHostsItFailsInATurnOfItsOwn) {
  start();
  EXPECT_FALSE(result);
  wait();
  EXPECT_THAT(result->failure, HasSubstr("no such cluster"));
  result.reset();
  apply({});
  start();
  EXPECT_FALSE(result);
  wait();
  EXPECT_EQ(result->failure, "no healthy upstream");
}

TEST_F(HttpFetchTest, DestroyingItCancels) {
  TestPeer peer = connected();
  peer.read_head();
  fetch.reset();
  settle();
  EXPECT_TRUE(peer.ended());
  EXPECT_FALSE(result);
}

}  // namespace
}  // namespace remora::upstream
