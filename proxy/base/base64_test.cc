#include "proxy/base/base64.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(Base64Test, EncodesTheVectorsOfRfc4648) {
  EXPECT_EQ(encode_base64(""), "");
  EXPECT_EQ(encode_base64("f"), "Zg==");
  EXPECT_EQ(encode_base64("fo"), "Zm8=");
  EXPECT_EQ(encode_base64("foo"), "Zm9v");
  EXPECT_EQ(encode_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(encode_base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(encode_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(encode_base64("\xfb\xff"), "+/8=");
}

TEST(Base64Test, DecodesTheUrlSafeAlphabetWithoutPadding) {
  EXPECT_EQ(decode_base64url(""), "");
  EXPECT_EQ(decode_base64url("Zg"), "f");
  EXPECT_EQ(decode_base64url("Zm8"), "fo");
  EXPECT_EQ(decode_base64url("Zm9v"), "foo");
  EXPECT_EQ(decode_base64url("Zm9vYmFy"), "foobar");
  EXPECT_EQ(decode_base64url("-_8"), "\xfb\xff");
}

TEST(Base64Test, OneValueHasOneSpelling) {
  EXPECT_FALSE(decode_base64url("Zg==")) << "padding";
  EXPECT_FALSE(decode_base64url("Zh")) << "bits left over";
  EXPECT_FALSE(decode_base64url("Zm9")) << "bits left over";
  EXPECT_FALSE(decode_base64url("Z")) << "impossible length";
  EXPECT_FALSE(decode_base64url("Zm9v\n"));
  EXPECT_FALSE(decode_base64url(" Zm9v"));
  EXPECT_FALSE(decode_base64url("+/8"));
  EXPECT_FALSE(decode_base64url("Zm.v"));
}

}  // namespace
}  // namespace remora
