// Each call has its own OpenSSL context; the keys are only read.
#include "proxy/tls/signature.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>
#include <utility>

namespace remora::tls {
namespace {

constexpr int kMinRsaBits = 1024;
constexpr int kMaxRsaBits = 8192;
constexpr size_t kMaxRsaBytes = kMaxRsaBits / 8;
constexpr size_t kEd25519KeyBytes = 32;

template <auto F>
struct Deleter {
  template <class T>
  void operator()(T* t) const {
    F(t);
  }
};
using BignumPtr = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using ParamBuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using EcdsaPtr = std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG_free>>;
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free>>;
using CertificatePtr = std::unique_ptr<X509, Deleter<X509_free>>;

/// What goes wrong here is told by the answer; OpenSSL's queue of reasons must not grow.
struct ErrorsForgotten {
  ~ErrorsForgotten() { ERR_clear_error(); }
};

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

BignumPtr number(std::string_view big_endian) {
  return BignumPtr(BN_bin2bn(bytes_of(big_endian), static_cast<int>(big_endian.size()), nullptr));
}

evp_pkey_st* key_from(const char* kind, OSSL_PARAM_BLD* builder) {
  ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
  KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  return key;
}

bool sound_rsa(const EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  return bits >= kMinRsaBits && bits <= kMaxRsaBits;
}

const EVP_MD* digest_of(SignatureAlgorithm algorithm) {
  using A = SignatureAlgorithm;
  switch (algorithm) {
    case A::RS256:
    case A::PS256:
    case A::ES256:
    case A::HS256:
      return EVP_sha256();
    case A::RS384:
    case A::PS384:
    case A::ES384:
    case A::HS384:
      return EVP_sha384();
    case A::RS512:
    case A::PS512:
    case A::ES512:
    case A::HS512:
      return EVP_sha512();
    case A::EdDSA:
      break;
  }
  return nullptr;
}

bool is_pss(SignatureAlgorithm algorithm) {
  return algorithm == SignatureAlgorithm::PS256 || algorithm == SignatureAlgorithm::PS384 ||
         algorithm == SignatureAlgorithm::PS512;
}

size_t coordinate_bytes(KeyType type) {
  switch (type) {
    case KeyType::P256:
      return 32;
    case KeyType::P384:
      return 48;
    case KeyType::P521:
      return 66;
    default:
      return 0;
  }
}

const char* curve_name(KeyType type) {
  switch (type) {
    case KeyType::P256:
      return "P-256";
    case KeyType::P384:
      return "P-384";
    default:
      return "P-521";
  }
}

/// Tokens carry r and s side by side, OpenSSL wants DER. Empty: not of the curve's length.
std::string der_of(std::string_view signature, size_t coordinate) {
  if (signature.size() != 2 * coordinate) return {};
  BignumPtr r = number(signature.substr(0, coordinate));
  BignumPtr s = number(signature.substr(coordinate));
  EcdsaPtr ecdsa(ECDSA_SIG_new());
  if (!r || !s || !ecdsa || ECDSA_SIG_set0(ecdsa.get(), r.get(), s.get()) != 1) return {};
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(ecdsa.get(), &der);
  if (size <= 0) return {};
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

constexpr std::array<std::string_view, 13> kNames = {"RS256", "RS384", "RS512", "PS256", "PS384",
                                                     "PS512", "ES256", "ES384", "ES512", "HS256",
                                                     "HS384", "HS512", "EdDSA"};

}  // namespace

std::optional<SignatureAlgorithm> signature_algorithm(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<SignatureAlgorithm>(i);
  }
  return std::nullopt;
}

bool serves(KeyType type, SignatureAlgorithm algorithm) {
  using A = SignatureAlgorithm;
  switch (type) {
    case KeyType::Rsa:
      return algorithm <= A::PS512;
    case KeyType::P256:
      return algorithm == A::ES256;
    case KeyType::P384:
      return algorithm == A::ES384;
    case KeyType::P521:
      return algorithm == A::ES512;
    case KeyType::Secret:
      return algorithm >= A::HS256 && algorithm <= A::HS512;
    case KeyType::Ed25519:
      return algorithm == A::EdDSA;
  }
  return false;
}

void VerificationKey::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

VerificationKey::VerificationKey(KeyType type, KeyPtr key, std::string secret)
    : type_(type), key_(std::move(key)), secret_(std::move(secret)) {}

VerificationKey::~VerificationKey() { OPENSSL_cleanse(secret_.data(), secret_.size()); }

std::optional<VerificationKey> VerificationKey::rsa(std::string_view modulus,
                                                    std::string_view exponent) {
  const ErrorsForgotten forgotten;
  if (modulus.size() > kMaxRsaBytes + 1 || exponent.size() > sizeof(uint64_t)) return std::nullopt;
  BignumPtr n = number(modulus);
  BignumPtr e = number(exponent);
  // Other exponents are unheard of and may be expensive.
  if (!n || !e || !BN_is_odd(n.get()) || (!BN_is_word(e.get(), 3) && !BN_is_word(e.get(), 65537))) {
    return std::nullopt;
  }
  ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return std::nullopt;
  }
  KeyPtr key(key_from("RSA", builder.get()));
  if (!key || !sound_rsa(key.get())) return std::nullopt;
  return VerificationKey(KeyType::Rsa, std::move(key), {});
}

std::optional<VerificationKey> VerificationKey::ec(KeyType type, std::string_view x,
                                                   std::string_view y) {
  const ErrorsForgotten forgotten;
  const size_t size = coordinate_bytes(type);
  if (size == 0 || x.empty() || y.empty() || x.size() > size || y.size() > size) {
    return std::nullopt;
  }
  std::string point(1 + 2 * size, '\0');
  point[0] = 4;  // uncompressed
  point.replace(1 + size - x.size(), x.size(), x);
  point.replace(1 + 2 * size - y.size(), y.size(), y);
  ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve_name(type),
                                      0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return std::nullopt;
  }
  KeyPtr key(key_from("EC", builder.get()));
  if (!key) return std::nullopt;
  return VerificationKey(type, std::move(key), {});
}

std::optional<VerificationKey> VerificationKey::ed25519(std::string_view raw) {
  const ErrorsForgotten forgotten;
  if (raw.size() != kEd25519KeyBytes) return std::nullopt;
  KeyPtr key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(raw), raw.size()));
  if (!key) return std::nullopt;
  return VerificationKey(KeyType::Ed25519, std::move(key), {});
}

std::optional<VerificationKey> VerificationKey::secret(std::string bytes) {
  if (bytes.empty()) return std::nullopt;
  return VerificationKey(KeyType::Secret, nullptr, std::move(bytes));
}

std::optional<VerificationKey> VerificationKey::rsa_certificate(const std::string& pem) {
  const ErrorsForgotten forgotten;
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  CertificatePtr certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)
                                 : nullptr);
  if (!certificate) return std::nullopt;
  KeyPtr key(X509_get_pubkey(certificate.get()));
  if (!key || EVP_PKEY_is_a(key.get(), "RSA") != 1 || !sound_rsa(key.get())) return std::nullopt;
  return VerificationKey(KeyType::Rsa, std::move(key), {});
}

bool VerificationKey::verifies(SignatureAlgorithm algorithm, std::string_view message,
                               std::string_view signature) const {
  const ErrorsForgotten forgotten;
  if (!serves(type_, algorithm)) return false;
  return type_ == KeyType::Secret ? verifies_secret(algorithm, message, signature)
                                  : verifies_asymmetric(algorithm, message, signature);
}

bool VerificationKey::verifies_asymmetric(SignatureAlgorithm algorithm, std::string_view message,
                                          std::string_view signature) const {
  std::string der;
  if (const size_t coordinate = coordinate_bytes(type_); coordinate != 0) {
    der = der_of(signature, coordinate);
    if (der.empty()) return false;
    signature = der;
  }
  DigestContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // belongs to `context`
  if (!context || EVP_DigestVerifyInit(context.get(), &parameters, digest_of(algorithm), nullptr,
                                       key_.get()) != 1) {
    return false;
  }
  if (is_pss(algorithm) &&
      (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) != 1 ||
       EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) != 1)) {
    return false;
  }
  return EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                          message.size()) == 1;
}

bool VerificationKey::verifies_secret(SignatureAlgorithm algorithm, std::string_view message,
                                      std::string_view signature) const {
  std::array<unsigned char, EVP_MAX_MD_SIZE> expected;
  unsigned int size = 0;
  if (HMAC(digest_of(algorithm), secret_.data(), static_cast<int>(secret_.size()),
           bytes_of(message), message.size(), expected.data(), &size) == nullptr) {
    return false;
  }
  return signature.size() == size &&
         CRYPTO_memcmp(expected.data(), signature.data(), signature.size()) == 0;
}

}  // namespace remora::tls
