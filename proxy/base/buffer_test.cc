#include "proxy/base/buffer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

namespace remora {
namespace {

class BufferTest : public testing::Test {
 protected:
  BlockPool pool;
};

TEST_F(BufferTest, AnEmptyBufferHoldsNoBlock) {
  Buffer buffer(pool);
  EXPECT_EQ(pool.blocks_in_use(), 0u);
  buffer.append("hello");
  EXPECT_EQ(pool.blocks_in_use(), 1u);
  buffer.consume(5);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(pool.blocks_in_use(), 0u);
}

TEST_F(BufferTest, AReservationThatIsNotUsedCostsNothing) {
  Buffer buffer(pool);
  EXPECT_EQ(buffer.reserve(100).size(), Buffer::kMaxReserve);
  buffer.commit(0);
  EXPECT_EQ(pool.blocks_in_use(), 0u);
  buffer.reserve();
  buffer.release_reservation();
  EXPECT_EQ(pool.blocks_in_use(), 0u);
  buffer.reserve();
  buffer.append("x");
  EXPECT_EQ(pool.blocks_in_use(), 1u);
  EXPECT_EQ(buffer.to_string(), "x");
}

TEST_F(BufferTest, ReservationsContinueTheTailBlock) {
  Buffer buffer(pool);
  auto first = buffer.reserve(10);
  std::memcpy(first.data(), "abc", 3);
  buffer.commit(3);
  auto second = buffer.reserve(10);
  EXPECT_EQ(second.data(), first.data() + 3);
  std::memcpy(second.data(), "def", 3);
  buffer.commit(3);
  EXPECT_EQ(buffer.front(), "abcdef");
  EXPECT_EQ(buffer.slice_count(), 1u);
  EXPECT_EQ(buffer.reserve(Buffer::kMaxReserve).size(), Buffer::kMaxReserve) << "a whole new block";
}

TEST_F(BufferTest, BigMovesShareBlocksInsteadOfCopying) {
  Buffer from(pool), to(pool);
  from.append(std::string(10'000, 'x'));
  const char* where = from.front().data();
  to.append(from, 4000);
  EXPECT_EQ(to.front().data(), where);
  EXPECT_EQ(from.front().data(), where + 4000);
  EXPECT_EQ(pool.blocks_in_use(), 1u);
  to.append(from, 6000);
  EXPECT_EQ(to.slice_count(), 1u) << "neighbouring bytes of one block join up again";
  EXPECT_TRUE(from.empty());
}

TEST_F(BufferTest, SmallMovesAreCopiedBehindTheTail) {
  Buffer to(pool);
  to.append("head:");
  for (int i = 0; i < 20; ++i) {
    Buffer piece(pool);
    piece.append("0123456789");
    to.append(std::move(piece));
  }
  EXPECT_EQ(to.slice_count(), 1u);
  EXPECT_EQ(to.size(), 205u);
}

TEST_F(BufferTest, TheOwnerOfABlocksEndAppendsInPlaceWithoutDisturbingSharers) {
  Buffer first(pool);
  first.append(std::string(1000, 'a'));
  Buffer second(pool);
  second.append(first, 600);  // shares the front of the block
  second.append("bbb");       // must not overwrite what first still holds
  first.append("ccc");
  EXPECT_EQ(first.to_string(), std::string(400, 'a') + "ccc");
  EXPECT_EQ(second.to_string(), std::string(600, 'a') + "bbb");
}

TEST_F(BufferTest, SharesBytesInsideABlock) {
  Buffer source(pool);
  source.append("GET /path HTTP/1.1");
  Buffer out(pool);
  out.append_shared(source.front_block(), source.front().substr(4, 5));
  source.clear();
  EXPECT_EQ(out.to_string(), "/path");
}

TEST_F(BufferTest, LinearizesAcrossBlocks) {
  Buffer buffer(pool);
  buffer.append(std::string(Buffer::kMaxReserve - 3, 'a'));
  buffer.append("bcdefg");
  buffer.consume(Buffer::kMaxReserve - 6);
  EXPECT_EQ(buffer.front().size(), 6u);
  EXPECT_EQ(buffer.linearize(8), "aaabcdef");
  EXPECT_EQ(buffer.size(), 9u);
  EXPECT_EQ(buffer.to_string(), "aaabcdefg");
  EXPECT_EQ(buffer.linearize(3), "aaa");
}

TEST_F(BufferTest, GathersNoMoreThanAsked) {
  Buffer buffer(pool);
  buffer.append(std::string(40'000, 'z'));
  iovec out[2];
  EXPECT_EQ(buffer.gather(out, 2), 2);
  EXPECT_EQ(out[0].iov_len, Buffer::kMaxReserve);
  iovec all[8];
  EXPECT_EQ(buffer.gather(all, 8), 3);
}

TEST_F(BufferTest, MovedFromIsEmptyAndUsable) {
  Buffer one(pool);
  one.append(std::string(100'000, 'm'));
  Buffer two(std::move(one));
  EXPECT_EQ(two.size(), 100'000u);
  one.append("again");
  EXPECT_EQ(one.to_string(), "again");
  one = std::move(two);
  EXPECT_EQ(one.size(), 100'000u);
  two.append("t");
  EXPECT_EQ(two.to_string(), "t");
}

TEST_F(BufferTest, AgreesWithAStringUnderRandomUse) {
  std::mt19937 random(3);
  Buffer buffer(pool), other(pool);
  std::string expect, expect_other;
  char next = 'a';
  for (int step = 0; step < 20'000; ++step) {
    const size_t size = random() % (size_t{1} << (random() % 16));
    const std::string piece(size, next);
    next = next == 'z' ? 'a' : static_cast<char>(next + 1);
    switch (random() % 6) {
      case 0:
        buffer.append(piece);
        expect += piece;
        break;
      case 1:
        other.append(piece);
        expect_other += piece;
        break;
      case 2: {
        const size_t move = std::min(size, other.size());
        buffer.append(other, move);
        expect += expect_other.substr(0, move);
        expect_other.erase(0, move);
        break;
      }
      case 3: {
        auto room = buffer.reserve(1 + size % 1000);
        const size_t used = std::min(size, room.size());
        std::memset(room.data(), '#', used);
        buffer.commit(used);
        expect.append(used, '#');
        break;
      }
      case 4: {
        const size_t lined = std::min({size, buffer.size(), Buffer::kMaxReserve});
        ASSERT_EQ(buffer.linearize(lined), std::string_view(expect).substr(0, lined));
        break;
      }
      case 5: {
        const size_t drop = std::min(size * 3, buffer.size());
        buffer.consume(drop);
        expect.erase(0, drop);
        break;
      }
    }
    ASSERT_EQ(buffer.size(), expect.size());
    ASSERT_EQ(other.size(), expect_other.size());
    if (step % 64 == 0) {
      ASSERT_EQ(buffer.to_string(), expect) << "at step " << step;
      ASSERT_EQ(other.to_string(), expect_other) << "at step " << step;
    }
  }
}

}  // namespace
}  // namespace remora
