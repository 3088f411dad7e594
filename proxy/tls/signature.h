// Checks signatures of tokens with public keys and shared secrets (RFC 7518, RFC 8037). A key is of
// one type and serves that type's algorithms alone, so that a public key is never taken for a
// secret. Immutable; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_pkey_st;

namespace remora::tls {

enum class SignatureAlgorithm : uint8_t {
  RS256,
  RS384,
  RS512,
  PS256,
  PS384,
  PS512,
  ES256,
  ES384,
  ES512,
  HS256,
  HS384,
  HS512,
  EdDSA,
};

/// By its registered name ("RS256"); nothing for "none" and all that is not known.
std::optional<SignatureAlgorithm> signature_algorithm(std::string_view name);

enum class KeyType : uint8_t { Rsa, P256, P384, P521, Ed25519, Secret };
bool serves(KeyType type, SignatureAlgorithm algorithm);

class VerificationKey {
 public:
  /// Big-endian numbers. Nothing for a key that is malformed, weak (below 1024 bits) or too large
  /// to be cheap.
  static std::optional<VerificationKey> rsa(std::string_view modulus, std::string_view exponent);
  /// `type`: one of the three curves. Nothing for a point that is not on it.
  static std::optional<VerificationKey> ec(KeyType type, std::string_view x, std::string_view y);
  static std::optional<VerificationKey> ed25519(std::string_view raw);
  static std::optional<VerificationKey> secret(std::string bytes);
  /// The RSA key of a PEM certificate.
  static std::optional<VerificationKey> rsa_certificate(const std::string& pem);

  VerificationKey(VerificationKey&&) noexcept = default;
  VerificationKey& operator=(VerificationKey&&) = delete;
  ~VerificationKey();

  KeyType type() const { return type_; }
  /// False also when the key does not serve `algorithm`.
  bool verifies(SignatureAlgorithm algorithm, std::string_view message,
                std::string_view signature) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  using KeyPtr = std::unique_ptr<evp_pkey_st, Free>;

  VerificationKey(KeyType type, KeyPtr key, std::string secret);
  bool verifies_asymmetric(SignatureAlgorithm algorithm, std::string_view message,
                           std::string_view signature) const;
  bool verifies_secret(SignatureAlgorithm algorithm, std::string_view message,
                       std::string_view signature) const;

  KeyType type_;
  KeyPtr key_;          // null for a secret
  std::string secret_;  // wiped at the end
};

}  // namespace remora::tls
