#include "proxy/base/small_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "proxy/base/block_pool.h"

namespace remora {
namespace {

using testing::Contains;
using testing::Not;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeeps = false;  // so that the sanitizer sees who uses what was given back
#else
constexpr bool kKeeps = true;
#endif

TEST(SmallMemory, GivesAgainWhatCameBackToWhoAsksForAsMuch) {
  if (!kKeeps) GTEST_SKIP();
  SmallMemory memory;
  std::vector<void*> pieces;
  for (int i = 0; i < 8; ++i) pieces.push_back(memory.allocate(100));
  for (void* piece : pieces) memory.release(piece);
  const size_t idle = memory.idle_bytes();
  EXPECT_GE(idle, 800u);
  void* larger = memory.allocate(200);
  EXPECT_THAT(pieces, Not(Contains(larger)));
  EXPECT_EQ(memory.idle_bytes(), idle);
  void* again = memory.allocate(97);
  EXPECT_THAT(pieces, Contains(again));
  EXPECT_LT(memory.idle_bytes(), idle);
  memory.release(larger);
  memory.release(again);
}

TEST(SmallMemory, KeepsNoMoreThanItsBoundAndNothingLarge) {
  SmallMemory memory(1000);
  std::vector<void*> pieces;
  for (int i = 0; i < 100; ++i) pieces.push_back(memory.allocate(100));
  for (void* piece : pieces) memory.release(piece);
  EXPECT_LE(memory.idle_bytes(), 1000u);
  EXPECT_EQ(memory.idle_bytes() > 800, kKeeps);
  memory.trim(300);
  EXPECT_LE(memory.idle_bytes(), 300u);
  memory.trim(0);
  EXPECT_EQ(memory.idle_bytes(), 0u);
  SmallMemory roomy;
  roomy.release(roomy.allocate(size_t{64} * 1024));
  EXPECT_EQ(roomy.idle_bytes(), 0u);
  roomy.release(nullptr);
}

TEST(SmallMemory, IsOneWithMalloc) {
  SmallMemory memory;
  memory.release(std::malloc(50));
  std::free(memory.allocate(50));
  std::free(memory.allocate(0));
  EXPECT_EQ(memory.idle_bytes(), 0u);
}

TEST(SmallMemory, APieceThatGrowsOrShrinksKeepsItsBytes) {
  SmallMemory memory;
  std::mt19937 random(3);
  char* piece = nullptr;
  size_t held = 0;
  for (int i = 0; i < 2000; ++i) {
    const size_t bytes = 1 + random() % (i % 10 == 0 ? 40'000 : 3000);
    piece = static_cast<char*>(memory.reallocate(piece, bytes));
    ASSERT_NE(piece, nullptr);
    for (size_t at = 0; at < std::min(held, bytes); ++at) {
      ASSERT_EQ(piece[at], static_cast<char>(i - 1)) << "at " << at << " of " << bytes;
    }
    std::memset(piece, i, bytes);
    held = bytes;
  }
  memory.release(piece);
}

TEST(SmallMemory, PiecesInUseDoNotOverlap) {
  SmallMemory memory(10'000);
  std::mt19937 random(5);
  struct Held {
    unsigned char* at = nullptr;
    size_t bytes = 0;
    unsigned char mark = 0;
  };
  std::vector<Held> pieces(64);
  for (int i = 0; i < 20'000; ++i) {
    Held& held = pieces[random() % pieces.size()];
    for (size_t b = 0; b < held.bytes; ++b) ASSERT_EQ(held.at[b], held.mark);
    memory.release(held.at);
    held.bytes = random() % 2500;
    held.mark = static_cast<unsigned char>(i);
    held.at = static_cast<unsigned char*>(memory.allocate(held.bytes));
    std::memset(held.at, held.mark, held.bytes);
  }
  for (const Held& held : pieces) memory.release(held.at);
}

TEST(SmallMemory, EveryPoolOfBlocksHasOne) {
  BlockPool pool;
  pool.small().release(pool.small().allocate(10));
  EXPECT_EQ(pool.small().idle_bytes() > 0, kKeeps);
}

}  // namespace
}  // namespace remora
