#include "xds/grpc_frame.h"

#include <gtest/gtest.h>

#include "api/discovery.pb.h"

namespace remora::xds {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;

struct GrpcFrameTest : testing::Test {
  DiscoveryRequest message(std::string type) {
    DiscoveryRequest m;
    m.set_type_url(std::move(type));
    return m;
  }

  BlockPool pool;
  Buffer wire{pool};
};

TEST_F(GrpcFrameTest, ReadsWhatItWritesInPiecesOfAnySize) {
  append_grpc_message(message("one"), wire);
  append_grpc_message(message(""), wire);
  append_grpc_message(message(std::string(100'000, 'x')), wire);
  const std::string bytes = wire.to_string();
  for (size_t step : {size_t{1}, size_t{3}, size_t{7}, size_t{5000}, bytes.size()}) {
    SCOPED_TRACE(step);
    GrpcDecoder decoder(1 << 20);
    Buffer input(pool);
    std::vector<size_t> lengths;
    for (size_t at = 0; at < bytes.size(); at += step) {
      input.append(std::string_view(bytes).substr(at, step));
      while (decoder.next(input) == GrpcDecoder::Next::Message) {
        DiscoveryRequest got;
        ASSERT_TRUE(decoder.parse(input, &got));
        lengths.push_back(got.type_url().size());
      }
    }
    EXPECT_EQ(lengths, (std::vector<size_t>{3, 0, 100'000}));
    EXPECT_TRUE(input.empty());
  }
}

TEST_F(GrpcFrameTest, ReadsAMessageOfMoreThanAHundredMegabytes) {
  append_grpc_message(message(std::string(110 * 1024 * 1024, 'x')), wire);
  GrpcDecoder decoder(512 * 1024 * 1024);
  DiscoveryRequest got;
  ASSERT_EQ(decoder.next(wire), GrpcDecoder::Next::Message);
  ASSERT_TRUE(decoder.parse(wire, &got));
  EXPECT_EQ(got.type_url().size(), 110u * 1024 * 1024);
  EXPECT_TRUE(wire.empty());
  EXPECT_EQ(pool.blocks_in_use(), 0u);
}

TEST_F(GrpcFrameTest, RefusesALargeMessageByItsPrefix) {
  wire.append(std::string_view("\0\x40\0\0\0", 5));
  GrpcDecoder decoder(1 << 20);
  EXPECT_EQ(decoder.next(wire), GrpcDecoder::Next::TooLarge);
  EXPECT_EQ(decoder.message_bytes(), 1u << 30);
}

TEST_F(GrpcFrameTest, RefusesCompressedMessages) {
  wire.append(std::string_view("\1\0\0\0\0", 5));
  GrpcDecoder decoder(1 << 20);
  EXPECT_EQ(decoder.next(wire), GrpcDecoder::Next::Compressed);
}

TEST_F(GrpcFrameTest, GarbageIsTakenOffTheInputAndReported) {
  wire.append(std::string_view("\0\0\0\0\4\xff\xff\xff\xff", 9));
  append_grpc_message(message("next"), wire);
  GrpcDecoder decoder(1 << 20);
  DiscoveryRequest got;
  ASSERT_EQ(decoder.next(wire), GrpcDecoder::Next::Message);
  EXPECT_FALSE(decoder.parse(wire, &got));
  ASSERT_EQ(decoder.next(wire), GrpcDecoder::Next::Message);
  EXPECT_TRUE(decoder.parse(wire, &got));
  EXPECT_EQ(got.type_url(), "next");
}

}  // namespace
}  // namespace remora::xds
