#include "proxy/http2/recent_resets.h"

#include <gtest/gtest.h>

namespace remora::http2 {
namespace {

TEST(RecentResets, KnowsWhatWasAdded) {
  RecentResets resets;
  EXPECT_FALSE(resets.may_hold(1));
  resets.add(3);
  EXPECT_TRUE(resets.may_hold(3));
  EXPECT_FALSE(resets.may_hold(1));
  EXPECT_FALSE(resets.may_hold(5));
}

TEST(RecentResets, IsNotCertainOfWhatItMayHaveForgotten) {
  RecentResets resets;
  for (int32_t id = 1; id <= 2 * 40; id += 2) resets.add(id);
  EXPECT_TRUE(resets.may_hold(2));
  EXPECT_TRUE(resets.may_hold(79));
  EXPECT_FALSE(resets.may_hold(81));
}

}  // namespace
}  // namespace remora::http2
