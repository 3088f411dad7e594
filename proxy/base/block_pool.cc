// Free list of blocks, one per worker, its thread only. Idle blocks are poisoned under
// AddressSanitizer so that a view into a block that was given back is caught.
#include "proxy/base/block_pool.h"

#include <algorithm>
#include <cassert>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REMORA_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define REMORA_ASAN 1
#endif

#ifdef REMORA_ASAN
#include <sanitizer/asan_interface.h>
#define REMORA_POISON(at, bytes) ASAN_POISON_MEMORY_REGION(at, bytes)
#define REMORA_UNPOISON(at, bytes) ASAN_UNPOISON_MEMORY_REGION(at, bytes)
#else
#define REMORA_POISON(at, bytes) static_cast<void>(at)
#define REMORA_UNPOISON(at, bytes) static_cast<void>(at)
#endif

namespace remora {

static_assert(sizeof(Block) % 16 == 0, "payload must stay aligned for the arena");

namespace {

void release(Block* block) {
  REMORA_UNPOISON(block->data(), block->capacity);
  ::operator delete(block);
}

}  // namespace

BlockRef::~BlockRef() {
  if (block_ != nullptr && --block_->refs == 0) block_->pool->give_back(block_);
}

BlockPool::~BlockPool() {
  assert(in_use_ == 0 && "a buffer or arena outlived its worker's pool");
  trim(0);
}

BlockRef BlockPool::take() {
  Block* block = free_;
  if (block != nullptr) {
    free_ = block->next_free;
    --idle_;
    REMORA_UNPOISON(block->data(), block->capacity);
  } else {
    block = static_cast<Block*>(::operator new(Block::kBytes));
    block->pool = this;
    block->capacity = Block::kBytes - sizeof(Block);
  }
  block->next_free = nullptr;
  block->refs = 1;
  block->used = 0;
  ++in_use_;
  return BlockRef(block);
}

void BlockPool::give_back(Block* block) {
  --in_use_;
  if (idle_ >= max_idle_) return release(block);
  REMORA_POISON(block->data(), block->capacity);
  block->next_free = free_;
  free_ = block;
  ++idle_;
}

size_t BlockPool::promise(size_t bytes) {
  const size_t granted = std::min(bytes, (kMaxPromised - promised_) / 2);
  promised_ += granted;
  return granted;
}

void BlockPool::trim(size_t keep) {
  while (idle_ > keep) {
    Block* block = free_;
    free_ = block->next_free;
    --idle_;
    release(block);
  }
}

}  // namespace remora
