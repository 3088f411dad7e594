// Writes a message head into a write buffer in one pass of copies into one reserved stretch.
// Lives for one head; the connection's worker only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/http/header_map.h"
#include "proxy/http/header_spelling.h"

namespace remora::http1 {

class HeadWriter {
 public:
  /// `expected` bytes are reserved at once; more is possible and costs another reservation. Field
  /// names are written as `spelling` (may be null) has them, or else in `names`.
  HeadWriter(Buffer& out, size_t expected, http::NameCase names = http::NameCase::Lower,
             const http::HeaderSpelling* spelling = nullptr)
      : out_(out),
        spelling_(spelling),
        proper_((spelling != nullptr ? spelling->others() : names) == http::NameCase::Proper),
        plain_(spelling == nullptr && !proper_) {
    reserve(std::min(expected, Buffer::kMaxReserve));
  }
  ~HeadWriter() { finish(); }
  HeadWriter(const HeadWriter&) = delete;
  HeadWriter& operator=(const HeadWriter&) = delete;

  void put(std::string_view text) {
    if (text.size() > static_cast<size_t>(end_ - at_)) {
      put_slowly(text);
      return;
    }
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void field(std::string_view name, std::string_view value) {
    if (plain_) [[likely]] {
      put(name);
    } else {
      put_name(name);
    }
    put(": ");
    put(value);
    put("\r\n");
  }
  /// Ends writing; answers how many bytes were written. The buffer may be used again.
  uint64_t finish() {
    commit();
    return written_;
  }

  /// What the fields of `headers` take at most, each on its line.
  static size_t size_of_fields(const http::HeaderMap& headers) {
    size_t bytes = 0;
    for (const http::HeaderEntry& entry : headers.entries()) {
      bytes += entry.name.size() + entry.value.size() + 4;
    }
    return bytes;
  }

 private:
  void reserve(size_t bytes) {
    const std::span<char> room = out_.reserve(bytes);
    begin_ = at_ = room.data();
    end_ = room.data() + room.size();
  }
  void put_name(std::string_view lower) {
    if (spelling_ != nullptr) {
      if (const std::string_view original = spelling_->find(lower); !original.empty()) {
        return put(original);
      }
    }
    char proper[kMaxProperNameBytes];
    if (!proper_ || lower.size() > sizeof(proper)) return put(lower);
    http::write_proper_case(lower, proper);
    put({proper, lower.size()});
  }
  void commit() {
    if (begin_ == nullptr) return;
    const auto used = static_cast<size_t>(at_ - begin_);
    out_.commit(used);
    written_ += used;
    begin_ = at_ = end_ = nullptr;
  }
  void put_slowly(std::string_view text) {
    commit();
    out_.append(text);
    written_ += text.size();
    reserve(1);
  }

  static constexpr size_t kMaxProperNameBytes = 256;

  Buffer& out_;
  const http::HeaderSpelling* const spelling_;
  const bool proper_;
  const bool plain_;  // names are written as they are
  char* begin_ = nullptr;
  char* at_ = nullptr;
  char* end_ = nullptr;
  uint64_t written_ = 0;
};

}  // namespace remora::http1
