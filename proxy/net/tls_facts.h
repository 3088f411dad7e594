// What a TLS connection has proved and agreed on, as plain values for policy, headers and logs.
// Owned by the transport; readable as long as the connection lives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace remora {

/// One certificate, read once. Texts are spelled as Envoy spells them.
struct CertificateIdentity {
  std::vector<std::string> uri_sans;
  std::vector<std::string> dns_sans;
  std::vector<std::string> email_sans;
  std::vector<std::string> ip_sans;
  std::string subject;             // RFC 2253
  std::string issuer;              // RFC 2253
  std::string serial;              // hexadecimal, lower case
  std::string sha256_fingerprint;  // hexadecimal, lower case, of the DER
  std::string sha1_fingerprint;
  int64_t not_before_s = 0, not_after_s = 0;  // Unix time
};

struct TlsFacts {
  std::string_view version;  // "TLSv1.3"; static memory
  std::string_view cipher;   // OpenSSL's name ("TLS_AES_128_GCM_SHA256"); static memory
  std::string session_id;    // hexadecimal; empty under TLS 1.3 without one
  bool resumed = false;
  /// The peer's own certificate; null when it showed none. Shared among connections that showed the
  /// same.
  std::shared_ptr<const CertificateIdentity> peer;
  /// Its chain led to a trusted root (and matched the rules on names). Never true without `peer`.
  bool peer_verified = false;
  /// The certificate shown to the peer; null when none was.
  std::shared_ptr<const CertificateIdentity> local;
  /// URL-encoded PEM of the peer's certificate, and of its chain, for x-forwarded-client-cert. Made
  /// when asked.
  virtual std::string peer_pem() const = 0;
  virtual std::string peer_chain_pem() const = 0;

 protected:
  ~TlsFacts() = default;
};

}  // namespace remora
