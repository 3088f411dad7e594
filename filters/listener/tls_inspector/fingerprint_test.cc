#include "filters/listener/tls_inspector/fingerprint.h"

#include <gtest/gtest.h>

#include "filters/listener/tls_inspector/client_hello_test_support.h"
#include "proxy/tls/digest.h"

namespace remora::filters {
namespace {

using test::extension;
using test::HelloParts;
using test::protocols;
using test::server_name;
using test::u16s;
using test::vector16;
using test::vector8;

/// What a hello's fingerprints are; it lives as long as they are made.
template <class Make>
std::string of(const HelloParts& parts, Make make) {
  const std::string bytes = test::body(parts);
  const auto hello = parse_client_hello(bytes);
  EXPECT_TRUE(hello);
  return hello ? make(*hello) : "";
}

// The example of JA4's technical details: a browser.
HelloParts browser() {
  HelloParts parts;
  parts.cipher_suites = u16s({0x6a6a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030,
                              0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035});
  parts.extensions =
      extension(0xdada, "") + extension(0x001b, "") + server_name("example.com") +
      extension(0x0033, "") + protocols({"h2", "http/1.1"}) + extension(0x4469, "") +
      extension(0x0017, "") + extension(0x002d, "") +
      extension(0x000d,
                vector16(u16s({0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601}))) +
      extension(0x0005, "") + extension(0x0023, "") + extension(0x0012, "") +
      extension(0x002b, vector8(u16s({0x2a2a, 0x0304, 0x0303}))) + extension(0xff01, "") +
      extension(0x000b, vector8(std::string(1, '\0'))) +
      extension(0x000a, vector16(u16s({0x001d, 0x0017, 0x0018}))) + extension(0x0015, "") +
      extension(0xeaea, "");
  return parts;
}

TEST(Ja4, TheExampleOfItsDescription) {
  EXPECT_EQ(of(browser(), ja4), "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

TEST(Ja4, WithoutNameProtocolsOrExtensions) {
  HelloParts parts;
  EXPECT_EQ(of(parts, ja4),
            "t12i030000_" + tls::sha256_hex("002f,1301,1302").substr(0, 12) + "_000000000000");
  parts.cipher_suites = u16s({0x0a0a});
  EXPECT_EQ(of(parts, ja4), "t12i000000_000000000000_000000000000");
}

TEST(Ja4, OddProtocolsAreSpelledInHexadecimal) {
  HelloParts parts;
  parts.extensions = protocols({"\xab\xcd"});
  EXPECT_EQ(of(parts, ja4).substr(0, 12), "t12i0301abcd");
  parts.extensions = protocols({"x"});
  EXPECT_EQ(of(parts, ja4).substr(0, 10), "t12i0301xx");
}

TEST(Ja4, CountsEndAtNinetyNine) {
  HelloParts parts;
  parts.cipher_suites.clear();
  for (uint16_t i = 1; i <= 150; ++i) parts.cipher_suites += test::u16(i);
  EXPECT_EQ(of(parts, ja4).substr(0, 8), "t12i9900");
}

TEST(Ja3, TheExampleOfItsDescription) {
  HelloParts parts;
  parts.version = 769;
  parts.cipher_suites = u16s({47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4});
  parts.extensions = server_name("a") + extension(10, vector16(u16s({23, 24, 25}))) +
                     extension(11, vector8(std::string(1, '\0')));
  EXPECT_EQ(of(parts, ja3_text),
            "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0");
  EXPECT_EQ(of(parts, ja3), "ada70206e40642a3e4461f35503241d5");
}

// Values that Envoy 1.40 logs for the same bytes.
TEST(Fingerprints, AreEnvoys) {
  const std::string usual = extension(10, vector16(u16s({0x0a0a, 29, 23}))) +
                            extension(11, vector8(std::string(1, '\0'))) +
                            extension(43, vector8(u16s({0x3a3a, 0x0304, 0x0303}))) +
                            extension(13, vector16(u16s({0x0403, 0x0804}))) +
                            extension(51, vector16(u16s({29}) + vector16(std::string(32, 'k'))));
  HelloParts parts;
  parts.extensions = usual;
  EXPECT_EQ(of(parts, ja3), "926b1f23b699d9337bb61d620d79d963");
  EXPECT_EQ(of(parts, ja4), "t13i030500_30669b18982a_078775ef5e04");
  parts.cipher_suites = u16s({0x1a1a, 0x1301, 0xc02b});
  parts.extensions = server_name("Foo.COM") + protocols({"h2", "http/1.1"}) + usual;
  EXPECT_EQ(of(parts, ja3), "742ad39d7a38d33bc48dff9fc8414d38");
  EXPECT_EQ(of(parts, ja4), "t13d0207h2_777cda164f4b_078775ef5e04");
  parts = {};
  EXPECT_EQ(of(parts, ja3), "758f62064645e5849c3104d3287f43fa");
  EXPECT_EQ(of(parts, ja4), "t12i030000_30669b18982a_000000000000");
  parts.extensions = extension(43, "\5\3");
  EXPECT_EQ(of(parts, ja4).substr(0, 3), "t00") << "a list that is cut";
}

TEST(Ja3, WithoutExtensions) {
  HelloParts parts;
  parts.version = 769;
  parts.cipher_suites = u16s({4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99});
  EXPECT_EQ(of(parts, ja3), "de350869b8c85de67a350c8d186f11e6");
}

TEST(Ja3, LeavesOutWhatClientsMakeUp) {
  EXPECT_EQ(of(browser(), ja3_text),
            "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,"
            "27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23-24,0");
}

}  // namespace
}  // namespace remora::filters
