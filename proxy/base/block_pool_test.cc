#include "proxy/base/block_pool.h"

#include <gtest/gtest.h>

#include <vector>

namespace remora {
namespace {

TEST(BlockPool, ReusesTheBlockThatCameBackLast) {
  BlockPool pool;
  BlockRef first = pool.take();
  Block* raw = first.get();
  EXPECT_EQ(pool.blocks_in_use(), 1u);
  first = BlockRef();
  EXPECT_EQ(pool.blocks_in_use(), 0u);
  EXPECT_EQ(pool.blocks_idle(), 1u);
  EXPECT_EQ(pool.take().get(), raw);
}

TEST(BlockPool, ABlockComesBackWithItsLastReference) {
  BlockPool pool;
  BlockRef one = pool.take();
  BlockRef two = one;
  one = BlockRef();
  EXPECT_EQ(pool.blocks_in_use(), 1u);
  two = BlockRef();
  EXPECT_EQ(pool.blocks_in_use(), 0u);
}

TEST(BlockPool, KeepsNoMoreIdleBlocksThanItsBoundAndTrims) {
  BlockPool pool(4);
  std::vector<BlockRef> taken;
  for (int i = 0; i < 10; ++i) taken.push_back(pool.take());
  taken.clear();
  EXPECT_EQ(pool.blocks_idle(), 4u);
  pool.trim(1);
  EXPECT_EQ(pool.blocks_idle(), 1u);
}

}  // namespace
}  // namespace remora
