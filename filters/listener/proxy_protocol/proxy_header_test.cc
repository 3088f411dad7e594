#include "filters/listener/proxy_protocol/proxy_header.h"

#include <gtest/gtest.h>

#include <string>

#include "filters/listener/proxy_protocol/proxy_header_test_support.h"

namespace remora::filters {
namespace {

using test::ipv4;
using test::tlv;
using test::v2;
using Result = ProxyHeader::Result;

Result result_of(std::string_view bytes, const ProxyHeaderRules& rules = {}) {
  return read_proxy_header(bytes, rules).result;
}
Result line(std::string text) { return result_of("PROXY " + text + "\r\n"); }

// --- version 1 ---

TEST(ProxyHeaderV1, NamesBothEnds) {
  const ProxyHeader header = read_proxy_header("PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\nGET", {});
  ASSERT_EQ(header.result, Result::Found);
  EXPECT_EQ(header.version, ProxyVersion::V1);
  EXPECT_EQ(header.source.to_string(), "1.2.3.4:1000");
  EXPECT_EQ(header.destination.to_string(), "5.6.7.8:2000");
  EXPECT_EQ(header.length, 38u);
  const ProxyHeader v6 = read_proxy_header("PROXY TCP6 1:2:3::4 5:6::7:8 1 65535\r\n", {});
  ASSERT_EQ(v6.result, Result::Found);
  EXPECT_EQ(v6.source.to_string(), "[1:2:3::4]:1");
  EXPECT_EQ(v6.destination.to_string(), "[5:6::7:8]:65535");
}

TEST(ProxyHeaderV1, UnknownKeepsTheSocketsOwn) {
  for (const char* text : {"UNKNOWN", "UNKNOWN ff:: aa:: 1 2", "UNKNOWN whatever"}) {
    const ProxyHeader header = read_proxy_header(std::string("PROXY ") + text + "\r\nx", {});
    ASSERT_EQ(header.result, Result::Found) << text;
    EXPECT_TRUE(header.own_addresses);
  }
  EXPECT_EQ(line("UNKNOWNX"), Result::Malformed);
}

TEST(ProxyHeaderV1, RefusesWhatIsNoLineOfTheKind) {
  for (const char* text :
       {"TCP4 1.2.3.4 5.6.7.8 1000", "TCP4 1.2.3.4 5.6.7.8 1 2 3", "TCP4  1.2.3.4 5.6.7.8 1 2",
        "TCP4 1.2.3.4 5.6.7.8 1 2 ", "TCP4\t1.2.3.4 5.6.7.8 1 2", "UDP4 1.2.3.4 5.6.7.8 1 2",
        "tcp4 1.2.3.4 5.6.7.8 1 2", "", "TCP4", "TCP4 1.2.3.4 5.6.7.8 1 2\r"}) {
    EXPECT_EQ(line(text), Result::Malformed) << text;
  }
}

TEST(ProxyHeaderV1, RefusesAddressesOfAnotherKind) {
  for (const char* text :
       {"TCP4 1::1 5::1 1 2", "TCP6 1.2.3.4 5.6.7.8 1 2", "TCP4 1.2.3 5.6.7.8 1 2",
        "TCP4 1.2.3.04 5.6.7.8 1 2", "TCP4 0.0.0.0 5.6.7.8 1 2", "TCP4 1.2.3.4 224.0.0.1 1 2",
        "TCP4 255.255.255.255 5.6.7.8 1 2", "TCP6 :: 5::1 1 2", "TCP6 ff02::1 5::1 1 2",
        "TCP6 fe80::1%lo 5::1 1 2", "TCP6 [1::1] 5::1 1 2"}) {
    EXPECT_EQ(line(text), Result::Malformed) << text;
  }
  EXPECT_EQ(line(std::string("TCP4 1.2.3.4\0 5.6.7.8 1 2", 25)), Result::Malformed);
}

TEST(ProxyHeaderV1, RefusesPortsThatTwoReadersCouldTakeDifferently) {
  for (const char* ports : {"65536 1", "-1 1", "+1 1", "01 1", "0x1 1", "1. 1", "a 1", " 1"}) {
    EXPECT_EQ(line(std::string("TCP4 1.2.3.4 5.6.7.8 ") + ports), Result::Malformed) << ports;
  }
  EXPECT_EQ(line("TCP4 1.2.3.4 5.6.7.8 0 65535"), Result::Found);
}

TEST(ProxyHeaderV1, ALineIsNeverLong) {
  const std::string start = "PROXY UNKNOWN ";
  const auto of_size = [&](size_t size) {
    return start + std::string(size - start.size() - 2, 'x') + "\r\n";
  };
  EXPECT_EQ(result_of(of_size(108)), Result::Found);
  EXPECT_EQ(result_of(of_size(109)), Result::Malformed);
  EXPECT_EQ(result_of(start + std::string(93, 'x')), Result::NeedMore);
  EXPECT_EQ(result_of(start + std::string(94, 'x')), Result::Malformed);
  EXPECT_EQ(result_of("PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\n"), Result::NeedMore)
      << "a line feed alone ends nothing";
}

// --- version 2 ---

TEST(ProxyHeaderV2, NamesBothEnds) {
  const std::string bytes = v2(0x21, 0x11, ipv4("1.2.3.4", 1000, "5.6.7.8", 2000)) + "data";
  const ProxyHeader header = read_proxy_header(bytes, {});
  ASSERT_EQ(header.result, Result::Found);
  EXPECT_EQ(header.version, ProxyVersion::V2);
  EXPECT_EQ(header.source.to_string(), "1.2.3.4:1000");
  EXPECT_EQ(header.destination.to_string(), "5.6.7.8:2000");
  EXPECT_EQ(header.length, 28u);
  EXPECT_EQ(header.extensions, "");
  std::string v6(36, '\0');
  v6[0] = 1;
  v6[31] = 2;
  v6[33] = 80;
  const ProxyHeader six = read_proxy_header(v2(0x21, 0x21, v6), {});
  ASSERT_EQ(six.result, Result::Found);
  EXPECT_EQ(six.source.to_string(), "[100::]:80");
  EXPECT_EQ(six.destination.to_string(), "[::2]:0");
}

TEST(ProxyHeaderV2, LocalKeepsTheSocketsOwnWhateverElseItSays) {
  for (const std::string& content : {std::string(), std::string("junk"), std::string(300, 'x')}) {
    const ProxyHeader header = read_proxy_header(v2(0x20, 0x77, content) + "data", {});
    ASSERT_EQ(header.result, Result::Found);
    EXPECT_TRUE(header.own_addresses);
    EXPECT_EQ(header.length, 16 + content.size());
  }
}

TEST(ProxyHeaderV2, RefusesWhatItDoesNotKnow) {
  const std::string ends = ipv4("1.2.3.4", 1, "5.6.7.8", 2);
  EXPECT_EQ(result_of(v2(0x11, 0x11, ends)), Result::Malformed) << "version";
  EXPECT_EQ(result_of(v2(0x31, 0x11, ends)), Result::Malformed);
  EXPECT_EQ(result_of(v2(0x22, 0x11, ends)), Result::Malformed) << "command";
  EXPECT_EQ(result_of(v2(0x21, 0x00, "")), Result::Malformed) << "family";
  EXPECT_EQ(result_of(v2(0x21, 0x31, std::string(216, 'x'))), Result::Malformed);
  EXPECT_EQ(result_of(v2(0x21, 0x10, ends)), Result::Malformed) << "transport";
  EXPECT_EQ(result_of(v2(0x21, 0x13, ends)), Result::Malformed);
  EXPECT_EQ(result_of(v2(0x21, 0x11, ends.substr(0, 11))), Result::Malformed) << "too short";
  EXPECT_EQ(result_of(v2(0x21, 0x21, ends)), Result::Malformed);
  EXPECT_EQ(result_of(v2(0x21, 0x11, ipv4("0.0.0.0", 1, "5.6.7.8", 2))), Result::Malformed);
  EXPECT_EQ(result_of(v2(0x21, 0x11, ipv4("1.2.3.4", 1, "239.1.1.1", 2))), Result::Malformed);
}

TEST(ProxyHeaderV2, ExtensionsMustFit) {
  const std::string ends = ipv4("1.2.3.4", 1, "5.6.7.8", 2);
  const std::string both = tlv(2, "foo.com") + tlv(4, "");
  EXPECT_EQ(read_proxy_header(v2(0x21, 0x11, ends + both), {}).extensions, both);
  EXPECT_EQ(result_of(v2(0x21, 0x11, ends + "\x02")), Result::Malformed);
  EXPECT_EQ(result_of(v2(0x21, 0x11, ends + std::string("\x02\0", 2))), Result::Malformed);
  EXPECT_EQ(result_of(v2(0x21, 0x11,
                         ends + std::string("\x02\0\x05"
                                            "abcd",
                                            7))),
            Result::Malformed);
}

TEST(ProxyHeaderV2, WaitsForAllOfIt) {
  const std::string whole =
      v2(0x21, 0x11, ipv4("1.2.3.4", 1, "5.6.7.8", 2) + tlv(9, std::string(60000, 'x')));
  for (size_t size = 0; size < whole.size(); size += size < 40 ? 1 : 5000) {
    const ProxyHeader header = read_proxy_header(whole.substr(0, size), {});
    ASSERT_EQ(header.result, Result::NeedMore) << size;
    EXPECT_LE(header.wanted, whole.size());
    EXPECT_TRUE(size < 16 || header.wanted == whole.size());
  }
  EXPECT_EQ(result_of(whole), Result::Found);
}

// --- neither ---

TEST(ProxyHeader, TheFirstWrongByteDecides) {
  for (const char* bytes : {"x", "PROXI", "PROXYX", "proxy ", "\r\nGET", "GET / HTTP/1.1\r\n"}) {
    EXPECT_EQ(result_of(bytes), Result::NotFound) << bytes;
  }
  for (const char* bytes : {"", "P", "PROXY", "\r", "\r\n\r\n"}) {
    EXPECT_EQ(result_of(bytes), Result::NeedMore) << bytes;
  }
}

TEST(ProxyHeader, AVersionMayBeDisallowed) {
  const std::string one = "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n";
  const std::string two = v2(0x21, 0x11, ipv4("1.2.3.4", 1, "5.6.7.8", 2));
  EXPECT_EQ(result_of(one, {.v1_allowed = false}), Result::Disallowed);
  EXPECT_EQ(result_of(two, {.v1_allowed = false}), Result::Found);
  EXPECT_EQ(result_of(two, {.v2_allowed = false}), Result::Disallowed);
  EXPECT_EQ(result_of(one, {.v1_allowed = false, .required = false}), Result::NotFound)
      << "it goes on as the client's own bytes";
  EXPECT_EQ(result_of(two, {.v1_allowed = false, .required = false}), Result::Found);
}

}  // namespace
}  // namespace remora::filters
