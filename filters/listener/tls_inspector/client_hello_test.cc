#include "filters/listener/tls_inspector/client_hello.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "filters/listener/tls_inspector/client_hello_test_support.h"

namespace remora::filters {
namespace {

using test::body;
using test::extension;
using test::hello;
using test::hello_with;
using test::HelloParts;
using test::message;
using test::protocols;
using test::record;
using test::server_name;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Result = ClientHelloReader::Result;

constexpr size_t kMax = 16384;
const std::string kUsual = server_name("Foo.Example.COM") + protocols({"h2", "http/1.1"});

Result read_whole(const std::string& bytes) { return ClientHelloReader(kMax).read(bytes); }

// --- where it is ---

TEST(ClientHelloReader, FindsNameAndProtocols) {
  ClientHelloReader reader(kMax);
  const std::string bytes = hello_with(kUsual);
  ASSERT_EQ(reader.read(bytes), Result::Found);
  EXPECT_EQ(reader.hello().server_name, "foo.example.com");
  EXPECT_THAT(reader.hello().application_protocols, ElementsAre("h2", "http/1.1"));
  EXPECT_EQ(reader.looked_at(), bytes.size());
}

TEST(ClientHelloReader, AnySegmentationGivesTheSame) {
  const std::string bytes = hello_with(kUsual);
  for (size_t split = 0; split < bytes.size(); ++split) {
    ClientHelloReader reader(kMax);
    ASSERT_EQ(reader.read(bytes.substr(0, split)), Result::NeedMore) << split;
    EXPECT_GT(reader.wanted(), split);
    EXPECT_LE(reader.wanted(), bytes.size());
    ASSERT_EQ(reader.read(bytes), Result::Found) << split;
  }
}

TEST(ClientHelloReader, ByteForByteItAsksForNoMoreThanThereWillBe) {
  const std::string bytes = hello_with(kUsual);
  ClientHelloReader reader(kMax);
  int calls = 0;
  for (size_t size = 0; size < bytes.size();) {
    ASSERT_EQ(reader.read(std::string_view(bytes).substr(0, size)), Result::NeedMore);
    ASSERT_GT(reader.wanted(), size);
    size = reader.wanted();
    ++calls;
  }
  EXPECT_EQ(reader.read(bytes), Result::Found);
  EXPECT_LE(calls, 3) << "the header, the length, the rest";
}

TEST(ClientHelloReader, ReadsAMessageInSeveralRecords) {
  const std::string whole = message(body({.extensions = kUsual}));
  for (size_t piece : {1u, 3u, 4u, 5u, 50u}) {
    std::string bytes;
    for (size_t at = 0; at < whole.size(); at += piece) bytes += record(whole.substr(at, piece));
    ClientHelloReader at_once(kMax);
    ASSERT_EQ(at_once.read(bytes), Result::Found) << piece;
    EXPECT_EQ(at_once.hello().server_name, "foo.example.com");
    ClientHelloReader bit_by_bit(kMax);
    for (size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_EQ(bit_by_bit.read(bytes.substr(0, size)), Result::NeedMore) << piece << " " << size;
    }
    ASSERT_EQ(bit_by_bit.read(bytes), Result::Found);
    EXPECT_EQ(bit_by_bit.hello().server_name, "foo.example.com");
  }
}

TEST(ClientHelloReader, EmptyRecordsAreLeftToTheHandshakeButNotForEver) {
  EXPECT_EQ(read_whole(record("") + hello_with(kUsual)), Result::Found);
  std::string many;
  while (many.size() <= kMax) many += record("");
  EXPECT_EQ(read_whole(many), Result::TooLarge);
}

// --- what is none ---

TEST(ClientHelloReader, TheFirstWrongByteDecides) {
  EXPECT_EQ(read_whole("G"), Result::NotTls);
  EXPECT_EQ(read_whole("\x15"), Result::NotTls) << "an alert";
  EXPECT_EQ(read_whole("\x16\x02"), Result::NotTls) << "no TLS version";
  EXPECT_EQ(read_whole(std::string("\x16\x03\x01\x00\x05\x02", 6)), Result::NotTls)
      << "a ServerHello";
  EXPECT_EQ(read_whole("\x80\x2e\x01\x03\x01"), Result::NotTls) << "SSL 2";
  EXPECT_EQ(read_whole("\x16\x03\x01\xff\xff"), Result::NotTls) << "a record too long for any";
}

TEST(ClientHelloReader, NothingMayFollowInTheSameRecord) {
  EXPECT_EQ(read_whole(record(message(body({})) + std::string("\x01\x00\x00\x00", 4))),
            Result::NotTls);
}

// --- size ---

std::string padded_to(size_t size) {
  const size_t bare = hello_with(kUsual + extension(21, "")).size();
  return hello_with(kUsual + extension(21, std::string(size - bare, '\0')));
}

TEST(ClientHelloReader, TakesOneOfTheLargestSizeAndNotAByteMore) {
  EXPECT_EQ(read_whole(padded_to(kMax)), Result::Found);
  EXPECT_EQ(read_whole(padded_to(kMax + 1)), Result::TooLarge);
  EXPECT_EQ(ClientHelloReader(512).read(padded_to(512)), Result::Found);
  EXPECT_EQ(ClientHelloReader(512).read(padded_to(513)), Result::TooLarge);
}

TEST(ClientHelloReader, ATooLargeOneIsKnownByItsLength) {
  EXPECT_EQ(read_whole(std::string("\x16\x03\x01\x10\x00\x01\x00\x50\x00", 9)), Result::TooLarge);
  EXPECT_EQ(read_whole(std::string("\x16\x03\x01\x10\x00\x01\xff\xff\xff", 9)), Result::TooLarge);
  EXPECT_EQ(read_whole(std::string("\x16\x03\x01\x40\x01", 5)), Result::TooLarge);
}

TEST(ClientHelloReader, RecordsOfOneByteCountInFull) {
  const std::string whole = message(body({.extensions = extension(21, std::string(4000, 'x'))}));
  std::string bytes;
  for (char c : whole) bytes += record(std::string(1, c));
  EXPECT_EQ(read_whole(bytes), Result::TooLarge);
}

// --- the message ---

TEST(ParseClientHello, WithoutExtensions) {
  const std::string bytes = body({});
  const auto hello = parse_client_hello(bytes);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->server_name, "");
  EXPECT_THAT(hello->application_protocols, IsEmpty());
}

TEST(ParseClientHello, RefusesWhatIsCutOrTooLong) {
  const std::string whole = body({.extensions = kUsual});
  for (size_t size = 0; size < whole.size(); ++size) {
    // Cut right before its extensions it is one without them.
    const bool ends_before = size + 2 + kUsual.size() == whole.size();
    EXPECT_EQ(parse_client_hello(whole.substr(0, size)).has_value(), ends_before) << size;
  }
  EXPECT_FALSE(parse_client_hello(body({.extensions = kUsual, .behind = "x"})));
  EXPECT_FALSE(parse_client_hello(body({.session_id = std::string(33, 's')})));
  EXPECT_FALSE(parse_client_hello(body({.cipher_suites = ""})));
  EXPECT_FALSE(parse_client_hello(body({.cipher_suites = "abc"})));
  EXPECT_FALSE(parse_client_hello(body({.compression_methods = ""})));
}

std::optional<std::string> name_in(const std::string& extensions) {
  const std::string bytes = body({.extensions = extensions});
  auto hello = parse_client_hello(bytes);
  if (!hello) return std::nullopt;
  return hello->server_name;
}

TEST(ParseClientHello, ServerNames) {
  EXPECT_EQ(name_in(server_name("a.b")), "a.b");
  EXPECT_EQ(name_in(server_name("A-Z.EXAMPLE.")), "a-z.example.");
  EXPECT_EQ(name_in(server_name("10.0.0.1")), "10.0.0.1") << "left to whoever matches names";
  EXPECT_EQ(name_in(server_name(std::string(255, 'a'))), std::string(255, 'a'));
  EXPECT_EQ(name_in(server_name(std::string(256, 'a'))), std::nullopt);
  EXPECT_EQ(name_in(server_name("")), std::nullopt);
  EXPECT_EQ(name_in(server_name(std::string("a\0.evil", 7))), std::nullopt);
}

TEST(ParseClientHello, ServerNamesThatTwoReadersCouldTakeDifferently) {
  using test::vector16;
  const std::string two = '\0' + vector16("a") + '\0' + vector16("b");
  EXPECT_EQ(name_in(extension(0, vector16(two))), std::nullopt);
  EXPECT_EQ(name_in(extension(0, vector16('\1' + vector16("a")))), std::nullopt);
  EXPECT_EQ(name_in(extension(0, vector16('\0' + vector16("a")) + "x")), std::nullopt);
  EXPECT_EQ(name_in(extension(0, "")), std::nullopt);
  EXPECT_EQ(name_in(server_name("a") + server_name("b")), std::nullopt);
  EXPECT_EQ(name_in(protocols({"h2"}) + protocols({"x"})), std::nullopt);
  EXPECT_EQ(name_in(extension(99, "") + extension(99, "")), std::nullopt);
}

TEST(ParseClientHello, MalformedProtocolsCountAsNone) {
  const auto protocols_in = [](const std::string& extensions) {
    const std::string bytes = body({.extensions = extensions});
    const auto hello = parse_client_hello(bytes);
    EXPECT_TRUE(hello);
    return hello ? hello->application_protocols : std::vector<std::string>{"refused"};
  };
  EXPECT_THAT(protocols_in(protocols({"istio", "h2"})), ElementsAre("istio", "h2"));
  EXPECT_THAT(protocols_in(extension(16, std::string("\0\0", 2))), IsEmpty());
  EXPECT_THAT(protocols_in(extension(16, std::string("\0\5\2h2", 5))), IsEmpty());
  EXPECT_THAT(protocols_in(protocols({"h2", ""})), IsEmpty());
  EXPECT_THAT(protocols_in(protocols(std::vector<std::string>(129, "x"))), IsEmpty());
}

}  // namespace
}  // namespace remora::filters
