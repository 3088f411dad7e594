#include "filters/http/grpc_web/base64_stream.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "proxy/base/base64.h"

namespace remora::grpc_web {
namespace {

std::string bytes_of(size_t size) {
  std::string out;
  for (size_t i = 0; i < size; ++i) out += static_cast<char>(i * 37 + 11);
  return out;
}

std::optional<std::string> decode(std::string_view text, size_t piece = 1'000'000) {
  BlockPool pool;
  Buffer out(pool);
  Base64Decoder decoder;
  for (size_t at = 0; at < text.size(); at += piece) {
    if (!decoder.decode(text.substr(at, piece), out)) return std::nullopt;
  }
  if (!decoder.complete()) return std::nullopt;
  return out.to_string();
}

TEST(Base64Stream, ComesBackHoweverItIsCut) {
  for (size_t size : {0, 1, 2, 3, 4, 100, 5000}) {
    const std::string bytes = bytes_of(size);
    for (size_t piece : {1, 2, 3, 5, 1024, 100'000}) {
      BlockPool pool;
      Buffer text(pool);
      Base64Encoder encoder;
      for (size_t at = 0; at < size; at += piece) {
        encoder.encode(std::string_view(bytes).substr(at, piece), text);
      }
      encoder.finish(text);
      EXPECT_EQ(text.to_string(), encode_base64(bytes)) << size << " by " << piece;
      EXPECT_EQ(decode(text.to_string(), piece), bytes) << size << " by " << piece;
    }
  }
}

TEST(Base64Stream, SeveralTextsAreOne) {
  EXPECT_EQ(decode("YQ==YmM=ZGVm"), "abcdef");
  EXPECT_EQ(decode("YQ==YmM=ZGVm", 1), "abcdef");
}

TEST(Base64Stream, WhatIsNotBase64IsRefused) {
  for (std::string_view text : {"AAA!", "AAA", "A===", "AB==", "AAB=", "=AAA", "AA=A", "A-__",
                                "AAAA\r\n", "A", "AAAA=", "====", "AA==="}) {
    EXPECT_EQ(decode(text), std::nullopt) << text;
    EXPECT_EQ(decode(text, 1), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace remora::grpc_web
