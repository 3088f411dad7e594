#include "filters/listener/tls_inspector/tls_inspector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "filters/listener/tls_inspector/client_hello_test_support.h"
#include "proxy/stats/store.h"

namespace remora::filters {
namespace {

using test::hello_with;
using test::protocols;
using test::server_name;
using ::testing::ElementsAre;
using Stat = TlsInspectorStat;
using Status = ListenerFilter::Status;

class TlsInspectorTest : public testing::Test, protected ListenerFilterContext {
 protected:
  TlsInspectorTest() : store(*stats::Store::make({}, 1)) {
    config.stats = store->group<TlsInspectorSchema>("tls_inspector");
  }
  int fd() override { return -1; }
  ConnectionFacts& facts() override { return facts_; }
  EventLoop& loop() override { return loop_; }
  uint32_t worker_index() const override { return 0; }
  bool consume(size_t) override {
    ADD_FAILURE() << "an inspector takes nothing";
    return false;
  }

  Status inspect(std::string_view bytes) {
    TlsInspector filter(config);
    EXPECT_EQ(filter.on_accept(*this), Status::NeedData);
    return filter.on_peek(*this, bytes);
  }
  uint64_t stat(Stat which) { return config.stats->at(0).value(which); }
  std::string reason() {
    const MetadataStruct* left = facts_.metadata.find("envoy.filters.listener.tls_inspector");
    return left == nullptr ? "" : *left->at("failure_reason").text();
  }

  std::unique_ptr<stats::Store> store;
  TlsInspectorConfig config;
  EventLoop loop_;
  ConnectionFacts facts_;
};

TEST_F(TlsInspectorTest, TlsIsFoundWithNameAndProtocols) {
  EXPECT_EQ(inspect(hello_with(server_name("Foo.com") + protocols({"istio", "h2"}))), Status::Done);
  EXPECT_EQ(facts_.transport_protocol, "tls");
  EXPECT_EQ(facts_.requested_server_name, "foo.com");
  EXPECT_THAT(facts_.application_protocols, ElementsAre("istio", "h2"));
  EXPECT_EQ(facts_.fingerprints, nullptr) << "nobody asked";
  EXPECT_EQ(stat(Stat::tls_found), 1u);
  EXPECT_EQ(stat(Stat::sni_found), 1u);
  EXPECT_EQ(stat(Stat::alpn_found), 1u);
  EXPECT_EQ(reason(), "");
}

TEST_F(TlsInspectorTest, WithoutNameAndProtocolsToo) {
  EXPECT_EQ(inspect(hello_with("")), Status::Done);
  EXPECT_EQ(facts_.transport_protocol, "tls");
  EXPECT_EQ(stat(Stat::sni_not_found), 1u);
  EXPECT_EQ(stat(Stat::alpn_not_found), 1u);
}

TEST_F(TlsInspectorTest, PlainBytesGoOnAsSuch) {
  EXPECT_EQ(inspect("S"), Status::Done);
  EXPECT_EQ(facts_.transport_protocol, "raw_buffer");
  EXPECT_EQ(stat(Stat::tls_not_found), 1u);
  EXPECT_EQ(reason(), "ClientHelloNotDetected");
}

TEST_F(TlsInspectorTest, OrAreRefusedWhereConfigured) {
  config.reject_plain = true;
  EXPECT_EQ(inspect("GET / HTTP/1.1\r\n"), Status::Reject);
  EXPECT_EQ(stat(Stat::tls_not_found), 1u);
}

TEST_F(TlsInspectorTest, AVersionThatNobodySpeaksIsRefused) {
  EXPECT_EQ(inspect(test::hello({.version = 0x0300})), Status::Reject);
  EXPECT_EQ(inspect(test::hello({.version = 0x0305})), Status::Reject);
  EXPECT_EQ(stat(Stat::tls_found), 0u);
  EXPECT_EQ(stat(Stat::tls_not_found), 2u);
}

TEST_F(TlsInspectorTest, ATooLargeHelloIsRefused) {
  EXPECT_EQ(inspect(std::string("\x16\x03\x01\x20\x00\x01\x00\x50\x00", 9)), Status::Reject);
  EXPECT_EQ(stat(Stat::client_hello_too_large), 1u);
  EXPECT_EQ(stat(Stat::tls_not_found), 0u);
}

TEST_F(TlsInspectorTest, FingerprintsAreMadeWhenAskedFor) {
  config.ja3 = config.ja4 = true;
  EXPECT_EQ(inspect(hello_with(server_name("a"))), Status::Done);
  ASSERT_NE(facts_.fingerprints, nullptr);
  EXPECT_EQ(facts_.fingerprints->ja3.size(), 32u);
  EXPECT_EQ(facts_.fingerprints->ja4.substr(0, 10), "t12d030100");
}

TEST_F(TlsInspectorTest, PeeksNoMoreThanNeeded) {
  config.first_peek_bytes = 256;
  TlsInspector filter(config);
  EXPECT_EQ(filter.max_peek_bytes(), 256u);
  const std::string hello = hello_with(test::extension(21, std::string(2000, 'x')));
  EXPECT_EQ(filter.on_peek(*this, hello.substr(0, 256)), Status::NeedData);
  EXPECT_EQ(filter.wanted_bytes(), hello.size());
  EXPECT_EQ(filter.max_peek_bytes(), hello.size());
  EXPECT_EQ(filter.on_peek(*this, hello), Status::Done);
}

}  // namespace
}  // namespace remora::filters
