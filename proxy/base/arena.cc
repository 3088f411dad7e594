// Bump allocation over pooled blocks; one per stream, its worker's thread only.
#include "proxy/base/arena.h"

#include <cstdlib>

namespace remora {
namespace {

constexpr size_t kMaxAlign = 16;

char* align_up(char* at, size_t align) {
  return at + (-reinterpret_cast<uintptr_t>(at) & (align - 1));
}

}  // namespace

/// At the start of each block's payload; keeps the block and chains to the one before.
struct Arena::Chunk {
  BlockRef block;
  Chunk* previous;
};

struct Arena::Pin {
  BlockRef block;
  Pin* next;
};

/// In front of an allocation that no block can hold.
struct alignas(kMaxAlign) Arena::Large {
  Large* next;
};

void* Arena::allocate(size_t bytes, size_t align) {
  char* at = align_up(at_, align);
  if (at_ != nullptr && at <= end_ && bytes <= static_cast<size_t>(end_ - at)) {
    at_ = at + bytes;
    allocated_ += bytes;
    return at;
  }
  constexpr size_t kMostPerBlock = Block::kBytes - sizeof(Block) - sizeof(Chunk) - kMaxAlign;
  allocated_ += bytes;
  if (bytes > kMostPerBlock) {
    auto* large = static_cast<Large*>(::operator new(sizeof(Large) + bytes));
    large->next = large_;
    large_ = large;
    return large + 1;
  }
  BlockRef block = pool_->take();
  Block* raw = block.get();
  Chunk* previous = current_ == nullptr ? nullptr : reinterpret_cast<Chunk*>(current_->data());
  new (raw->data()) Chunk{std::move(block), previous};
  current_ = raw;
  raw->used = raw->capacity;  // nobody may append behind the arena's back
  end_ = raw->data() + raw->capacity;
  at = align_up(raw->data() + sizeof(Chunk), align);
  at_ = at + bytes;
  return at;
}

void Arena::pin(const BlockRef& block) {
  // The last pin is the likeliest to come again: headers of one message share a block.
  if (pins_ != nullptr && pins_->block.get() == block.get()) return;
  pins_ = make<Pin>(Pin{block, pins_});
}

void Arena::reset() {
  for (Pin* pin = pins_; pin != nullptr; pin = pin->next) pin->block = BlockRef();
  pins_ = nullptr;
  while (large_ != nullptr) {
    Large* next = large_->next;
    ::operator delete(large_);
    large_ = next;
  }
  auto* chunk = current_ == nullptr ? nullptr : reinterpret_cast<Chunk*>(current_->data());
  while (chunk != nullptr) {
    Chunk* previous = chunk->previous;
    const BlockRef last = std::move(chunk->block);
    chunk = previous;
  }
  current_ = nullptr;
  at_ = end_ = nullptr;
  allocated_ = 0;
}

}  // namespace remora
