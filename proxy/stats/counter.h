// A counter with one writer and any reader: the writer's thread pays one relaxed load and store, no
// atomic read-modify-write. Lives in a slab (group.h) of the writing thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace remora::stats {

class Cell {
 public:
  void add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace remora::stats
