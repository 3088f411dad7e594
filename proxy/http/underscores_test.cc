#include "proxy/http/underscores.h"

#include <gtest/gtest.h>

namespace remora::http {
namespace {

class UnderscoresTest : public testing::Test {
 protected:
  UnderscoresTest() {
    map.add("x_one", "1");
    map.add("x-two", "2");
    map.add("x_one", "3");
    map.add("_", "4");
    map.add(HeaderId::Authority, "a_b");
  }

  BlockPool pool;
  Arena arena{pool};
  HeaderMap map{arena};
};

TEST_F(UnderscoresTest, AllowKeepsEverything) {
  EXPECT_EQ(apply_underscores(Underscores::Allow, map), 0u);
  EXPECT_EQ(map.live_count(), 5u);
}

TEST_F(UnderscoresTest, RejectWantsTheMessageRefused) {
  EXPECT_EQ(apply_underscores(Underscores::Reject, map), std::nullopt);
}

TEST_F(UnderscoresTest, DropRemovesThoseFieldsAndCountsEach) {
  EXPECT_EQ(apply_underscores(Underscores::Drop, map), 3u);
  EXPECT_EQ(map.live_count(), 2u);
  EXPECT_NE(map.find("x-two"), nullptr);
  EXPECT_EQ(map.authority(), "a_b");
  EXPECT_EQ(apply_underscores(Underscores::Reject, map), 0u);
}

}  // namespace
}  // namespace remora::http
