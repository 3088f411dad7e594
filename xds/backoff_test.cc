#include "xds/backoff.h"

#include <gtest/gtest.h>

namespace remora::xds {
namespace {

TEST(Backoff, DoublesItsBoundUpToTheLimitAndStartsAgain) {
  Backoff backoff({.base_ms = 500, .max_ms = 3000});
  const uint64_t almost = UINT64_MAX;
  for (uint64_t bound : {500, 1000, 2000, 3000, 3000}) {
    const uint64_t wait = backoff.next_ms(bound * 7 - 1);
    EXPECT_EQ(wait, bound - 1);
  }
  backoff.reset();
  EXPECT_LT(backoff.next_ms(almost), 500u);
}

TEST(Backoff, JitterReachesDownToNothing) {
  Backoff backoff({});
  EXPECT_EQ(backoff.next_ms(0), 0u);
  EXPECT_EQ(backoff.next_ms(1), 1u);
}

}  // namespace
}  // namespace remora::xds
