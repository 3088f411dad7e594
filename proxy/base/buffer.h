// The one buffer: a chain of slices of pooled blocks. Moving bytes between buffers moves slices;
// copying happens only for small pieces (see kCopyBelow). Thread: the owning worker. Empty buffers
// hold no block. CONTRACT.
#pragma once

#include <absl/container/inlined_vector.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proxy/base/block_pool.h"

namespace remora {

class Buffer {
 public:
  /// Moves of fewer bytes than this into a buffer whose tail block has room are copied instead, so
  /// that many small pieces do not become many slices (and many iovecs).
  static constexpr size_t kCopyBelow = 512;

  explicit Buffer(BlockPool& pool) : pool_(&pool) {}
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  BlockPool& pool() const { return *pool_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // --- writing at the tail ---
  /// At least `min_bytes` (<= kMaxReserve) contiguous writable bytes; commit() says how many were
  /// used. Nothing else may touch the buffer in between. A reservation that is not committed costs
  /// nothing once release_reservation() or any other call is made: an empty buffer keeps no block.
  std::span<char> reserve(size_t min_bytes = 1);
  void commit(size_t bytes);
  void release_reservation() { spare_ = BlockRef(); }
  void append(std::string_view bytes);  // copies
  void append(Buffer&& other) { append(other, other.size()); }
  void append(Buffer& other, size_t bytes);  // moves the first `bytes` of other
  /// Appends bytes that lie inside `block`, sharing it.
  void append_shared(const BlockRef& block, std::string_view bytes_in_block);

  // --- reading at the head ---
  std::string_view front() const;  // first contiguous run; empty if empty()
  BlockRef front_block() const;    // the block that front() lies in
  void consume(size_t bytes);
  void clear() { consume(size_); }
  /// Fills up to `max` iovecs from the head; returns how many.
  int gather(iovec* out, int max) const;
  /// Makes the first `bytes` contiguous (copying if they are not) and returns them; bytes <= one
  /// block's payload.
  std::string_view linearize(size_t bytes);
  /// Copies `bytes` starting at `offset` into `out`.
  void copy_out(size_t offset, size_t bytes, char* out) const;
  std::string to_string() const;
  size_t slice_count() const { return slices_.size() - head_; }

  static const size_t kMaxReserve;

 private:
  struct Slice {
    BlockRef block;
    uint32_t begin;
    uint32_t end;
  };
  size_t tail_room() const;  // bytes that the tail slice may grow by in place
  void push_slice(BlockRef block, uint32_t begin, uint32_t end);
  void drop_head();

  BlockPool* pool_;
  size_t size_ = 0;
  uint32_t head_ = 0;  // slices before this have been consumed
  BlockRef spare_;     // reserved, nothing committed yet
  absl::InlinedVector<Slice, 2> slices_;
};

}  // namespace remora
