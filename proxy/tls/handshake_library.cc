// A provider that stands before the default one and leaves out what no handshake uses.
#include "proxy/tls/handshake_library.h"

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace remora::tls {
namespace {

constexpr char kName[] = "handshake";

const OSSL_PROVIDER* whole() {
  static const OSSL_PROVIDER* const loaded = OSSL_PROVIDER_load(nullptr, "default");
  return loaded;
}

/// By their first names. An operation without a list is kept whole.
struct Kept {
  int operation;
  std::vector<std::string_view> names;
};

/// What TLS and the certificates in it use. OpenSSL goes through all that its context holds each
/// time it reads a key, so what is left out here is what a handshake does not pay for.
const std::vector<Kept>& kept() {
  static const auto* const kKept = new std::vector<Kept>{
      {OSSL_OP_DIGEST, {"SHA1", "SHA2-224", "SHA2-256", "SHA2-384", "SHA2-512", "MD5", "MD5-SHA1"}},
      {OSSL_OP_CIPHER,
       {"NULL", "AES-128-CBC", "AES-256-CBC", "AES-128-GCM", "AES-256-GCM", "AES-128-CCM",
        "AES-256-CCM", "AES-128-CBC-HMAC-SHA1", "AES-256-CBC-HMAC-SHA1", "AES-128-CBC-HMAC-SHA256",
        "AES-256-CBC-HMAC-SHA256", "ARIA-128-GCM", "ARIA-256-GCM", "CAMELLIA-128-CBC",
        "CAMELLIA-256-CBC", "ChaCha20-Poly1305"}},
      {OSSL_OP_MAC, {"HMAC"}},
      {OSSL_OP_KDF, {"HKDF", "TLS13-KDF", "TLS1-PRF"}},
      {OSSL_OP_KEYMGMT,
       {"DH", "DSA", "RSA", "RSA-PSS", "EC", "X25519", "X448", "ED25519", "ED448", "HMAC"}},
      {OSSL_OP_KEYEXCH, {"DH", "ECDH", "X25519", "X448"}},
      {OSSL_OP_SIGNATURE, {"DSA", "RSA", "ECDSA", "ED25519", "ED448", "HMAC"}},
      {OSSL_OP_DECODER, {"RSA", "RSA-PSS", "EC", "ED25519", "ED448"}},
  };
  return *kKept;
}

/// Of decoders, those that read the key of a certificate.
bool fits(const Kept& list, const OSSL_ALGORITHM& algorithm) {
  const std::string_view names = algorithm.algorithm_names;
  if (std::find(list.names.begin(), list.names.end(), names.substr(0, names.find(':'))) ==
      list.names.end()) {
    return false;
  }
  if (list.operation != OSSL_OP_DECODER) return true;
  const std::string_view properties = algorithm.property_definition;
  return properties.find("input=der") != std::string_view::npos &&
         properties.find("structure=SubjectPublicKeyInfo") != std::string_view::npos;
}

using Algorithms = std::vector<OSSL_ALGORITHM>;

/// By number of operation; empty where the whole provider answers.
std::vector<Algorithms> choose() {
  std::vector<Algorithms> chosen(OSSL_OP__HIGHEST + 1);
  for (const Kept& list : kept()) {
    Algorithms& into = chosen[static_cast<size_t>(list.operation)];
    int no_cache = 0;
    const OSSL_ALGORITHM* at = OSSL_PROVIDER_query_operation(whole(), list.operation, &no_cache);
    for (; at != nullptr && at->algorithm_names != nullptr; ++at) {
      if (fits(list, *at)) into.push_back(*at);
    }
    into.push_back({});
  }
  return chosen;
}

const OSSL_ALGORITHM* query(void*, int operation, int* no_cache) {
  static const auto* const kChosen = new std::vector<Algorithms>(choose());
  const auto number = static_cast<size_t>(operation);
  if (number >= kChosen->size() || (*kChosen)[number].empty()) {
    return OSSL_PROVIDER_query_operation(whole(), operation, no_cache);
  }
  *no_cache = 0;
  return (*kChosen)[number].data();
}

int capabilities(void*, const char* name, OSSL_CALLBACK* tell, void* whom) {
  return OSSL_PROVIDER_get_capabilities(whole(), name, tell, whom);
}

int begin(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** out,
          void** context) {
  static const OSSL_DISPATCH kFunctions[] = {
      {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(query)},
      {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<void (*)()>(capabilities)},
      {0, nullptr},
  };
  if (whole() == nullptr) return 0;
  *out = kFunctions;
  *context = OSSL_PROVIDER_get0_provider_ctx(whole());
  return 1;
}

/// Null, which stands for the library as a whole, should OpenSSL not want this.
OSSL_LIB_CTX* make() {
  OSSL_LIB_CTX* library = OSSL_LIB_CTX_new();
  if (library == nullptr) return nullptr;
  if (OSSL_PROVIDER_add_builtin(library, kName, begin) == 1 &&
      OSSL_PROVIDER_load(library, kName) != nullptr) {
    return library;
  }
  OSSL_LIB_CTX_free(library);
  ERR_clear_error();
  return nullptr;
}

}  // namespace

OSSL_LIB_CTX* handshake_library() {
  static OSSL_LIB_CTX* const library = make();
  return library;
}

}  // namespace remora::tls
