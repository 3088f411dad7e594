#include "xds/translate/json_text.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::xds::translate {
namespace {

void append(const TreeNode& node, std::string* out) {
  if (node.name.data() != nullptr) *out += std::string(node.name) + "=";
  switch (node.kind) {
    case TreeNode::Kind::Null:
      *out += "null";
      break;
    case TreeNode::Kind::Bool:
      *out += node.truth ? "true" : "false";
      break;
    case TreeNode::Kind::Number:
      *out += "#" + std::string(node.text);
      break;
    case TreeNode::Kind::Text:
      *out += "'" + std::string(node.text) + "'";
      break;
    case TreeNode::Kind::List:
    case TreeNode::Kind::Object:
      *out += node.is(TreeNode::Kind::List) ? "[" : "{";
      for (const TreeNode& child : node.children()) {
        append(child, out);
        *out += ",";
      }
      *out += node.is(TreeNode::Kind::List) ? "]" : "}";
      break;
  }
}

std::string read(std::string_view text) {
  const auto tree = parse_json_text(text);
  if (!tree.ok()) return std::string(tree.status().message());
  std::string out;
  append(tree->root(), &out);
  return out;
}

TEST(JsonTextTest, ReadsEveryKindOfValueAndSortsNames) {
  EXPECT_EQ(read(R"( {"b" : [1, -2.50e+3, true,false,null], "a":{"c":"d"}, "e":[], "f":{}} )"),
            "{a={c='d',},b=[#1,#-2.50e+3,true,false,null,],e=[],f={},}");
  EXPECT_EQ(read("18446744073709551615"), "#18446744073709551615");
  EXPECT_EQ(read("\t\"a\nb\"\r\n"), "'a\nb'");
}

TEST(JsonTextTest, ReadsWhatEnvoyReadsBesides) {
  EXPECT_EQ(read(R"({a: 'b"c', _d1: ["e",], null_: 1,})"), R"({_d1=['e',],a='b"c',null_=#1,})");
}

TEST(JsonTextTest, ReadsEscapes) {
  EXPECT_EQ(read(R"("\"\'\\\/\b\f\n\r\t")"), "'\"'\\/\b\f\n\r\t'");
  EXPECT_EQ(read(R"("A\u0041\u00e9\u20ac\ud83d\ude00z")"),
            "'AA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z'");
  EXPECT_EQ(read(R"({"\u0061": 1})"), "{a=#1,}");
  EXPECT_EQ(read(R"("\u0000")").size(), 3u);
}

TEST(JsonTextTest, SaysWhereItIsWrong) {
  const struct {
    std::string_view text, said;
  } cases[] = {
      {"", "line 1, column 1: expected a value"},
      {"{\n \"a\": }", "line 2, column 7: expected a value"},
      {"{\"a\" 1}", "line 1, column 6: expected ':' after a name"},
      {"{\"a\": 1 \"b\"}", "line 1, column 9: expected ',' or '}'"},
      {"{,}", "line 1, column 2: expected a name or '}'"},
      {"{true: 1}", "line 1, column 2: expected a name or '}'"},
      {"{1: 1}", "line 1, column 2: expected a name or '}'"},
      {"{a-b: 1}", "line 1, column 3: expected ':' after a name"},
      {"[1 2]", "line 1, column 4: expected ',' or ']'"},
      {"[,]", "line 1, column 2: expected a value"},
      {"[", "line 1, column 2: expected a value"},
      {"{", "line 1, column 2: expected a name or '}'"},
      {"nul", "line 1, column 1: expected a value"},
      {"True", "line 1, column 1: expected a value"},
      {"NaN", "line 1, column 1: expected a value"},
      {"+1", "line 1, column 1: expected a value"},
      {".5", "line 1, column 1: expected a value"},
      {"01", "line 1, column 2: nothing may follow"},
      {"-", "line 1, column 2: is no number"},
      {"1.", "line 1, column 3: is no number"},
      {"1e", "line 1, column 3: is no number"},
      {"0x1", "line 1, column 2: nothing may follow"},
      {"1 2", "line 1, column 3: nothing may follow"},
      {"// no\n1", "line 1, column 1: expected a value"},
      {"\xef\xbb\xbf{}", "line 1, column 1: expected a value"},
      {"\"a", "line 1, column 3: text does not end"},
      {"\"\\", "line 1, column 3: unknown escape"},
      {R"("\q")", "line 1, column 3: unknown escape"},
      {R"("\u12")", "line 1, column 4: expected four hexadecimal digits"},
      {R"("\u+123")", "line 1, column 4: expected four hexadecimal digits"},
      {R"("\ud800")", "line 1, column 8: half a surrogate pair"},
      {R"("\udc00")", "line 1, column 8: half a surrogate pair"},
      {R"("\ud800\u0041")", "line 1, column 14: half a surrogate pair"},
      {"{\"a\": 1,\n\"b\": 2, \"a\": 3}", "line 2, column 10: duplicate key 'a'"},
      {"{\"a\": 1, \"\\u0061\": 3}", "line 1, column 3: duplicate key 'a'"},
  };
  for (const auto& c : cases) EXPECT_EQ(read(c.text), c.said) << c.text;
}

TEST(JsonTextTest, IsBoundedInDepth) {
  const auto nested = [](size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  EXPECT_TRUE(parse_json_text(nested(kMaxTreeDepth + 1)).ok());
  EXPECT_EQ(read(nested(kMaxTreeDepth + 2)), "line 1, column 102: is nested too deeply");
  EXPECT_FALSE(parse_json_text(std::string(1'000'000, '[')).ok());
}

}  // namespace
}  // namespace remora::xds::translate
