// Counts answers by status code. One writer thread, read at scrape; a code costs memory when it is
// first seen. Classes (2xx) and the total are sums taken at scrape, so an answer costs one bump.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "proxy/stats/counter.h"

namespace remora::stats {

class ResponseCodes {
 public:
  ResponseCodes() = default;
  ResponseCodes(const ResponseCodes&) = delete;
  ResponseCodes& operator=(const ResponseCodes&) = delete;
  ~ResponseCodes() { delete next_.load(std::memory_order_relaxed); }

  void count(uint16_t code) {
    for (ResponseCodes* chunk = this;; chunk = chunk->next()) {
      uint32_t used = chunk->used_.load(std::memory_order_relaxed);
      for (uint32_t i = 0; i < used; ++i) {
        if (chunk->entries_[i].code == code) return chunk->entries_[i].count.add(1);
      }
      if (used < kEntries) return chunk->start(used, code);
    }
  }

  /// Calls f(code, count) for each code seen.
  template <class F>
  void for_each(F&& f) const {
    for (const ResponseCodes* chunk = this; chunk != nullptr;
         chunk = chunk->next_.load(std::memory_order_acquire)) {
      uint32_t used = chunk->used_.load(std::memory_order_acquire);
      for (uint32_t i = 0; i < used; ++i)
        f(chunk->entries_[i].code, chunk->entries_[i].count.value());
    }
  }

 private:
  static constexpr uint32_t kEntries = 6;
  struct Entry {
    Cell count;
    uint16_t code = 0;
  };

  void start(uint32_t at, uint16_t code) {
    entries_[at].code = code;
    entries_[at].count.set(1);
    used_.store(at + 1, std::memory_order_release);
  }
  ResponseCodes* next() {
    ResponseCodes* chunk = next_.load(std::memory_order_relaxed);
    if (chunk == nullptr) {
      chunk = new ResponseCodes;
      next_.store(chunk, std::memory_order_release);
    }
    return chunk;
  }

  std::atomic<uint32_t> used_{0};
  std::atomic<ResponseCodes*> next_{nullptr};
  std::array<Entry, kEntries> entries_;
};

}  // namespace remora::stats
