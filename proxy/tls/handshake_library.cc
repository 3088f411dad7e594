// A provider that passes on what OpenSSL's default provider has, filtered.
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

/// What peers' keys may be, as OpenSSL calls it; "DER" is the envelope that all of them come in.
constexpr std::string_view kPublicKeys[] = {"DER", "RSA", "RSA-PSS", "EC", "ED25519", "ED448"};
constexpr std::string_view kKeys[] = {"RSA", "RSA-PSS", "EC", "X25519", "X448", "ED25519", "ED448"};

struct Provider {
  OSSL_PROVIDER* whole = nullptr;  // of the default context
  std::vector<OSSL_ALGORITHM> decoders, keys;
};

/// Names come as "EC:id-ecPublicKey:1.2.840.10045.2.1".
bool is_one_of(const OSSL_ALGORITHM& algorithm, const auto& names) {
  const std::string_view all = algorithm.algorithm_names;
  return std::ranges::find(names, all.substr(0, all.find(':'))) != std::end(names);
}

std::vector<OSSL_ALGORITHM> filtered(OSSL_PROVIDER* provider, int operation, auto&& wanted) {
  std::vector<OSSL_ALGORITHM> out;
  int no_cache = 0;
  const OSSL_ALGORITHM* all = OSSL_PROVIDER_query_operation(provider, operation, &no_cache);
  for (; all != nullptr && all->algorithm_names != nullptr; ++all) {
    if (wanted(*all)) out.push_back(*all);
  }
  out.push_back({});  // the end of the list
  return out;
}

Provider& provider() {
  static Provider& made = *[] {
    auto* p = new Provider;
    p->whole = OSSL_PROVIDER_load(nullptr, "default");
    if (p->whole == nullptr) return p;
    p->decoders = filtered(p->whole, OSSL_OP_DECODER, [](const OSSL_ALGORITHM& algorithm) {
      const std::string_view kind = algorithm.property_definition;
      return kind.find("structure=SubjectPublicKeyInfo") != kind.npos &&
             is_one_of(algorithm, kPublicKeys);
    });
    p->keys = filtered(p->whole, OSSL_OP_KEYMGMT,
                       [](const OSSL_ALGORITHM& algorithm) { return is_one_of(algorithm, kKeys); });
    return p;
  }();
  return made;
}

const OSSL_ALGORITHM* query(void*, int operation, int* no_cache) {
  *no_cache = 0;
  if (operation == OSSL_OP_DECODER) return provider().decoders.data();
  if (operation == OSSL_OP_KEYMGMT) return provider().keys.data();
  return OSSL_PROVIDER_query_operation(provider().whole, operation, no_cache);
}

/// The groups that TLS knows, among others.
int capabilities(void*, const char* capability, OSSL_CALLBACK* callback, void* argument) {
  return OSSL_PROVIDER_get_capabilities(provider().whole, capability, callback, argument);
}

int start(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** out,
          void** context) {
  static const OSSL_DISPATCH table[] = {
      {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(&query)},
      {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<void (*)()>(&capabilities)},
      {0, nullptr}};
  *out = table;
  // Its algorithms are the default provider's and expect to be given what is theirs.
  *context = OSSL_PROVIDER_get0_provider_ctx(provider().whole);
  return 1;
}

OSSL_LIB_CTX* make() {
  if (provider().whole == nullptr) return nullptr;
  OSSL_LIB_CTX* context = OSSL_LIB_CTX_new();
  if (context != nullptr && OSSL_PROVIDER_add_builtin(context, kName, &start) == 1 &&
      OSSL_PROVIDER_load(context, kName) != nullptr) {
    return context;
  }
  OSSL_LIB_CTX_free(context);
  ERR_clear_error();
  return nullptr;
}

}  // namespace

OSSL_LIB_CTX* handshake_library() {
  static OSSL_LIB_CTX* const context = make();
  return context;
}

}  // namespace remora::tls
