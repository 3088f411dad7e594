// Reading follows what Envoy takes: which fields are needed, what they default to, what is left
// out.
#include "proxy/tls/jwk.h"

#include <absl/status/status.h>

#include <optional>
#include <utility>

#include "proxy/base/base64.h"
#include "proxy/base/json.h"

namespace remora::tls {
namespace {

constexpr size_t kEd25519SignatureBytes = 64;
constexpr std::string_view kCertificateBegin = "-----BEGIN CERTIFICATE-----\n";
constexpr std::string_view kCertificateEnd = "\n-----END CERTIFICATE-----\n";

const MetadataValue* find(const MetadataStruct& fields, std::string_view name) {
  auto at = fields.find(name);
  return at == fields.end() ? nullptr : &at->second;
}

/// Null: not there, or not a string.
const std::string* text_of(const MetadataStruct& fields, std::string_view name) {
  const MetadataValue* value = find(fields, name);
  return value == nullptr ? nullptr : value->text();
}

std::string text_or_empty(const MetadataStruct& fields, std::string_view name) {
  const std::string* text = text_of(fields, name);
  return text == nullptr ? std::string() : *text;
}

/// Some issuers pad what should not be padded.
std::optional<std::string> bytes_of(const MetadataStruct& fields, std::string_view name) {
  const std::string* text = text_of(fields, name);
  if (text == nullptr) return std::nullopt;
  std::string_view digits = *text;
  while (digits.ends_with('=') && text->size() % 4 == 0 && text->size() - digits.size() < 2) {
    digits.remove_suffix(1);
  }
  return decode_base64url(digits);
}

std::optional<VerificationKey> rsa_key(const MetadataStruct& fields, std::string_view algorithm) {
  if (!algorithm.empty() && !algorithm.starts_with("RS") && !algorithm.starts_with("PS")) {
    return std::nullopt;
  }
  const auto n = bytes_of(fields, "n");
  const auto e = bytes_of(fields, "e");
  if (!n || !e) return std::nullopt;
  return VerificationKey::rsa(*n, *e);
}

struct Curve {
  std::string_view name;
  std::string_view algorithm;
  KeyType type;
};
constexpr Curve kCurves[] = {{"P-256", "ES256", KeyType::P256},
                             {"P-384", "ES384", KeyType::P384},
                             {"P-521", "ES512", KeyType::P521}};

// Named by either field, or P-256 by neither.
std::optional<KeyType> curve_of(std::string_view name, std::string_view algorithm) {
  if (name.empty() && algorithm.empty()) return KeyType::P256;
  for (const Curve& curve : kCurves) {
    if ((name.empty() || name == curve.name) &&
        (algorithm.empty() || algorithm == curve.algorithm)) {
      return curve.type;
    }
  }
  return std::nullopt;
}

std::optional<VerificationKey> ec_key(const MetadataStruct& fields, std::string_view algorithm) {
  if (find(fields, "crv") != nullptr && text_of(fields, "crv") == nullptr) return std::nullopt;
  const auto curve = curve_of(text_or_empty(fields, "crv"), algorithm);
  const auto x = bytes_of(fields, "x");
  const auto y = bytes_of(fields, "y");
  if (!curve || !x || !y) return std::nullopt;
  return VerificationKey::ec(*curve, *x, *y);
}

std::optional<VerificationKey> secret_key(const MetadataStruct& fields,
                                          std::string_view algorithm) {
  if (!algorithm.empty() && algorithm != "HS256" && algorithm != "HS384" && algorithm != "HS512") {
    return std::nullopt;
  }
  auto k = bytes_of(fields, "k");
  if (!k) return std::nullopt;
  return VerificationKey::secret(*std::move(k));
}

std::optional<VerificationKey> okp_key(const MetadataStruct& fields, std::string_view algorithm) {
  if (!algorithm.empty() && algorithm != "EdDSA") return std::nullopt;
  const auto x = bytes_of(fields, "x");
  if (text_or_empty(fields, "crv") != "Ed25519" || !x) return std::nullopt;
  return VerificationKey::ed25519(*x);
}

std::optional<VerificationKey> key_of(const MetadataStruct& fields, std::string_view algorithm) {
  const std::string type = text_or_empty(fields, "kty");
  if (type == "RSA") return rsa_key(fields, algorithm);
  if (type == "EC") return ec_key(fields, algorithm);
  if (type == "oct") return secret_key(fields, algorithm);
  if (type == "OKP") return okp_key(fields, algorithm);
  return std::nullopt;
}

bool is_certificate_map(const MetadataStruct& fields) {
  for (const auto& [kid, value] : fields) {
    const std::string* pem = value.text();
    if (kid.empty() || pem == nullptr || !pem->starts_with(kCertificateBegin) ||
        !pem->ends_with(kCertificateEnd)) {
      return false;
    }
  }
  return !fields.empty();
}

}  // namespace

class KeySetReader {
 public:
  absl::Status read(const MetadataStruct& fields) {
    const MetadataValue* keys = find(fields, "keys");
    if (keys == nullptr && is_certificate_map(fields)) return read_certificates(fields);
    if (keys == nullptr) return absl::InvalidArgumentError("Jwks does not have [keys] field");
    if (keys->list() == nullptr) {
      return absl::InvalidArgumentError("[keys] in Jwks is not an array");
    }
    if (keys->list()->size() > kMaxKeys) {
      return absl::InvalidArgumentError("Jwks has too many keys");
    }
    for (const MetadataValue& key : *keys->list()) add(key);
    if (set_->keys_.empty()) {
      return absl::InvalidArgumentError("Jwks doesn't have any valid public key");
    }
    return absl::OkStatus();
  }

  std::shared_ptr<const KeySet> take() { return std::move(set_); }

 private:
  void add(const MetadataValue& value) {
    const MetadataStruct* fields = value.fields();
    if (fields == nullptr) return;
    std::string algorithm = text_or_empty(*fields, "alg");
    auto key = key_of(*fields, algorithm);
    if (!key) return;
    set_->keys_.push_back({text_or_empty(*fields, "kid"), std::move(algorithm), *std::move(key)});
  }

  absl::Status read_certificates(const MetadataStruct& fields) {
    if (fields.size() > kMaxKeys) return absl::InvalidArgumentError("Jwks has too many keys");
    for (const auto& [kid, value] : fields) {
      auto key = VerificationKey::rsa_certificate(*value.text());
      if (!key) return absl::InvalidArgumentError("X509 parse pubkey fails");
      set_->keys_.push_back({kid, "", *std::move(key)});
    }
    return absl::OkStatus();
  }

  std::shared_ptr<KeySet> set_ = std::make_shared<KeySet>();
};

absl::StatusOr<std::shared_ptr<const KeySet>> KeySet::parse(std::string_view text) {
  if (text.size() > kMaxKeySetBytes) return absl::InvalidArgumentError("Jwks is too long");
  const auto json = parse_json(text);
  if (!json || json->fields() == nullptr) {
    return absl::InvalidArgumentError("Jwks is an invalid JSON");
  }
  KeySetReader reader;
  if (absl::Status status = reader.read(*json->fields()); !status.ok()) return status;
  return reader.take();
}

KeySet::Verdict KeySet::verify(std::string_view algorithm, std::string_view kid,
                               std::string_view message, std::string_view signature) const {
  const auto known = signature_algorithm(algorithm);
  if (!known) return Verdict::NoKey;
  Verdict verdict = Verdict::NoKey;
  for (const Entry& entry : keys_) {
    if (!kid.empty() && !entry.kid.empty() && entry.kid != kid) continue;
    if (!entry.algorithm.empty() && entry.algorithm != algorithm) continue;
    verdict = Verdict::Failed;
    if (!serves(entry.key.type(), *known)) continue;
    if (*known == SignatureAlgorithm::EdDSA && signature.size() != kEd25519SignatureBytes) {
      return Verdict::WrongLength;
    }
    if (entry.key.verifies(*known, message, signature)) return Verdict::Verified;
  }
  return verdict;
}

}  // namespace remora::tls
