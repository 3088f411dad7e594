// 16 KiB reference-counted blocks, the only memory that payload bytes live in. One pool per worker,
// owned by its EventLoop's thread; counts are plain integers because blocks never change thread.
// CONTRACT.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "proxy/base/small_memory.h"

namespace remora {

class BlockPool;

/// Header of a block; its bytes follow. `used` is how far bytes have been written: whoever's slice
/// ends there may append in place, even when other slices share the block.
struct Block {
  static constexpr size_t kBytes = size_t{16} * 1024;  // whole allocation, header included
  BlockPool* pool;
  Block* next_free;
  uint32_t refs;
  uint32_t used;
  uint32_t capacity;  // payload bytes
  char* data() { return reinterpret_cast<char*>(this + 1); }
};

/// A counted reference to a block. Copying shares.
class BlockRef {
 public:
  BlockRef() = default;
  explicit BlockRef(Block* adopt) : block_(adopt) {}  // takes over one count
  BlockRef(const BlockRef& other) : block_(other.block_) {
    if (block_) ++block_->refs;
  }
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef();
  Block* get() const { return block_; }
  Block* operator->() const { return block_; }
  explicit operator bool() const { return block_ != nullptr; }

 private:
  Block* block_ = nullptr;
};

class BlockPool {
 public:
  /// Keeps at most `max_idle_blocks` free blocks; gives the rest back to the allocator.
  explicit BlockPool(size_t max_idle_blocks = 512) : max_idle_(max_idle_blocks) {}
  ~BlockPool();  // all blocks must have come back
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  BlockRef take();
  size_t blocks_in_use() const { return in_use_; }
  size_t blocks_idle() const { return idle_; }
  /// Frees idle blocks beyond `keep`. The event loop does so a while after each burst.
  void trim(size_t keep);

  /// How many bytes all connections of the worker together may let their peers send ahead, beyond
  /// the little that each begins with.
  static constexpr size_t kMaxPromised = size_t{64} * 1024 * 1024;
  /// Answers how many of `bytes` may be promised to a peer: at most half of what is left, so that
  /// no connection takes it all. The caller gives them back.
  size_t promise(size_t bytes);
  void give_back_promise(size_t bytes) { promised_ -= bytes; }
  size_t promised() const { return promised_; }

  /// The worker's memory for what is less than a block.
  SmallMemory& small() { return small_; }

 private:
  friend class BlockRef;
  void give_back(Block* block);

  size_t max_idle_;
  size_t in_use_ = 0;
  size_t idle_ = 0;
  size_t promised_ = 0;
  Block* free_ = nullptr;
  SmallMemory small_;
};

}  // namespace remora
