// The chunked coding: what comes out of it, what is refused, and that segmentation does not matter.
#include "proxy/http1/chunked.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/http1/options.h"

namespace remora::http1 {
namespace {

using Status = ChunkedDecoder::Status;

/// The body of `bytes` given in steps of `step`, and how it ended.
std::string decode(const std::string& bytes, size_t step = SIZE_MAX) {
  BlockPool pool;
  Buffer in(pool);
  Buffer out(pool);
  ChunkedDecoder decoder;
  decoder.start();
  for (size_t at = 0; at < bytes.size();) {
    const std::string piece = bytes.substr(at, step);
    at += piece.size();
    in.append(piece);
    const Status status = decoder.decode(in, out);
    if (status == Status::Error) return out.to_string() + "|error";
    if (status == Status::LastChunk)
      return out.to_string() + "|rest=" + in.to_string() + bytes.substr(at);
    EXPECT_TRUE(in.empty());
  }
  return out.to_string() + "|incomplete";
}

TEST(ChunkedDecoder, JoinsChunksUpToTheLast) {
  EXPECT_EQ(decode("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nnext"), "abc0123456789|rest=\r\nnext");
  EXPECT_EQ(decode("0\r\n"), "|rest=");
  EXPECT_EQ(decode("000\r\nx: y\r\n"), "|rest=x: y\r\n");
  EXPECT_EQ(decode("0000000000000003\r\nabc\r\n"), "abc|incomplete");
}

TEST(ChunkedDecoder, DropsExtensions) {
  EXPECT_EQ(decode("3;a=b\r\nabc\r\n0;last\r\n"), "abc|rest=");
  EXPECT_EQ(decode("3 ; a=\"b;c\"\r\nabc\r\n0 \r\n"), "abc|rest=");
}

TEST(ChunkedDecoder, RefusesMoreExtensionThanTheLimitInTotal) {
  const std::string half(kMaxChunkExtensionBytes / 2 - 1, 'x');
  EXPECT_EQ(decode("1;" + half + "\r\na\r\n1;" + half + "\r\nb\r\n0\r\n"), "ab|rest=");
  EXPECT_EQ(decode("1;" + half + "\r\na\r\n1;" + half + "y\r\nb\r\n0\r\n"), "a|error");
}

TEST(ChunkedDecoder, RefusesWhatIsNoSize) {
  for (const char* line : {"0x3",
                           " 3",
                           "-1",
                           "+3",
                           "3g",
                           "g",
                           "",
                           ";x",
                           "00000000000000003",
                           "FFFFFFFFFFFFFFFF",
                           "8000000000000000",
                           "3\n",
                           "3;a\nb",
                           "3;a\rb",
                           "3 5",
                           "3\t x;y",
                           "3\rX",
                           "3;\x01",
                           "3\xff",
                           "\xff"}) {
    EXPECT_EQ(decode(std::string(line) + "\r\nabc\r\n0\r\n"), "|error") << line;
  }
}

TEST(ChunkedDecoder, RefusesAChunkThatIsLongerOrShorterThanItsSize) {
  EXPECT_EQ(decode("3\r\nabcd\r\n0\r\n"), "abc|error");
  EXPECT_EQ(decode("3\r\nab\r\n0\r\n"), "ab\r|error");
  EXPECT_EQ(decode("3\r\nabc\n0\r\n"), "abc|error");
  EXPECT_EQ(decode("3\r\nabc\r0\r\n"), "abc|error");
}

TEST(ChunkedDecoder, MeansTheSameInAnySegmentation) {
  for (const std::string bytes : {"3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\n\r\nnext",
                                  "3\r\nabc\r\n0x3\r\n", "3 \r\nabc\r\n0\r\nx: y\r\n\r\n"}) {
    for (size_t step = 1; step < bytes.size(); ++step)
      EXPECT_EQ(decode(bytes, step), decode(bytes)) << step;
  }
}

TEST(ChunkedDecoder, MovesLargeChunksWithoutCopying) {
  BlockPool pool;
  Buffer in(pool);
  Buffer out(pool);
  in.append("1000\r\n" + std::string(4096, 'x') + "\r\n");
  const size_t blocks = pool.blocks_in_use();
  const char* first = in.front().data() + 6;
  ChunkedDecoder decoder;
  EXPECT_EQ(decoder.decode(in, out), Status::NeedMore);
  EXPECT_EQ(out.front().data(), first);
  EXPECT_EQ(pool.blocks_in_use(), blocks);
}

TEST(ChunkedEncoder, WritesOneChunk) {
  BlockPool pool;
  Buffer data(pool);
  Buffer out(pool);
  data.append(std::string(26, 'x'));
  EXPECT_EQ(append_chunk(out, data), 32u);
  EXPECT_EQ(out.to_string(), "1a\r\n" + std::string(26, 'x') + "\r\n");
  EXPECT_TRUE(data.empty());
}

}  // namespace
}  // namespace remora::http1
