// Free lists by size. The allocator is asked how long a piece is, so that pieces carry no header of
// ours. Under AddressSanitizer nothing is kept: it could not tell who uses what was given back.
#include "proxy/base/small_memory.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REMORA_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define REMORA_ASAN 1
#endif

namespace remora {

namespace {
#ifdef REMORA_ASAN
constexpr bool kKeeps = false;
#else
constexpr bool kKeeps = true;
#endif
}  // namespace

void* SmallMemory::allocate(size_t bytes) {
  if (!kKeeps || bytes > kLargest) return std::malloc(bytes);
  const size_t index = bytes <= kLeast ? 0 : (bytes - kLeast + kStep - 1) / kStep;
  Piece* piece = free_[index];
  if (piece == nullptr) return std::malloc(bytes_of(index));
  free_[index] = piece->next;
  idle_ -= bytes_of(index);
  return piece;
}

void* SmallMemory::reallocate(void* memory, size_t bytes) {
  if (!kKeeps || memory == nullptr)
    return memory == nullptr ? allocate(bytes) : std::realloc(memory, bytes);
  const size_t room = malloc_usable_size(memory);
  if (bytes <= room && bytes * 2 >= room) return memory;
  if (bytes > kLargest && room > kLargest) return std::realloc(memory, bytes);
  void* moved = allocate(bytes);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, memory, std::min(bytes, room));
  release(memory);
  return moved;
}

void SmallMemory::release(void* memory) {
  if (memory == nullptr) return;
  const size_t room = kKeeps ? malloc_usable_size(memory) : 0;
  if (room < kLeast || room >= kLargest + kStep) return std::free(memory);
  const size_t index = (room - kLeast) / kStep;
  if (idle_ + bytes_of(index) > max_idle_) return std::free(memory);
  auto* piece = static_cast<Piece*>(memory);
  piece->next = free_[index];
  free_[index] = piece;
  idle_ += bytes_of(index);
}

void SmallMemory::trim(size_t keep) {
  for (size_t index = kClasses; index-- > 0 && idle_ > keep;) {
    while (free_[index] != nullptr && idle_ > keep) {
      Piece* piece = free_[index];
      free_[index] = piece->next;
      idle_ -= bytes_of(index);
      std::free(piece);
    }
  }
}

}  // namespace remora
