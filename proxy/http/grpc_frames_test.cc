#include "proxy/http/grpc_frames.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::http {
namespace {

std::string frame(std::string_view message) {
  std::string out(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(message.size() >> shift & 0xff);
  }
  return out.append(message);
}

TEST(GrpcFrames, CountsMessagesWhereverTheBodyIsCut) {
  const std::string body = frame("hello") + frame("") + frame(std::string(300, 'x'));
  BlockPool pool;
  for (size_t piece = 1; piece <= body.size(); ++piece) {
    GrpcFrames frames;
    for (size_t at = 0; at < body.size(); at += piece) {
      Buffer data(pool);
      data.append(std::string_view(body).substr(at, piece));
      frames.follow(data);
    }
    EXPECT_EQ(frames.begun(), 3u) << piece;
    EXPECT_TRUE(frames.between()) << piece;
  }
}

TEST(GrpcFrames, AMessageCountsFromItsFirstByte) {
  GrpcFrames frames;
  EXPECT_EQ(frames.advance(frame("ab").substr(0, 1)), 1u);
  EXPECT_EQ(frames.begun(), 1u);
  EXPECT_FALSE(frames.between());
}

TEST(GrpcFrames, AdvancesToTheEndOfAMessage) {
  GrpcFrames frames;
  const std::string body = frame("ab") + frame("c");
  EXPECT_EQ(frames.advance(body), 7u);
  EXPECT_TRUE(frames.between());
  EXPECT_EQ(frames.advance(body.substr(7)), 6u);
  EXPECT_EQ(frames.begun(), 2u);
}

TEST(GrpcFrames, TheLongestLengthHoldsNothing) {
  GrpcFrames frames;
  EXPECT_EQ(frames.advance(std::string("\0\xff\xff\xff\xff", 5) + "abc"), 8u);
  EXPECT_FALSE(frames.between());
}

}  // namespace
}  // namespace remora::http
