#include "proxy/tls/handshake_library.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <string>
#include <vector>

#include "proxy/tls/openssl_handles.h"

namespace remora::tls {
namespace {

KeyHandle made(const char* kind) {
  const Handle<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
      EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_keygen_init(context.get()) == 1) EVP_PKEY_generate(context.get(), &key);
  return KeyHandle(key);
}

std::string public_part(EVP_PKEY* key) {
  unsigned char* bytes = nullptr;
  const int size = i2d_PUBKEY(key, &bytes);
  std::string out(reinterpret_cast<const char*>(bytes), static_cast<size_t>(std::max(size, 0)));
  OPENSSL_free(bytes);
  return out;
}

KeyHandle read(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  return KeyHandle(
      d2i_PUBKEY_ex(nullptr, &at, static_cast<long>(der.size()), handshake_library(), nullptr));
}

TEST(HandshakeLibrary, ReadsEveryKindOfKeyThatPeersMayHave) {
  ASSERT_NE(handshake_library(), nullptr);
  const KeyHandle keys[] = {
      KeyHandle(EVP_EC_gen("P-256")),
      KeyHandle(EVP_EC_gen("P-384")),
      KeyHandle(EVP_EC_gen("P-521")),
      KeyHandle(EVP_RSA_gen(2048)),
      made("RSA-PSS"),
      made("ED25519"),
      made("ED448"),
  };
  for (const KeyHandle& key : keys) {
    ASSERT_NE(key, nullptr);
    const KeyHandle got = read(public_part(key.get()));
    ASSERT_NE(got, nullptr) << EVP_PKEY_get0_type_name(key.get());
    EXPECT_EQ(EVP_PKEY_eq(got.get(), key.get()), 1) << EVP_PKEY_get0_type_name(key.get());
  }
}

/// All that a context would speak, at any level of security.
std::vector<std::string> ciphers_of(OSSL_LIB_CTX* library) {
  const SslContextHandle context(SSL_CTX_new_ex(library, nullptr, TLS_method()));
  SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_cipher_list(context.get(), "ALL:COMPLEMENTOFALL");
  std::vector<std::string> names;
  STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(context.get());
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    names.emplace_back(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i)));
  }
  return names;
}

TEST(HandshakeLibrary, SpeaksAllThatTheWholeLibraryDoes) {
  EXPECT_EQ(ciphers_of(handshake_library()), ciphers_of(nullptr));
  const SslContextHandle context(SSL_CTX_new_ex(handshake_library(), nullptr, TLS_method()));
  for (const char* group : {"X25519", "X448", "P-256", "P-384", "P-521", "ffdhe2048"}) {
    EXPECT_EQ(SSL_CTX_set1_groups_list(context.get(), group), 1) << group;
  }
  for (const char* algorithm :
       {"ECDSA+SHA256", "ECDSA+SHA512", "ed25519", "ed448", "rsa_pss_rsae_sha256",
        "rsa_pss_pss_sha384", "RSA+SHA256", "RSA+SHA1"}) {
    EXPECT_EQ(SSL_CTX_set1_sigalgs_list(context.get(), algorithm), 1) << algorithm;
  }
}

TEST(HandshakeLibrary, HasNoUseForOtherKeys) {
  const KeyHandle key = made("X25519");
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(read(public_part(key.get())), nullptr) << "nobody signs with it";
}

}  // namespace
}  // namespace remora::tls
