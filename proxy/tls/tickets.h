// Session tickets under given keys, and what a session remembers of its peer beyond the
// certificate. Part of a Context; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/tls/openssl_handles.h"
#include "proxy/tls/secret.h"

namespace remora::tls {

/// Keys that several proxies share. The first encrypts, all decrypt.
class TicketSealer {
 public:
  static absl::StatusOr<TicketSealer> make(const TicketKeys& keys);
  bool empty() const { return keys_.empty(); }

  /// As SSL_CTX_set_tlsext_ticket_key_evp_cb wants it.
  int operator()(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                 bool sealing) const;

 private:
  std::vector<Sensitive> keys_;
  Handle<EVP_CIPHER, EVP_CIPHER_free> cipher_;
};

/// Kept inside the session, sealed with it: OpenSSL's tickets keep no chain.
struct SessionNote {
  bool verified = false;
  int64_t valid_until_s = 0;
  std::string chain_der;  // intermediates, one after the other
};

std::string encode(const SessionNote& note);
std::optional<SessionNote> decode_session_note(std::string_view bytes);
std::string der_of(const STACK_OF(X509) * chain);
X509Stack chain_of(std::string_view der);

}  // namespace remora::tls
