#include "proxy/base/utf8.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(Utf8, MeasuresCharacters) {
  EXPECT_EQ(utf8_length("ab"), 1u);
  EXPECT_EQ(utf8_length("\xc3\xa4x"), 2u);
  EXPECT_EQ(utf8_length("\xe2\x82\xac"), 3u);
  EXPECT_EQ(utf8_length("\xf0\x9f\x98\x80"), 4u);
}

TEST(Utf8, RefusesWhatHasTwoSpellingsOrNone) {
  for (const char* text : {"", "\x80", "\xc0\xaf", "\xc3", "\xe0\x80\xaf", "\xed\xa0\x80",
                           "\xf4\x90\x80\x80", "\xff", "\xe2\x82"}) {
    EXPECT_EQ(utf8_length(text), 0u) << text;
  }
}

TEST(Utf8, SanitizingReplacesEachWrongByte) {
  EXPECT_EQ(sanitized_utf8("id\xff\x80x\xc3\xa4"), "id!!x\xc3\xa4");
  EXPECT_EQ(sanitized_utf8(""), "");
}

}  // namespace
}  // namespace remora
