#include "proxy/tls/record_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <array>
#include <cstdlib>

namespace remora::tls {
namespace {

// A record of 16 KiB with its header, padding and tag takes what lies between.
constexpr size_t kSmallestRecord = size_t{16} * 1024;

struct Stock {
  std::array<void*, kRecordMemoryKept> pieces = {};
  size_t count = 0;
  bool closed = false;  // the thread ends; what OpenSSL frees after this goes to the heap

  ~Stock() {
    closed = true;
    while (count > 0) std::free(pieces[--count]);
  }
};
thread_local Stock stock;

void* take(size_t bytes, const char*, int) {
  if (bytes <= kSmallestRecord || bytes > kRecordMemoryBytes) return std::malloc(bytes);
  if (stock.count > 0) return stock.pieces[--stock.count];
  return std::malloc(kRecordMemoryBytes);
}

void* resize(void* piece, size_t bytes, const char*, int) { return std::realloc(piece, bytes); }

void give_back(void* piece, const char*, int) {
  constexpr size_t kSlack = 64;  // of the heap's own rounding
  if (piece == nullptr) return;
  const size_t bytes = malloc_usable_size(piece);
  const bool record = bytes >= kRecordMemoryBytes && bytes < kRecordMemoryBytes + kSlack;
  if (!record || stock.count == kRecordMemoryKept || stock.closed) return std::free(piece);
  stock.pieces[stock.count++] = piece;
}

}  // namespace

bool keep_record_memory() { return CRYPTO_set_mem_functions(&take, &resize, &give_back) == 1; }

size_t record_memory_kept() { return stock.count; }

}  // namespace remora::tls
