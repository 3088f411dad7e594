// A JSON Web Key Set (RFC 7517): the keys that tokens may be signed with. Immutable, compiled on
// the main thread from a configuration or from what was fetched, shared by the workers.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/tls/signature.h"

namespace remora::tls {

inline constexpr size_t kMaxKeySetBytes = 1024 * 1024;
inline constexpr size_t kMaxKeys = 256;

class KeySet {
 public:
  /// A set of keys, or an object of PEM certificates by key id. Keys that cannot be used are left
  /// out; an error when none is left.
  static absl::StatusOr<std::shared_ptr<const KeySet>> parse(std::string_view text);

  enum class Verdict : uint8_t {
    Verified,
    NoKey,        // none with that id that allows that algorithm
    Failed,       // no such key verifies
    WrongLength,  // an Ed25519 signature that is not one
  };
  /// `algorithm` as the token's header says it; `kid`: empty when it says none, then every key is
  /// tried.
  Verdict verify(std::string_view algorithm, std::string_view kid, std::string_view message,
                 std::string_view signature) const;

  size_t size() const { return keys_.size(); }

 private:
  struct Entry {
    std::string kid;
    std::string algorithm;  // empty: any that the key's type serves
    VerificationKey key;
  };
  friend class KeySetReader;

  std::vector<Entry> keys_;
};

}  // namespace remora::tls
