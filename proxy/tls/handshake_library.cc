// A provider that stands before the default one and leaves out decoders.
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

/// Whether it reads the key of a certificate, of a kind that may sign a handshake.
bool reads_certificate_key(const OSSL_ALGORITHM& decoder) {
  static constexpr std::string_view kKinds[] = {"RSA", "RSA-PSS", "EC", "ED25519", "ED448"};
  const std::string_view names = decoder.algorithm_names;
  const std::string_view properties = decoder.property_definition;
  return std::find(std::begin(kKinds), std::end(kKinds), names.substr(0, names.find(':'))) !=
             std::end(kKinds) &&
         properties.find("input=der") != std::string_view::npos &&
         properties.find("structure=SubjectPublicKeyInfo") != std::string_view::npos;
}

std::vector<OSSL_ALGORITHM> certificate_keys() {
  std::vector<OSSL_ALGORITHM> kept;
  int no_cache = 0;
  const OSSL_ALGORITHM* at = OSSL_PROVIDER_query_operation(whole(), OSSL_OP_DECODER, &no_cache);
  for (; at != nullptr && at->algorithm_names != nullptr; ++at) {
    if (reads_certificate_key(*at)) kept.push_back(*at);
  }
  kept.push_back({});
  return kept;
}

const OSSL_ALGORITHM* query(void*, int operation, int* no_cache) {
  if (operation != OSSL_OP_DECODER) {
    return OSSL_PROVIDER_query_operation(whole(), operation, no_cache);
  }
  static const auto* const kKept = new std::vector<OSSL_ALGORITHM>(certificate_keys());
  *no_cache = 0;
  return kKept->data();
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
