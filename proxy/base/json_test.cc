#include "proxy/base/json.h"

#include <gtest/gtest.h>

#include <string>

namespace remora {
namespace {

std::string round_trip(std::string_view text) {
  const auto value = parse_json(text);
  if (!value) return "refused";
  std::string out;
  append_json(*value, out);
  return out;
}

TEST(JsonTest, ReadsEveryKindOfValue) {
  EXPECT_EQ(round_trip(R"( {"b" : [1, -2.5e3, true,false,null], "a":{"c":"d"}, "e":[], "f":{}} )"),
            R"({"a":{"c":"d"},"b":[1,-2500,true,false,null],"e":[],"f":{}})");
  EXPECT_EQ(round_trip("\"text\""), "\"text\"");
  EXPECT_EQ(round_trip("0"), "0");
}

TEST(JsonTest, ReadsEscapes) {
  EXPECT_EQ(*parse_json(R"("\"\\\/\b\f\n\r\t")")->text(), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(*parse_json(R"("A\u00e9\u20ac\ud83d\ude00")")->text(),
            "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(parse_json(R"("\u0000")")->text()->size(), 1u);
}

TEST(JsonTest, RefusesWhatIsNoJson) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "}",
                           "[1,]",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{'a':1}",
                           "{\"a\" 1}",
                           "{\"a\":}",
                           "[1 2]",
                           "nul",
                           "True",
                           "01",
                           "-",
                           "1.",
                           ".5",
                           "1e",
                           "+1",
                           "0x1",
                           "NaN",
                           "Infinity",
                           "1 2",
                           "\"a",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u+123\"",
                           "\"a\nb\"",
                           "// no\n1",
                           "1e999",
                           "\xef\xbb\xbf{}",
                           "\"\\"}) {
    EXPECT_EQ(round_trip(text), "refused") << text;
  }
}

TEST(JsonTest, RefusesANameTwice) {
  EXPECT_EQ(round_trip(R"({"alg":"none","alg":"RS256"})"), "refused");
  EXPECT_EQ(round_trip(R"({"a":1,"\u0061":2})"), "refused");
}

TEST(JsonTest, RefusesWhatIsNoUtf8) {
  for (const char* text :
       {"\"\x80\"", "\"\xc3\"", "\"\xc0\xaf\"", "\"\xe0\x80\xaf\"", "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"", "\"\xff\"", R"("\ud800")", R"("\udc00")", R"("\ud800\u0041")"}) {
    EXPECT_EQ(round_trip(text), "refused") << text;
  }
  EXPECT_EQ(*parse_json("\"\xf4\x8f\xbf\xbf\"")->text(), "\xf4\x8f\xbf\xbf");
}

TEST(JsonTest, BoundsNesting) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + "1" + std::string(depth, ']');
  };
  EXPECT_NE(round_trip(nested(kMaxJsonDepth)), "refused");
  EXPECT_EQ(round_trip(nested(kMaxJsonDepth + 1)), "refused");
  EXPECT_EQ(round_trip(std::string(100'000, '[')), "refused");
}

}  // namespace
}  // namespace remora
