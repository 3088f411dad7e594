#include "proxy/net/filter_chain_match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace remora {
namespace {

using Spec = FilterChainMatchSpec;
using SourceType = Spec::SourceType;

Address at(std::string_view ip, uint16_t port) { return *Address::from_ip(ip, port); }
CidrRange range(std::string_view ip, uint32_t bits) { return *CidrRange::make(ip, bits); }

Spec spec(const std::function<void(Spec&)>& fill) {
  Spec made;
  fill(made);
  return made;
}

class FilterChainMatchTest : public testing::Test {
 protected:
  FilterChainMatchTest() {
    facts.local = at("10.0.0.1", 8080);
    facts.direct_local = facts.local;
    facts.remote = at("192.168.1.9", 33333);
    facts.direct_remote = facts.remote;
    facts.transport_protocol = "raw_buffer";
  }
  void add(size_t index, const std::function<void(Spec&)>& fill) {
    const auto status = matcher.add(spec(fill), index);
    ASSERT_TRUE(status.ok()) << status;
  }
  int found() const {
    const auto index = matcher.find(facts);
    return index ? static_cast<int>(*index) : -1;
  }

  static constexpr int kNone = -1;
  FilterChainMatcher matcher;
  ConnectionFacts facts;
};

TEST_F(FilterChainMatchTest, WithoutChainsNothingMatches) { EXPECT_EQ(found(), kNone); }

TEST_F(FilterChainMatchTest, AnEmptyMatchTakesEverything) {
  add(0, [](Spec&) {});
  EXPECT_EQ(found(), 0);
  facts.local = at("::1", 1);
  facts.remote = facts.direct_remote = *Address::from_unix_path("@peer");
  EXPECT_EQ(found(), 0);
  facts.local = *Address::from_unix_path("/run/x");
  EXPECT_EQ(found(), 0);
}

TEST_F(FilterChainMatchTest, ADestinationPortComesFirstAndIsFinal) {
  add(0, [](Spec&) {});
  add(1, [](Spec& s) {
    s.destination_port = 8080;
    s.transport_protocol = "tls";
  });
  EXPECT_EQ(found(), kNone) << "port 8080 has chains, so chains without a port are not asked";
  facts.transport_protocol = "tls";
  EXPECT_EQ(found(), 1);
  facts.local = at("10.0.0.1", 9090);
  EXPECT_EQ(found(), 0);
}

TEST_F(FilterChainMatchTest, TheLongestPrefixWinsAndIsFinal) {
  add(0, [](Spec&) {});
  add(1, [](Spec& s) { s.prefix_ranges = {range("10.0.0.0", 8)}; });
  add(2, [](Spec& s) {
    s.prefix_ranges = {range("10.0.0.0", 24), range("2001:db8::", 32)};
    s.server_names = {"only.example.com"};
  });
  add(3, [](Spec& s) { s.prefix_ranges = {range("10.0.0.7", 32)}; });
  facts.local = at("10.9.9.9", 80);
  EXPECT_EQ(found(), 1);
  facts.local = at("10.0.0.7", 80);
  EXPECT_EQ(found(), 3);
  facts.local = at("11.0.0.1", 80);
  EXPECT_EQ(found(), 0);
  facts.local = at("10.0.0.8", 80);
  EXPECT_EQ(found(), kNone) << "no way back to the wider prefix";
  facts.requested_server_name = "only.example.com";
  EXPECT_EQ(found(), 2);
  facts.local = at("2001:db8:1::5", 80);
  EXPECT_EQ(found(), 2);
}

TEST_F(FilterChainMatchTest, MappedAddressesMeetIpv4Prefixes) {
  add(1, [](Spec& s) { s.prefix_ranges = {range("10.0.0.0", 8)}; });
  facts.local = at("::ffff:10.0.0.1", 80);
  EXPECT_EQ(found(), 1);
}

TEST_F(FilterChainMatchTest, ServerNamesExactThenLongestWildcardThenNone) {
  add(0, [](Spec& s) { s.server_names = {"www.example.com"}; });
  add(1, [](Spec& s) { s.server_names = {"*.example.com"}; });
  add(2, [](Spec& s) { s.server_names = {"*.com", "*.org"}; });
  add(3, [](Spec&) {});
  const std::pair<const char*, int> cases[] = {
      {"www.example.com", 0},
      {"api.example.com", 1},
      {"a.b.example.com", 1},
      {"example.com", 2},
      {"other.org", 2},
      {"com", 3},
      {"", 3},

      {"x.net", 3},
      {"example.com.", 3},
  };
  for (const auto& [name, chain] : cases) {
    facts.requested_server_name = name;
    EXPECT_EQ(found(), chain) << name;
  }
}

TEST_F(FilterChainMatchTest, TheExactServerNameIsFinal) {
  add(0, [](Spec& s) {
    s.server_names = {"www.example.com"};
    s.transport_protocol = "tls";
  });
  add(1, [](Spec& s) { s.server_names = {"*.example.com"}; });
  facts.requested_server_name = "www.example.com";
  EXPECT_EQ(found(), kNone);
}

TEST_F(FilterChainMatchTest, ApplicationProtocolsInTheOrderTheClientOffers) {
  add(0, [](Spec& s) { s.application_protocols = {"istio", "h2"}; });
  add(1, [](Spec& s) { s.application_protocols = {"http/1.1"}; });
  add(2, [](Spec&) {});
  facts.application_protocols = {"http/1.1", "h2"};
  EXPECT_EQ(found(), 1);
  facts.application_protocols = {"unknown", "istio"};
  EXPECT_EQ(found(), 0);
  facts.application_protocols = {"unknown"};
  EXPECT_EQ(found(), 2);
}

TEST_F(FilterChainMatchTest, SourceTypeTellsTheSameHostFromOthers) {
  add(0, [](Spec& s) { s.source_type = SourceType::SameIpOrLoopback; });
  add(1, [](Spec& s) { s.source_type = SourceType::External; });
  EXPECT_EQ(found(), 1);
  facts.remote = at("10.0.0.1", 5);
  EXPECT_EQ(found(), 0) << "from the address it goes to";
  facts.remote = at("127.0.0.6", 5);
  EXPECT_EQ(found(), 0);
  facts.remote = *Address::from_unix_path("@x");
  EXPECT_EQ(found(), 0);
}

TEST_F(FilterChainMatchTest, AnySourceTypeIsAskedWhenTheFittingOneIsAbsent) {
  add(0, [](Spec& s) { s.source_type = SourceType::SameIpOrLoopback; });
  add(1, [](Spec&) {});
  EXPECT_EQ(found(), 1);
}

TEST_F(FilterChainMatchTest, SourcePrefixesPortsAndTheDirectSource) {
  add(0, [](Spec& s) { s.source_prefix_ranges = {range("192.168.0.0", 16)}; });
  add(1, [](Spec& s) {
    s.source_prefix_ranges = {range("192.168.1.0", 24)};
    s.source_ports = {33333, 44444};
  });
  add(2, [](Spec& s) { s.direct_source_prefix_ranges = {range("172.16.0.0", 12)}; });
  EXPECT_EQ(found(), 1);
  facts.remote = at("192.168.1.9", 5);
  EXPECT_EQ(found(), kNone);
  facts.remote = at("192.168.2.9", 5);
  EXPECT_EQ(found(), 0);
  facts.direct_remote = at("172.16.3.3", 5);
  EXPECT_EQ(found(), 2);
}

TEST_F(FilterChainMatchTest, ASidecarsInboundChainsAreToldApart) {
  add(0, [](Spec& s) {
    s.destination_port = 8080;
    s.transport_protocol = "tls";
    s.application_protocols = {"istio-http/1.0", "istio-http/1.1", "istio-h2"};
  });
  add(1, [](Spec& s) {
    s.destination_port = 8080;
    s.transport_protocol = "tls";
    s.application_protocols = {"istio-peer-exchange", "istio"};
  });
  add(2, [](Spec& s) {
    s.destination_port = 8080;
    s.transport_protocol = "raw_buffer";
    s.application_protocols = {"http/1.1", "h2c"};
  });
  add(3, [](Spec& s) {
    s.destination_port = 8080;
    s.transport_protocol = "raw_buffer";
  });
  add(4, [](Spec& s) { s.transport_protocol = "tls"; });
  EXPECT_EQ(found(), 3);
  facts.application_protocols = {"h2c"};
  EXPECT_EQ(found(), 2);
  facts.transport_protocol = "tls";
  facts.application_protocols = {"istio-h2"};
  EXPECT_EQ(found(), 0);
  facts.application_protocols = {"istio"};
  EXPECT_EQ(found(), 1);
  facts.application_protocols = {"h2"};
  EXPECT_EQ(found(), kNone);
}

TEST_F(FilterChainMatchTest, RefusesOverlapsAndPartialWildcards) {
  add(0, [](Spec& s) { s.server_names = {"a.com", "b.com"}; });
  const auto overlap = matcher.add(spec([](Spec& s) { s.server_names = {"b.com"}; }), 1);
  ASSERT_FALSE(overlap.ok());
  EXPECT_EQ(overlap.message(),
            "multiple filter chains with overlapping matching rules are defined");
  for (const char* name : {"*", "w*.com", "www.*.com", "*example.com"}) {
    EXPECT_FALSE(matcher.add(spec([&](Spec& s) { s.server_names = {name}; }), 2).ok()) << name;
  }
}

TEST_F(FilterChainMatchTest, KnowsAnEmptySpec) {
  EXPECT_TRUE(Spec().empty());
  EXPECT_FALSE(spec([](Spec& s) { s.source_ports = {1}; }).empty());
  EXPECT_FALSE(spec([](Spec& s) { s.source_type = SourceType::External; }).empty());
}

}  // namespace
}  // namespace remora
