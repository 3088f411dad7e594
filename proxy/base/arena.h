// Memory with the life of one stream: bump allocation from pooled blocks, everything freed at once.
// Owned by the stream; its worker's thread only.
// CONTRACT.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "proxy/base/block_pool.h"

namespace remora {

class Arena {
 public:
  explicit Arena(BlockPool& pool) : pool_(&pool) {}
  ~Arena() { reset(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// `bytes` aligned to `align` (at most 16). Larger than a block's payload: its own malloc, freed
  /// by reset().
  void* allocate(size_t bytes, size_t align = alignof(std::max_align_t));

  template <class T, class... Args>
  T* make(Args&&... args) {
    // Objects with destructors are the maker's to destroy; the arena only frees memory.
    return new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
  }

  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* out = static_cast<char*>(allocate(text.size(), 1));
    std::memcpy(out, text.data(), text.size());
    return {out, text.size()};
  }
  /// The pieces one after the other, as one string.
  template <class... Pieces>
  std::string_view join(const Pieces&... pieces) {
    std::string_view views[] = {std::string_view(pieces)...};
    size_t total = 0;
    for (auto v : views) total += v.size();
    char* out = static_cast<char*>(allocate(total ? total : 1, 1));
    char* at = out;
    for (auto v : views) {
      if (!v.empty()) std::memcpy(at, v.data(), v.size());
      at += v.size();
    }
    return {out, total};
  }

  BlockPool& pool() const { return *pool_; }
  /// Keeps `block` alive as long as the arena: header views into it stay valid.
  void pin(const BlockRef& block);

  /// Frees everything and drops the pins; views into the arena die here.
  void reset();
  size_t bytes_allocated() const { return allocated_; }

 private:
  struct Pin;
  struct Large;
  struct Chunk;  // at the start of each block the arena owns

  BlockPool* pool_;
  Block* current_ = nullptr;  // chain through Chunk headers
  char* at_ = nullptr;
  char* end_ = nullptr;
  Pin* pins_ = nullptr;
  Large* large_ = nullptr;
  size_t allocated_ = 0;
};

}  // namespace remora
