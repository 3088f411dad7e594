#include "proxy/base/arena.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "proxy/base/buffer.h"

namespace remora {
namespace {

class ArenaTest : public testing::Test {
 protected:
  BlockPool pool;
};

TEST_F(ArenaTest, HoldsNoBlockUntilFirstUseAndGivesAllBackOnReset) {
  Arena arena(pool);
  EXPECT_EQ(pool.blocks_in_use(), 0u);
  for (int i = 0; i < 100; ++i) arena.allocate(1000);
  EXPECT_GE(pool.blocks_in_use(), 6u);
  arena.reset();
  EXPECT_EQ(pool.blocks_in_use(), 0u);
  EXPECT_EQ(arena.bytes_allocated(), 0u);
}

TEST_F(ArenaTest, AlignsWhatItMakes) {
  Arena arena(pool);
  for (int i = 0; i < 50; ++i) {
    arena.copy("x");
    auto* number = arena.make<uint64_t>(7);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(number) % alignof(uint64_t), 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.allocate(3, 16)) % 16, 0u);
  }
}

TEST_F(ArenaTest, CopiesAndJoinsStrings) {
  Arena arena(pool);
  EXPECT_EQ(arena.copy(""), "");
  EXPECT_EQ(arena.copy("host"), "host");
  EXPECT_EQ(arena.join("a", std::string_view(), "bc"), "abc");
  EXPECT_EQ(arena.join("", ""), "");
}

TEST_F(ArenaTest, ServesWhatNoBlockCanHold) {
  Arena arena(pool);
  const std::string big(1 << 20, 'q');
  const std::string_view copy = arena.copy(big);
  arena.copy("small again");
  EXPECT_EQ(copy, big);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.allocate(100'000)) % 16, 0u);
}

TEST_F(ArenaTest, APinKeepsViewsIntoABlockValid) {
  Arena arena(pool);
  std::string_view view;
  {
    Buffer buffer(pool);
    buffer.append("content-type");
    view = buffer.front();
    arena.pin(buffer.front_block());
    arena.pin(buffer.front_block());
  }
  EXPECT_EQ(view, "content-type");
  arena.reset();
  EXPECT_EQ(pool.blocks_in_use(), 0u);
}

}  // namespace
}  // namespace remora
