// The flat header array: entries are only appended or marked removed, so an index stays valid for a
// map's life. Owned by the stream; its worker's thread only.
#include "proxy/http/header_map.h"

#include <cassert>
#include <charconv>
#include <cstring>
#include <limits>

namespace remora::http {
namespace {

constexpr uint16_t kFirstCapacity = 24;
constexpr uint16_t kMaxEntries = std::numeric_limits<uint16_t>::max() - 1;

}  // namespace

void HeaderMap::grow() {
  assert(capacity_ < kMaxEntries);
  uint32_t capacity = capacity_ == 0 ? kFirstCapacity : uint32_t{capacity_} * 2;
  if (capacity > kMaxEntries) capacity = kMaxEntries;
  auto* bigger = static_cast<HeaderEntry*>(
      arena_->allocate(capacity * sizeof(HeaderEntry), alignof(HeaderEntry)));
  if (size_ > 0) std::memcpy(static_cast<void*>(bigger), entries_, size_ * sizeof(HeaderEntry));
  entries_ = bigger;
  capacity_ = static_cast<uint16_t>(capacity);
}

void HeaderMap::push(HeaderId id, std::string_view name, std::string_view value) {
  if (size_ == capacity_) {
    if (capacity_ == kMaxEntries) return;
    grow();
  }
  new (entries_ + size_) HeaderEntry{name, value, id, false};
  ++size_;
  uint16_t& first = first_[static_cast<size_t>(id)];
  if (first == 0 && id != HeaderId::Other) first = size_;
}

void HeaderMap::reindex(HeaderId id) {
  if (id == HeaderId::Other) return;
  uint16_t& first = first_[static_cast<size_t>(id)];
  first = 0;
  for (uint16_t i = 0; i < size_; ++i) {
    if (entries_[i].id == id && !entries_[i].removed) {
      first = static_cast<uint16_t>(i + 1);
      return;
    }
  }
}

void HeaderMap::set(HeaderId id, std::string_view value) {
  const uint16_t at = first_[static_cast<size_t>(id)];
  if (at == 0) {
    add(id, value);
    return;
  }
  entries_[at - 1].value = value;
  for (uint16_t i = at; i < size_; ++i) {
    if (entries_[i].id == id && !entries_[i].removed) {
      entries_[i].removed = true;
      ++removed_;
    }
  }
}

void HeaderMap::set(std::string_view name, std::string_view value) {
  const HeaderId id = header_id_of(name);
  if (id != HeaderId::Other) {
    set(id, value);
    return;
  }
  bool found = false;
  for (uint16_t i = 0; i < size_; ++i) {
    HeaderEntry& entry = entries_[i];
    if (entry.removed || entry.id != HeaderId::Other || entry.name != name) continue;
    if (found) {
      entry.removed = true;
      ++removed_;
    } else {
      entry.value = value;
      found = true;
    }
  }
  if (!found) push(HeaderId::Other, name, value);
}

void HeaderMap::append(HeaderId id, std::string_view value, std::string_view separator) {
  const uint16_t at = first_[static_cast<size_t>(id)];
  if (at == 0) {
    add(id, value);
    return;
  }
  HeaderEntry& entry = entries_[at - 1];
  entry.value = entry.value.empty() ? value : arena_->join(entry.value, separator, value);
}

size_t HeaderMap::remove(HeaderId id) {
  uint16_t& first = first_[static_cast<size_t>(id)];
  if (first == 0) return 0;
  size_t count = 0;
  for (uint16_t i = static_cast<uint16_t>(first - 1); i < size_; ++i) {
    if (entries_[i].id != id || entries_[i].removed) continue;
    entries_[i].removed = true;
    ++count;
  }
  first = 0;
  removed_ = static_cast<uint16_t>(removed_ + count);
  return count;
}

size_t HeaderMap::remove(std::string_view name) {
  const HeaderId id = header_id_of(name);
  if (id != HeaderId::Other) return remove(id);
  size_t count = 0;
  for (HeaderEntry& entry : mutable_entries()) {
    if (entry.removed || entry.id != HeaderId::Other || entry.name != name) continue;
    entry.removed = true;
    ++count;
  }
  removed_ = static_cast<uint16_t>(removed_ + count);
  return count;
}

void HeaderMap::clear() {
  size_ = 0;
  removed_ = 0;
  first_.fill(0);
}

const HeaderEntry* HeaderMap::find(std::string_view name) const {
  const HeaderId id = header_id_of(name);
  if (id != HeaderId::Other) {
    const uint16_t at = first_[static_cast<size_t>(id)];
    return at == 0 ? nullptr : entries_ + at - 1;
  }
  for (const HeaderEntry& entry : entries()) {
    if (!entry.removed && entry.id == HeaderId::Other && entry.name == name) return &entry;
  }
  return nullptr;
}

std::optional<std::string_view> HeaderMap::joined(std::string_view name) const {
  const HeaderEntry* first = find(name);
  if (first == nullptr) return std::nullopt;
  const HeaderId id = first->id;
  const HeaderEntry* end = entries_ + size_;
  auto same = [&](const HeaderEntry& entry) {
    return !entry.removed && entry.id == id && (id != HeaderId::Other || entry.name == name);
  };
  size_t bytes = first->value.size();
  size_t count = 1;
  for (const HeaderEntry* entry = first + 1; entry != end; ++entry) {
    if (!same(*entry)) continue;
    bytes += 1 + entry->value.size();
    ++count;
  }
  if (count == 1) return first->value;
  char* out = static_cast<char*>(arena_->allocate(bytes, 1));
  char* at = out;
  for (const HeaderEntry* entry = first; entry != end; ++entry) {
    if (!same(*entry)) continue;
    if (entry != first) *at++ = ',';
    if (!entry->value.empty()) std::memcpy(at, entry->value.data(), entry->value.size());
    at += entry->value.size();
  }
  return std::string_view(out, static_cast<size_t>(at - out));
}

size_t HeaderMap::count(HeaderId id) const {
  size_t count = 0;
  for (const HeaderEntry& entry : entries()) count += entry.id == id && !entry.removed;
  return count;
}

size_t HeaderMap::byte_size() const {
  size_t bytes = 0;
  for (const HeaderEntry& entry : entries()) {
    if (!entry.removed) bytes += entry.name.size() + entry.value.size();
  }
  return bytes;
}

uint16_t HeaderMap::status() const {
  const std::string_view text = get(HeaderId::Status);
  if (text.size() != 3) return 0;
  const auto digit = [text](size_t i) { return static_cast<uint16_t>(text[i] - '0'); };
  const uint16_t hundreds = digit(0), tens = digit(1), ones = digit(2);
  if (hundreds < 1 || hundreds > 9 || tens > 9 || ones > 9) return 0;
  return static_cast<uint16_t>(hundreds * 100 + tens * 10 + ones);
}

void HeaderMap::set_status(uint16_t code) {
  char digits[8];
  const auto result = std::to_chars(digits, digits + sizeof(digits), code);
  set(HeaderId::Status, arena_->copy({digits, static_cast<size_t>(result.ptr - digits)}));
}

}  // namespace remora::http
