#include "proxy/tls/digest.h"

#include <openssl/evp.h>

namespace remora::tls {
namespace {

std::string digest_hex(std::string_view bytes, const EVP_MD* kind) {
  constexpr char kDigits[] = "0123456789abcdef";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  std::string out;
  // Fails only where the library was told not to offer the kind (FIPS and MD5): then there is no
  // fingerprint.
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, kind, nullptr) != 1) return out;
  out.reserve(size_t{2} * size);
  for (unsigned int i = 0; i < size; ++i) {
    out.push_back(kDigits[digest[i] >> 4]);
    out.push_back(kDigits[digest[i] & 15]);
  }
  return out;
}

}  // namespace

std::string md5_hex(std::string_view bytes) { return digest_hex(bytes, EVP_md5()); }
std::string sha256_hex(std::string_view bytes) { return digest_hex(bytes, EVP_sha256()); }

}  // namespace remora::tls
