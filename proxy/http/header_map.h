// One message's headers (or trailers): a flat array of views in arrival order with an index by
// well-known id. Views point into blocks pinned by the stream's arena, into the arena, or into
// static or snapshot memory; the map never owns bytes. Owned by the stream; its worker's thread
// only. CONTRACT.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/http/header_id.h"

namespace remora::http {

class HeaderSpelling;

struct HeaderEntry {
  std::string_view name;   // lower case
  std::string_view value;  // surrounding white space removed
  HeaderId id = HeaderId::Other;
  bool removed = false;  // skipped by everybody; kept so that indexes stay valid
};

class HeaderMap {
 public:
  explicit HeaderMap(Arena& arena) : arena_(&arena) {}
  HeaderMap(HeaderMap&&) = default;
  HeaderMap& operator=(HeaderMap&&) = default;
  HeaderMap(const HeaderMap&) = delete;
  HeaderMap& operator=(const HeaderMap&) = delete;

  Arena& arena() const { return *arena_; }

  // --- adding: `name` (lower case) and `value` must live as long as the arena; use arena().copy()
  // otherwise ---
  void add(HeaderId id, std::string_view value) { push(id, header_name(id), value); }
  void add(std::string_view name, std::string_view value) { push(header_id_of(name), name, value); }
  /// The codec's way, when the id is known and the name's bytes are at hand.
  void push(HeaderId id, std::string_view name, std::string_view value);

  // --- changing ---
  /// Replaces the first occurrence and removes the others; adds when there is none.
  void set(HeaderId id, std::string_view value);
  void set(std::string_view name, std::string_view value);
  /// Joins to the existing value with ", " (or `separator`), or adds.
  void append(HeaderId id, std::string_view value, std::string_view separator = ",");
  size_t remove(HeaderId id);  // how many were removed
  size_t remove(std::string_view name);
  void clear();

  // --- looking ---
  bool has(HeaderId id) const { return first_[static_cast<size_t>(id)] != 0; }
  /// Value of the first occurrence; empty when there is none (see has()).
  std::string_view get(HeaderId id) const {
    uint16_t at = first_[static_cast<size_t>(id)];
    return at ? entries_[at - 1].value : std::string_view();
  }
  const HeaderEntry* find(std::string_view name) const;  // first occurrence, any name
  /// All values of a name joined by "," as one value (RFC 9110 section 5.3); nullopt when absent.
  /// One occurrence costs no copy; several are joined in the arena.
  std::optional<std::string_view> joined(std::string_view name) const;
  size_t count(HeaderId id) const;

  /// Entries in arrival order; skip those with `removed`.
  std::span<const HeaderEntry> entries() const { return {entries_, size_}; }
  std::span<HeaderEntry> mutable_entries() { return {entries_, size_}; }
  size_t live_count() const { return size_ - removed_; }
  /// Sum of name and value lengths of live entries.
  size_t byte_size() const;

  // --- the usual questions ---
  std::string_view method() const { return get(HeaderId::Method); }
  std::string_view path() const { return get(HeaderId::Path); }
  std::string_view authority() const { return get(HeaderId::Authority); }
  uint16_t status() const;  // 0 when there is no valid :status
  void set_status(uint16_t code);

  /// How names came, when the codec remembers; null otherwise.
  HeaderSpelling* spelling() const { return spelling_; }
  void set_spelling(HeaderSpelling* spelling) { spelling_ = spelling; }

 private:
  void grow();
  void reindex(HeaderId id);

  Arena* arena_;
  HeaderSpelling* spelling_ = nullptr;  // in the arena
  HeaderEntry* entries_ = nullptr;      // in the arena
  uint16_t size_ = 0;
  uint16_t capacity_ = 0;
  uint16_t removed_ = 0;
  std::array<uint16_t, kHeaderIds>
      first_{};  // 1 + index of the first live entry with that id; 0: none
};

}  // namespace remora::http
