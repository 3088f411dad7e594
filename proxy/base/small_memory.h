// Small pieces of memory that are taken and given back for every stream, kept for who asks next:
// what nghttp2 holds of one, and what we do. One per worker, in its BlockPool; that thread only.
#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <utility>

namespace remora {

class SmallMemory {
 public:
  static constexpr size_t kMaxIdleBytes = size_t{512} * 1024;

  /// Keeps at most `max_idle_bytes`; gives the rest back to the allocator.
  explicit SmallMemory(size_t max_idle_bytes = kMaxIdleBytes) : max_idle_(max_idle_bytes) {}
  ~SmallMemory() { trim(0); }
  SmallMemory(const SmallMemory&) = delete;
  SmallMemory& operator=(const SmallMemory&) = delete;

  // As malloc, realloc and free, null at the end of memory included. Any piece that malloc gave may
  // be released here, and the other way round.
  void* allocate(size_t bytes);
  void* reallocate(void* memory, size_t bytes);
  void release(void* memory);

  template <class T, class... Args>
  T* make(Args&&... args) {
    static_assert(alignof(T) <= alignof(std::max_align_t));
    void* memory = allocate(sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    return new (memory) T(std::forward<Args>(args)...);
  }
  template <class T>
  void destroy(T* object) {
    object->~T();
    release(object);
  }

  size_t idle_bytes() const { return idle_; }
  /// Gives idle pieces back until at most `keep` bytes are left.
  void trim(size_t keep);

 private:
  struct Piece {
    Piece* next;
  };
  // What the allocator hands out without waste: 24 bytes, and 16 more for each further class.
  static constexpr size_t kStep = 16;
  static constexpr size_t kLeast = 24;
  static constexpr size_t kClasses = 256;
  static constexpr size_t kLargest = kLeast + (kClasses - 1) * kStep;
  static constexpr size_t bytes_of(size_t index) { return kLeast + index * kStep; }

  const size_t max_idle_;
  size_t idle_ = 0;
  std::array<Piece*, kClasses> free_{};
};

}  // namespace remora
