#include "filters/listener/proxy_protocol/proxy_protocol.h"

#include <gtest/gtest.h>

#include "filters/listener/proxy_protocol/proxy_header_test_support.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/stats/store.h"

namespace remora::filters {
namespace {

using test::ipv4;
using test::tlv;
using test::v2;
using Status = ListenerFilter::Status;
using VersionStat = ProxyProtocolVersionStat;

class ProxyProtocolTest : public testing::Test, protected ListenerFilterContext {
 protected:
  ProxyProtocolTest() : store(*stats::Store::make({}, 1)) {
    config.stats = store->group<ProxyProtocolSchema>("proxy_proto");
    config.v1_stats = store->group<ProxyProtocolVersionSchema>("proxy_proto.versions.v1");
    config.v2_stats = store->group<ProxyProtocolVersionSchema>("proxy_proto.versions.v2");
    config.error_stats = store->group<ProxyProtocolErrorSchema>("");
    facts_.local = facts_.direct_local = *Address::from_ip("10.0.0.1", 15006);
    facts_.remote = facts_.direct_remote = *Address::from_ip("10.0.0.2", 40000);
  }
  int fd() override { return -1; }
  ConnectionFacts& facts() override { return facts_; }
  EventLoop& loop() override { return loop_; }
  uint32_t worker_index() const override { return 0; }
  bool consume(size_t bytes) override {
    consumed += bytes;
    return true;
  }

  Status show(std::string_view bytes) {
    ProxyProtocol filter(config);
    EXPECT_EQ(filter.on_accept(*this), Status::NeedData);
    return filter.on_peek(*this, bytes);
  }
  uint64_t v1(VersionStat which) { return config.v1_stats->at(0).value(which); }
  uint64_t v2_stat(VersionStat which) { return config.v2_stats->at(0).value(which); }
  uint64_t errors() {
    return config.error_stats->at(0).value(ProxyProtocolErrorStat::downstream_cx_proxy_proto_error);
  }

  std::unique_ptr<stats::Store> store;
  ProxyProtocolConfig config;
  EventLoop loop_;
  ConnectionFacts facts_;
  size_t consumed = 0;
};

TEST_F(ProxyProtocolTest, BelievesTheHeaderAndTakesIt) {
  EXPECT_EQ(show("PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\nGET /"), Status::Done);
  EXPECT_EQ(consumed, 38u);
  EXPECT_EQ(facts_.remote.to_string(), "1.2.3.4:1000");
  EXPECT_EQ(facts_.local.to_string(), "5.6.7.8:2000");
  EXPECT_TRUE(facts_.local_restored);
  EXPECT_EQ(facts_.direct_remote.to_string(), "10.0.0.2:40000");
  EXPECT_EQ(facts_.direct_local.to_string(), "10.0.0.1:15006");
  EXPECT_EQ(v1(VersionStat::found), 1u);
}

TEST_F(ProxyProtocolTest, TheSameDestinationIsNotARestoredOne) {
  EXPECT_EQ(show("PROXY TCP4 1.2.3.4 10.0.0.1 1000 15006\r\n"), Status::Done);
  EXPECT_FALSE(facts_.local_restored);
}

TEST_F(ProxyProtocolTest, AProxysOwnConnectionKeepsItsAddresses) {
  EXPECT_EQ(show(v2(0x20, 0x11, ipv4("1.2.3.4", 1, "5.6.7.8", 2) + tlv(2, "x"))), Status::Done);
  EXPECT_EQ(consumed, 16u + 12 + 4);
  EXPECT_EQ(facts_.remote, facts_.direct_remote);
  EXPECT_EQ(facts_.local, facts_.direct_local);
  EXPECT_FALSE(facts_.local_restored);
  EXPECT_EQ(v2_stat(VersionStat::found), 1u);
}

TEST_F(ProxyProtocolTest, ExtensionsBecomeMetadata) {
  config.metadata[2] = {"ns", "authority", false};
  config.metadata[5] = {"ns", "id", false};
  config.metadata[6] = {"other", "raw", true};
  const std::string ends = ipv4("1.2.3.4", 1, "5.6.7.8", 2);
  EXPECT_EQ(show(v2(0x21, 0x11,
                    ends + tlv(2, "foo.com") + tlv(5, "id\xff") + tlv(2, "second") +
                        tlv(6, "\xff\xfe") + tlv(7, "not wanted"))),
            Status::Done);
  const MetadataStruct* left = facts_.metadata.find("ns");
  ASSERT_NE(left, nullptr);
  EXPECT_EQ(*left, (MetadataStruct{{"authority", "foo.com"}, {"id", "id!"}}));
  EXPECT_EQ(*facts_.metadata.find("other"), (MetadataStruct{{"raw", "//4="}}));
  EXPECT_EQ(facts_.filter_state.find(kProxyProtocolExtensions), nullptr);
}

TEST_F(ProxyProtocolTest, ExtensionsToPassOnAreKeptAsTheyCame) {
  config.pass_through.set(2).set(9);
  const std::string ends = ipv4("1.2.3.4", 1, "5.6.7.8", 2);
  EXPECT_EQ(show(v2(0x21, 0x11, ends + tlv(2, "a") + tlv(3, "b") + tlv(9, "") + tlv(2, "c"))),
            Status::Done);
  const std::string* kept = facts_.filter_state.find(kProxyProtocolExtensions);
  ASSERT_NE(kept, nullptr);
  EXPECT_EQ(*kept, tlv(2, "a") + tlv(9, "") + tlv(2, "c"));
}

TEST_F(ProxyProtocolTest, WithoutAHeaderItIsRefused) {
  EXPECT_EQ(show("GET / HTTP/1.1\r\n"), Status::Reject);
  EXPECT_EQ(config.stats->at(0).value(ProxyProtocolStat::not_found_disallowed), 1u);
  EXPECT_EQ(errors(), 1u);
  EXPECT_EQ(consumed, 0u);
}

TEST_F(ProxyProtocolTest, UnlessThatIsAllowed) {
  config.rules.required = false;
  EXPECT_EQ(show("GET / HTTP/1.1\r\n"), Status::Done);
  EXPECT_EQ(config.stats->at(0).value(ProxyProtocolStat::not_found_allowed), 1u);
  EXPECT_EQ(consumed, 0u);
  EXPECT_EQ(show("PROXY TCP4 nonsense\r\n"), Status::Reject) << "what begins as one must be one";
}

TEST_F(ProxyProtocolTest, AMalformedOneIsRefusedAndChangesNothing) {
  config.metadata[2] = {"ns", "authority", false};
  EXPECT_EQ(show("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"), Status::Reject);
  EXPECT_EQ(show(v2(0x21, 0x11, ipv4("1.2.3.4", 1, "5.6.7.8", 2) + tlv(2, "x") + "\x02")),
            Status::Reject);
  EXPECT_EQ(v1(VersionStat::error), 1u);
  EXPECT_EQ(v2_stat(VersionStat::error), 1u);
  EXPECT_EQ(errors(), 2u);
  EXPECT_EQ(facts_.remote, facts_.direct_remote);
  EXPECT_TRUE(facts_.metadata.empty());
}

TEST_F(ProxyProtocolTest, ADisallowedVersionIsRefused) {
  config.rules.v1_allowed = false;
  EXPECT_EQ(show("PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n"), Status::Reject);
  EXPECT_EQ(v1(VersionStat::found), 1u);
  EXPECT_EQ(v1(VersionStat::disallowed), 1u);
  EXPECT_EQ(errors(), 0u);
}

TEST_F(ProxyProtocolTest, MakesRoomForALongHeader) {
  ProxyProtocol filter(config);
  const std::string whole =
      v2(0x21, 0x11, ipv4("1.2.3.4", 1, "5.6.7.8", 2) + tlv(9, std::string(60000, 'x')));
  EXPECT_EQ(filter.on_peek(*this, whole.substr(0, filter.max_peek_bytes())), Status::NeedData);
  EXPECT_EQ(filter.wanted_bytes(), whole.size());
  EXPECT_EQ(filter.max_peek_bytes(), whole.size());
  EXPECT_EQ(filter.on_peek(*this, whole), Status::Done);
}

}  // namespace
}  // namespace remora::filters
