// Layout of a key, as Envoy's: 16 bytes of name, 32 of HMAC-SHA-256 key, 32 of AES-256-CBC key.
#include "proxy/tls/tickets.h"

#include <absl/strings/str_cat.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>

namespace remora::tls {
namespace {

constexpr size_t kNameBytes = 16;
constexpr size_t kMacKeyBytes = 32;
constexpr size_t kCipherKeyBytes = 32;
constexpr size_t kKeyBytes = kNameBytes + kMacKeyBytes + kCipherKeyBytes;
constexpr int kIvBytes = 16;

constexpr char kNoteVersion = 1;
constexpr size_t kNoteHeadBytes = 2 + sizeof(int64_t);
/// A peer with a longer chain makes a full handshake each time.
constexpr size_t kMaxChainBytes = 12 * 1024;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bool set_mac_key(EVP_MAC_CTX* mac, std::string_view key) {
  char digest[] = "SHA256";
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
                                        const_cast<unsigned char*>(bytes_of(key)), key.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, params) == 1;
}

}  // namespace

absl::StatusOr<TicketSealer> TicketSealer::make(const TicketKeys& keys) {
  TicketSealer sealer;
  for (const Sensitive& key : keys.keys) {
    if (key.view().size() != kKeyBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("session_ticket_keys: incorrect TLS session ticket key length. Length ",
                       key.view().size(), ", expected length ", kKeyBytes, "."));
    }
  }
  if (keys.keys.empty()) return sealer;
  sealer.keys_ = keys.keys;
  sealer.cipher_.reset(EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr));
  return sealer;
}

int TicketSealer::operator()(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                             EVP_MAC_CTX* mac, bool sealing) const {
  const size_t count = sealing ? 1 : keys_.size();
  for (size_t i = 0; i < count; ++i) {
    const std::string_view key = keys_[i].view();
    if (sealing) {
      std::memcpy(name, key.data(), kNameBytes);
      if (RAND_bytes(iv, kIvBytes) != 1) return -1;
    } else if (std::memcmp(name, key.data(), kNameBytes) != 0) {
      continue;
    }
    const unsigned char* cipher_key = bytes_of(key.substr(kNameBytes + kMacKeyBytes));
    if (!set_mac_key(mac, key.substr(kNameBytes, kMacKeyBytes)) ||
        EVP_CipherInit_ex2(cipher, cipher_.get(), cipher_key, iv, sealing ? 1 : 0, nullptr) != 1) {
      return -1;
    }
    return i == 0 ? 1 : 2;  // 2: under an old key, to be sealed again
  }
  return 0;
}

std::string encode(const SessionNote& note) {
  const bool fits = note.chain_der.size() <= kMaxChainBytes;
  // A note that cannot be kept whole has ended already.
  const int64_t until = fits ? note.valid_until_s : 0;
  std::string bytes;
  bytes.push_back(kNoteVersion);
  bytes.push_back(note.verified ? 1 : 0);
  bytes.append(reinterpret_cast<const char*>(&until), sizeof(until));
  if (fits) bytes += note.chain_der;
  return bytes;
}

std::optional<SessionNote> decode_session_note(std::string_view bytes) {
  if (bytes.size() < kNoteHeadBytes || bytes[0] != kNoteVersion) return std::nullopt;
  SessionNote note;
  note.verified = bytes[1] != 0;
  std::memcpy(&note.valid_until_s, bytes.data() + 2, sizeof(note.valid_until_s));
  note.chain_der = bytes.substr(kNoteHeadBytes);
  return note;
}

std::string der_of(const STACK_OF(X509) * chain) {
  std::string der;
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(sk_X509_value(chain, i), &bytes);
    if (size > 0) der.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    OPENSSL_free(bytes);
  }
  return der;
}

X509Stack chain_of(std::string_view der) {
  X509Stack chain(sk_X509_new_null());
  const unsigned char* at = bytes_of(der);
  const unsigned char* end = at + der.size();
  while (at < end) {
    X509* next = d2i_X509(nullptr, &at, static_cast<long>(end - at));
    if (next == nullptr) break;
    sk_X509_push(chain.get(), next);
  }
  return chain;
}

}  // namespace remora::tls
