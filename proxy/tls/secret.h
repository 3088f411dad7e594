// Secrets as plain values: what SDS, files and inline configuration compile to, before OpenSSL sees
// them. Made on the main thread and never changed. Documents:
// envoy.extensions.transport_sockets.tls.v3.{TlsCertificate,
// CertificateValidationContext,TlsSessionTicketKeys}.
// CONTRACT (additive).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/string_match.h"

namespace remora::tls {

/// Bytes that are overwritten before their memory is given back: keys and passwords. Never logged
/// or dumped.
class Sensitive {
 public:
  Sensitive() = default;
  explicit Sensitive(std::string bytes) : bytes_(std::move(bytes)) {}
  Sensitive(const Sensitive&) = default;
  Sensitive(Sensitive&& other) noexcept;
  Sensitive& operator=(Sensitive other) noexcept;
  ~Sensitive();
  std::string_view view() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string bytes_;
};

/// A certificate with its key: what one side shows.
struct Certificate {
  std::string name;       // of the SDS secret, for /certs and metrics; empty: inline
  std::string source;     // file name of the chain or "<inline>", for /certs and errors
  std::string chain_pem;  // leaf first; or, when pkcs12 is set, empty
  Sensitive key_pem;
  Sensitive pkcs12;  // DER, instead of chain and key
  Sensitive password;
  std::string ocsp_staple;  // DER; empty: none
};

struct TicketKeys {
  std::vector<Sensitive>
      keys;  // 80 bytes each: the first encrypts, all decrypt. Empty: made at random
};

/// One condition on one type of subject alternative name; never met by a name of another type.
struct SanMatch {
  enum class Type : uint8_t { Dns, Uri, Email, Ip, OtherName };
  Type type = Type::Uri;
  StringMatch match;
  std::string oid;  // OtherName
};

/// A trust domain of the SPIFFE validator (envoy.tls.cert_validator.spiffe).
struct TrustDomain {
  std::string name;  // "cluster.local"
  std::string bundle_pem;
};

/// Whom to trust, and what a peer's certificate must say.
struct Validation {
  std::string name;    // of the SDS secret; empty: inline
  std::string source;  // file name or "<inline>"
  std::string ca_pem;
  bool system_roots = false;
  std::string crl_pem;
  bool only_verify_leaf_crl = false;
  bool allow_expired = false;
  bool accept_untrusted = false;  // trust_chain_verification: ACCEPT_UNTRUSTED
  std::optional<uint32_t> max_verify_depth;
  std::vector<std::string> certificate_sha256;  // 32 bytes each
  std::vector<std::string> spki_sha256;         // 32 bytes each
  std::vector<SanMatch> sans;                   // one of them must be met; empty: any name
  std::vector<TrustDomain> trust_domains;  // not empty: the SPIFFE validator, instead of ca_pem
};

}  // namespace remora::tls
