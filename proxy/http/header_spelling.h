// How field names are written where lower case is not wanted: as they came, or with the first
// letter of each word in upper case. A message that remembers has its HeaderSpelling in its header
// map; whoever encodes the map asks it. In the stream's arena; its worker's thread only.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/arena.h"

namespace remora::http {

enum class NameCase : uint8_t {
  Lower,
  Proper,  // "content-type" becomes "Content-Type"
};

/// `lower` with the first letter, and each behind a character that is none, in upper case; written
/// to `out`, which has room for it.
void write_proper_case(std::string_view lower, char* out);

/// What a codec does about names: how it writes them, and whether it remembers how they came.
struct NameOptions {
  NameCase written = NameCase::Lower;  // unless the message remembers
  bool remember = false;
  NameCase others = NameCase::Lower;  // names that a message that remembers does not have
  bool remember_reason = false;       // the words of a status line, too
};

class HeaderSpelling {
 public:
  HeaderSpelling(Arena& arena, const NameOptions& options)
      : arena_(arena), others_(options.others), with_reason_(options.remember_reason) {}

  /// A field came under this name; the first spelling of a name counts.
  void note(std::string_view original);
  /// The spelling of a lower-case name; empty: it did not come.
  std::string_view find(std::string_view lower) const;
  NameCase others() const { return others_; }

  /// The words of the status line, where they are kept; empty: the usual ones.
  std::string_view reason() const { return reason_; }
  void note_reason(std::string_view reason) {
    if (with_reason_) reason_ = arena_.copy(reason);
  }

 private:
  struct Name {
    std::string_view original;
    Name* next;
  };

  Arena& arena_;
  const NameCase others_;
  const bool with_reason_;
  Name* first_ = nullptr;
  Name* last_ = nullptr;
  std::string_view reason_;
};

}  // namespace remora::http
