#include "proxy/base/metadata.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(Metadata, AValueIsFoundByFilterAndPath) {
  Metadata metadata;
  metadata.at("jwt")["payload"] = MetadataStruct{{"iss", "me"}, {"level", 3.0}};
  const std::string to_issuer[] = {"payload", "iss"};
  const std::string beyond[] = {"payload", "iss", "more"};
  ASSERT_NE(metadata.find("jwt", to_issuer), nullptr);
  EXPECT_EQ(*metadata.find("jwt", to_issuer)->text(), "me");
  EXPECT_EQ(metadata.find("jwt", beyond), nullptr);
  EXPECT_EQ(metadata.find("other", to_issuer), nullptr);
  EXPECT_EQ(Metadata().find("jwt"), nullptr);
}

TEST(Metadata, MergingReplacesValuesAndJoinsListsAndStructs) {
  Metadata metadata;
  metadata.merge("f", {{"a", 1.0}, {"l", MetadataList{"x"}}, {"s", MetadataStruct{{"k", true}}}});
  metadata.merge("f", {{"a", 2.0}, {"l", MetadataList{"y"}}, {"s", MetadataStruct{{"m", false}}}});
  std::string json;
  append_json(*metadata.find("f"), json);
  EXPECT_EQ(json, R"({"a":2,"l":["x","y"],"s":{"k":true,"m":false}})");
}

TEST(Metadata, JsonEscapesWhatItMust) {
  std::string json;
  append_json(MetadataStruct{{"a\"b", std::string("\\\n")}, {"n", MetadataValue()}, {"x", 1.5}},
              json);
  EXPECT_EQ(json, "{\"a\\\"b\":\"\\\\\\u000a\",\"n\":null,\"x\":1.5}");
}

}  // namespace
}  // namespace remora
