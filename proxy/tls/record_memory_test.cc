#include "proxy/tls/record_memory.h"

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <array>
#include <cstring>
#include <thread>

namespace remora::tls {
namespace {

// OpenSSL takes allocators only while it has allocated nothing: the tests share one change.
class RecordMemoryTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { changed = keep_record_memory(); }
  void SetUp() override { ASSERT_TRUE(changed); }
  static inline bool changed = false;
};

constexpr size_t kRecord = 16'704;

TEST_F(RecordMemoryTest, APieceOfARecordsSizeIsUsedAgain) {
  void* first = OPENSSL_malloc(kRecord);
  OPENSSL_free(first);
  EXPECT_EQ(record_memory_kept(), 1u);
  void* again = OPENSSL_malloc(kRecord - 100);
  EXPECT_EQ(again, first);
  EXPECT_EQ(record_memory_kept(), 0u);
  std::memset(again, 1, kRecordMemoryBytes);  // there is as much room, whatever was asked for
  OPENSSL_free(again);
}

TEST_F(RecordMemoryTest, OnlyAFewAreKept) {
  std::array<void*, kRecordMemoryKept + 3> pieces = {};
  for (void*& piece : pieces) piece = OPENSSL_malloc(kRecord);
  for (void* piece : pieces) OPENSSL_free(piece);
  EXPECT_EQ(record_memory_kept(), kRecordMemoryKept);
}

TEST_F(RecordMemoryTest, OtherSizesGoToTheHeap) {
  const size_t kept = record_memory_kept();
  for (const size_t bytes :
       {size_t{1}, size_t{16} * 1024, kRecordMemoryBytes + 1, size_t{100'000}}) {
    void* piece = OPENSSL_malloc(bytes);
    std::memset(piece, 1, bytes);
    OPENSSL_free(piece);
    EXPECT_EQ(record_memory_kept(), kept) << bytes;
  }
  OPENSSL_free(nullptr);
}

TEST_F(RecordMemoryTest, APieceMayGrow) {
  auto* piece = static_cast<char*>(OPENSSL_malloc(kRecord));
  std::memset(piece, 7, kRecord);
  piece = static_cast<char*>(OPENSSL_realloc(piece, 2 * kRecord));
  EXPECT_EQ(piece[kRecord - 1], 7);
  OPENSSL_free(piece);
}

TEST_F(RecordMemoryTest, AThreadKeepsItsOwnAndLeavesNothing) {
  void* from_here = OPENSSL_malloc(kRecord);
  const size_t kept = record_memory_kept();
  std::thread([from_here] {
    OPENSSL_free(from_here);
    EXPECT_EQ(record_memory_kept(), 1u);
  }).join();
  EXPECT_EQ(record_memory_kept(), kept);
}

}  // namespace
}  // namespace remora::tls
