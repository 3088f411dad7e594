#include "filters/listener/http_inspector/http_inspector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/stats/store.h"

namespace remora::filters {
namespace {

using ::testing::ElementsAre;
using Stat = HttpInspectorStat;
using Status = ListenerFilter::Status;

class HttpInspectorTest : public testing::Test, protected ListenerFilterContext {
 protected:
  HttpInspectorTest()
      : store(*stats::Store::make({}, 1)),
        stats(store->group<HttpInspectorSchema>("http_inspector")) {}
  int fd() override { return -1; }
  ConnectionFacts& facts() override { return facts_; }
  EventLoop& loop() override { return loop_; }
  uint32_t worker_index() const override { return 0; }
  bool consume(size_t) override {
    ADD_FAILURE() << "an inspector takes nothing";
    return false;
  }

  Status inspect(std::string_view bytes) {
    facts_.application_protocols.clear();
    HttpInspector filter(*stats);
    EXPECT_EQ(filter.on_accept(*this), Status::NeedData);
    return filter.on_peek(*this, bytes);
  }
  uint64_t stat(Stat which) { return stats->at(0).value(which); }

  std::unique_ptr<stats::Store> store;
  std::shared_ptr<HttpInspectorStats> stats;
  EventLoop loop_;
  ConnectionFacts facts_;
};

TEST_F(HttpInspectorTest, NamesTheProtocolItFound) {
  EXPECT_EQ(inspect("GET / HTTP/1.1\r\n"), Status::Done);
  EXPECT_THAT(facts_.application_protocols, ElementsAre("http/1.1"));
  EXPECT_EQ(inspect("GET / HTTP/1.0\r\n"), Status::Done);
  EXPECT_THAT(facts_.application_protocols, ElementsAre("http/1.0"));
  EXPECT_EQ(inspect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Status::Done);
  EXPECT_THAT(facts_.application_protocols, ElementsAre("h2c"));
  EXPECT_EQ(stat(Stat::http11_found), 1u);
  EXPECT_EQ(stat(Stat::http10_found), 1u);
  EXPECT_EQ(stat(Stat::http2_found), 1u);
}

TEST_F(HttpInspectorTest, OtherProtocolsGoOnWithoutAName) {
  EXPECT_EQ(inspect("EHLO here\r\n"), Status::Done);
  EXPECT_THAT(facts_.application_protocols, ElementsAre());
  EXPECT_EQ(stat(Stat::http_not_found), 1u);
}

TEST_F(HttpInspectorTest, DoesNotLookAtTls) {
  facts_.transport_protocol = "tls";
  HttpInspector filter(*stats);
  EXPECT_EQ(filter.on_accept(*this), Status::Done);
  facts_.transport_protocol = "raw_buffer";
  EXPECT_EQ(filter.on_accept(*this), Status::NeedData);
}

TEST_F(HttpInspectorTest, LooksFurtherUpToALimit) {
  HttpInspector filter(*stats);
  std::string bytes = "GET /";
  while (bytes.size() < HttpInspector::kMaxLineBytes) {
    EXPECT_EQ(filter.on_peek(*this, bytes), Status::NeedData);
    bytes.resize(std::max(bytes.size() + 1, filter.max_peek_bytes()), 'x');
  }
  EXPECT_EQ(filter.on_peek(*this, bytes), Status::Reject);
  EXPECT_EQ(stat(Stat::read_error), 1u);
}

}  // namespace
}  // namespace remora::filters
