#include "proxy/net/address.h"

#include <gtest/gtest.h>
#include <sys/un.h>

#include <cstring>

namespace remora {
namespace {

Address ip(std::string_view text, uint16_t port = 0) { return *Address::from_ip(text, port); }

TEST(Address, SpellsItselfAsEnvoyDoes) {
  EXPECT_EQ(ip("10.0.0.1", 80).to_string(), "10.0.0.1:80");
  EXPECT_EQ(ip("::1", 80).to_string(), "[::1]:80");
  EXPECT_EQ(ip("2001:DB8::0:1").ip_string(), "2001:db8::1");
  EXPECT_EQ(Address::from_unix_path("/run/x.sock")->to_string(), "/run/x.sock");
  EXPECT_EQ(Address::from_unix_path("@abstract")->to_string(), "@abstract");
}

TEST(Address, RefusesWhatIsNoAddress) {
  for (const char* text :
       {"", "localhost", "10.0.0", "10.0.0.1:80", "[::1]", "fe80::1%eth0", "1.2.3.4 "}) {
    EXPECT_FALSE(Address::from_ip(text, 1).ok()) << text;
  }
  EXPECT_FALSE(Address::from_unix_path("").ok());
  EXPECT_FALSE(Address::from_unix_path(std::string(108, 'x')).ok());
  EXPECT_TRUE(Address::from_unix_path(std::string(107, 'x')).ok());
  EXPECT_FALSE(Address::from_unix_path(std::string_view("/a\0b", 4)).ok());
}

TEST(Address, SurvivesTheKernelsForm) {
  for (const Address& address :
       {ip("1.2.3.4", 65535), ip("fd00::9", 1), *Address::from_unix_path("/tmp/a"),
        *Address::from_unix_path("@name"), *Address::from_unix_path(std::string(107, 'p'))}) {
    sockaddr_storage storage;
    const socklen_t length = address.to_sockaddr(&storage);
    EXPECT_EQ(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length), address)
        << address.to_string();
  }
}

TEST(Address, AnUnnamedUnixPeerHasAnEmptyPath) {
  sockaddr_un un = {};
  un.sun_family = AF_UNIX;
  const Address peer =
      Address::from_sockaddr(reinterpret_cast<sockaddr*>(&un), sizeof(un.sun_family));
  EXPECT_EQ(peer.family(), Address::Family::Unix);
  EXPECT_EQ(peer.to_string(), "");
}

TEST(Address, KnowsWhatIsLoopbackPrivateAndAny) {
  EXPECT_TRUE(ip("127.0.0.6").is_loopback());
  EXPECT_TRUE(ip("::1").is_loopback());
  EXPECT_TRUE(ip("::ffff:127.0.0.1").is_loopback());
  EXPECT_FALSE(ip("::2").is_loopback());
  EXPECT_FALSE(ip("128.0.0.1").is_loopback());
  for (const char* text : {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fd00::1",
                           "fc00::1", "::1", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(ip(text).is_private()) << text;
  }
  for (const char* text : {"172.15.0.1", "172.32.0.1", "192.169.0.1", "8.8.8.8", "fe80::1"}) {
    EXPECT_FALSE(ip(text).is_private()) << text;
  }
  EXPECT_TRUE(ip("0.0.0.0").is_any());
  EXPECT_TRUE(ip("::").is_any());
  EXPECT_FALSE(Address().is_any());
}

TEST(Address, UnmapsOnlyMappedAddresses) {
  EXPECT_EQ(ip("::ffff:10.0.0.1", 7).unmapped(), ip("10.0.0.1", 7));
  EXPECT_EQ(ip("::10.0.0.1", 7).unmapped(), ip("::10.0.0.1", 7));
}

TEST(Address, EqualityAndHashLookAtEverything) {
  EXPECT_NE(ip("10.0.0.1", 1), ip("10.0.0.1", 2));
  EXPECT_NE(ip("10.0.0.1", 1), ip("10.0.0.2", 1));
  EXPECT_NE(ip("10.0.0.1"), ip("::ffff:10.0.0.1"));
  EXPECT_EQ(ip("10.0.0.1", 1).hash(), ip("10.0.0.1", 2).with_port(1).hash());
  EXPECT_NE(ip("10.0.0.1", 1).hash(), ip("10.0.0.1", 2).hash());
}

TEST(CidrRange, ClearsHostBitsAndMatchesItsFamilyOnly) {
  const CidrRange range = *CidrRange::make("10.1.255.7", 17);
  EXPECT_EQ(range.to_string(), "10.1.128.0/17");
  EXPECT_TRUE(range.contains(ip("10.1.128.0", 99)));
  EXPECT_FALSE(range.contains(ip("10.1.127.255")));
  EXPECT_FALSE(range.contains(ip("::ffff:10.1.128.1")));
  EXPECT_TRUE(CidrRange::make("0.0.0.0", 0)->contains(ip("1.2.3.4")));
  EXPECT_FALSE(CidrRange::make("0.0.0.0", 0)->contains(ip("::1")));
  EXPECT_TRUE(CidrRange::make("2001:db8::", 33)->contains(ip("2001:db8:7fff::1")));
  EXPECT_FALSE(CidrRange::make("2001:db8::", 33)->contains(ip("2001:db8:8000::1")));
}

TEST(CidrRange, AnOverlongPrefixMeansTheWholeAddress) {
  EXPECT_EQ(CidrRange::make("10.0.0.1", 99)->to_string(), "10.0.0.1/32");
  EXPECT_FALSE(CidrRange::make("nonsense", 8).ok());
}

}  // namespace
}  // namespace remora
