#include "proxy/net/proxy_protocol.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "proxy/base/block_pool.h"
#include "proxy/net/connection_facts.h"
#include "proxy/net/socket.h"

namespace remora {
namespace {

using Settings = ProxyProtocolSettings;

Address at(std::string_view ip, uint16_t port) { return *Address::from_ip(ip, port); }

ConnectionFacts between(const Address& remote, const Address& local) {
  ConnectionFacts facts;
  facts.remote = remote;
  facts.local = local;
  return facts;
}

std::string v1(const ConnectionFacts* downstream) {
  return proxy_protocol_header({}, downstream, at("10.0.0.1", 1), at("10.0.0.2", 2));
}
std::string v2(const ConnectionFacts* downstream, Settings settings = {}) {
  settings.version = Settings::Version::V2;
  return proxy_protocol_header(settings, downstream, at("10.0.0.1", 1), at("10.0.0.2", 2));
}
const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

TEST(ProxyProtocolHeader, Version1) {
  const ConnectionFacts v4 = between(at("1.2.3.4", 1000), at("5.6.7.8", 2000));
  EXPECT_EQ(v1(&v4), "PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n");
  const ConnectionFacts v6 = between(at("1::2", 1), at("3::4", 65535));
  EXPECT_EQ(v1(&v6), "PROXY TCP6 1::2 3::4 1 65535\r\n");
}

TEST(ProxyProtocolHeader, Version1OfTheProxysOwnConnections) {
  EXPECT_EQ(v1(nullptr), "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n");
}

TEST(ProxyProtocolHeader, WhatCannotBeToldIsUnknown) {
  const ConnectionFacts mixed = between(at("1::2", 1), at("5.6.7.8", 2));
  EXPECT_EQ(v1(&mixed), "PROXY UNKNOWN\r\n");
  const ConnectionFacts unix_socket = between({}, *Address::from_unix_path("/run/x"));
  EXPECT_EQ(v1(&unix_socket), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(v2(&mixed), kSignature + std::string("\x20\0\0\0", 4));
}

TEST(ProxyProtocolHeader, Version2) {
  const ConnectionFacts v4 = between(at("1.2.3.4", 1000), at("5.6.7.8", 2000));
  EXPECT_EQ(v2(&v4),
            kSignature + std::string("\x21\x11\0\x0c\1\2\3\4\5\6\7\x8\x03\xe8\x07\xd0", 16));
  const ConnectionFacts v6 = between(at("1::2", 1), at("3::4", 2));
  EXPECT_EQ(v2(&v6).substr(12, 4), std::string("\x21\x21\0\x24", 4));
  EXPECT_EQ(v2(&v6).size(), 16u + 36);
  EXPECT_EQ(v2(nullptr), kSignature + std::string("\x20\0\0\0", 4));
}

TEST(ProxyProtocolHeader, ExtensionsAddedAndPassedOn) {
  ConnectionFacts facts = between(at("1.2.3.4", 1000), at("5.6.7.8", 2000));
  facts.filter_state.set(kProxyProtocolExtensions,
                         std::string("\2\0\3foo\xe1\0\3one\xe1\0\3two\5\0\0", 21));
  Settings settings;
  EXPECT_EQ(v2(&facts, settings).size(), 28u) << "none unless asked for";
  settings.pass_through.set();
  EXPECT_EQ(v2(&facts, settings).substr(28),
            std::string("\2\0\3foo\xe1\0\3one\xe1\0\3two\5\0\0", 21));
  settings.added = {{2, "bar"}};
  EXPECT_EQ(v2(&facts, settings).substr(28),
            std::string("\2\0\3bar\xe1\0\3one\xe1\0\3two\5\0\0", 21))
      << "instead of the client's";
  settings.pass_through.reset().set(5);
  EXPECT_EQ(v2(&facts, settings).substr(28), std::string("\2\0\3bar\5\0\0", 9));
}

TEST(ProxyProtocolHeader, IsNeverLongerThanCanBeSaid) {
  const ConnectionFacts facts = between(at("1.2.3.4", 1000), at("5.6.7.8", 2000));
  Settings settings;
  settings.added = {{1, std::string(40000, 'a')}, {2, std::string(40000, 'b')}, {3, "c"}};
  const std::string header = v2(&facts, settings);
  EXPECT_EQ(header.size(), 28u + 3 + 40000 + 3 + 1);
  EXPECT_EQ(header.back(), 'c');
}

class ProxyProtocolTransportTest : public testing::Test {
 protected:
  ProxyProtocolTransportTest() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    near = Socket(ends[0]);
    far = Socket(ends[1]);
  }
  std::unique_ptr<Transport> make(Settings settings) {
    factory = proxy_protocol_transport_factory(std::move(settings), raw_transport_factory());
    return factory->make(near.fd(), {.downstream = &downstream});
  }
  size_t drain() {
    char bytes[65536];
    size_t total = 0;
    for (ssize_t got; (got = recv(far.fd(), bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;) {
      if (total == 0) received.assign(bytes, std::min<size_t>(got, 100));
      total += static_cast<size_t>(got);
    }
    return total;
  }

  BlockPool blocks;
  Socket near, far;
  ConnectionFacts downstream = between(at("1.2.3.4", 1000), at("5.6.7.8", 2000));
  std::shared_ptr<const TransportFactory> factory;
  std::string received;
};

TEST_F(ProxyProtocolTransportTest, TheHeaderGoesFirstAndAtOnce) {
  auto transport = make({});
  EXPECT_TRUE(factory->tells_downstream());
  EXPECT_FALSE(transport->secure());
  EXPECT_TRUE(transport->start());
  EXPECT_TRUE(transport->ready());
  EXPECT_EQ(drain(), 38u) << "a server that speaks first waits for it";
  EXPECT_EQ(received, "PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n");
  Buffer bytes(blocks);
  bytes.append("hello");
  EXPECT_EQ(transport->write(bytes, false).bytes, 5u);
  EXPECT_EQ(drain(), 5u);
}

TEST_F(ProxyProtocolTransportTest, NothingOvertakesAHeaderThatDoesNotFitTheSocket) {
  int small = 4096;
  setsockopt(near.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
  Settings settings;
  settings.version = Settings::Version::V2;
  settings.added = {{1, std::string(60000, 'a')}};
  auto transport = make(std::move(settings));
  EXPECT_FALSE(transport->start());
  EXPECT_FALSE(transport->ready());
  Buffer bytes(blocks);
  bytes.append("hello");
  size_t total = 0;
  while (!bytes.empty()) {
    const IoResult result = transport->write(bytes, false);
    ASSERT_NE(result.next, IoResult::Next::Error);
    total += drain();
  }
  EXPECT_TRUE(transport->ready());
  EXPECT_EQ(total, 28u + 3 + 60000 + 5);
}

TEST_F(ProxyProtocolTransportTest, APeerThatIsGoneIsAnError) {
  auto transport = make({});
  far.close();
  EXPECT_FALSE(transport->start());
  Buffer nothing(blocks);
  EXPECT_EQ(transport->write(nothing, false).next, IoResult::Next::Error);
}

}  // namespace
}  // namespace remora
