// A certificate's names, times and fingerprints as plain values, spelled as Envoy spells them. Pure
// functions; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/net/tls_facts.h"
#include "proxy/tls/openssl_handles.h"

namespace remora::tls {

/// What is read of a certificate once and shared among the connections that show it.
struct ReadCertificate {
  CertificateIdentity identity;
  /// Subject alternative names that cannot be read as meant: a NUL inside, or an extension that
  /// does not parse or comes twice. Such a certificate proves nothing, and none of its names are in
  /// `identity`.
  bool malformed_names = false;
};

ReadCertificate read_certificate(X509& certificate);

/// The identity alone, sharing `read`.
inline std::shared_ptr<const CertificateIdentity> identity_of(
    std::shared_ptr<const ReadCertificate> read) {
  if (read == nullptr) return nullptr;
  const CertificateIdentity* identity = &read->identity;
  return {std::move(read), identity};
}

std::string sha256_of(const X509& certificate);       // 32 bytes
std::string spki_sha256_of(const X509& certificate);  // 32 bytes; empty when unreadable
std::string to_hex(std::string_view bytes);
/// Seconds since the Unix epoch; the end of time when it does not parse.
int64_t not_after_s(const X509& certificate);
/// Values of the OtherName entries of that OID.
std::vector<std::string> other_names(const X509& certificate, const std::string& oid);
/// First common name of the subject; empty without one.
std::string common_name_of(const X509& certificate);

std::string pem_of(X509& certificate);
/// PEM with every byte but letters, digits and "-._~" percent-encoded.
std::string url_encoded_pem_of(X509& certificate);

}  // namespace remora::tls
