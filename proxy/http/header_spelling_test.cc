#include "proxy/http/header_spelling.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::http {
namespace {

std::string proper(std::string_view lower) {
  std::string out(lower.size(), ' ');
  write_proper_case(lower, out.data());
  return out;
}

TEST(HeaderSpelling, ProperCaseCapitalizesEachWord) {
  EXPECT_EQ(proper("content-type"), "Content-Type");
  EXPECT_EQ(proper("foo$b#$are"), "Foo$B#$Are");
  EXPECT_EQ(proper("te"), "Te");
  EXPECT_EQ(proper("x-b3-traceid"), "X-B3-Traceid");
  EXPECT_EQ(proper("3a-b"), "3a-B");
  EXPECT_EQ(proper(""), "");
}

TEST(HeaderSpelling, TheFirstSpellingOfANameCounts) {
  BlockPool pool;
  Arena arena(pool);
  HeaderSpelling spelling(arena, {.others = NameCase::Proper});
  spelling.note_reason("Fine");
  spelling.note("X-One");
  spelling.note("x-ONE");
  spelling.note("HOST");
  EXPECT_EQ(spelling.find("x-one"), "X-One");
  EXPECT_EQ(spelling.find("host"), "HOST");
  EXPECT_EQ(spelling.find("x-two"), "");
  EXPECT_EQ(spelling.others(), NameCase::Proper);
  EXPECT_EQ(spelling.reason(), "");
}

}  // namespace
}  // namespace remora::http
