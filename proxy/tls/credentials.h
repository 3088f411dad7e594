// Secrets as OpenSSL's objects: certificates with their keys, bundles of roots, revocation lists,
// stapled responses. Parsed on the main thread; what comes out is never changed. Errors start with
// the field at fault.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/tls/certificate_identity.h"
#include "proxy/tls/openssl_handles.h"
#include "proxy/tls/secret.h"

namespace remora::tls {

/// One certificate of our own, ready to be shown.
struct OwnCertificate {
  std::string name;
  std::string source;
  X509Handle leaf;
  X509Stack chain;  // without the leaf
  KeyHandle key;
  int curve = 0;  // NID of an ECDSA key's curve; 0: not ECDSA
  bool must_staple = false;
  std::string ocsp_response;  // DER; empty: none
  int64_t ocsp_valid_until_s = 0;
  std::shared_ptr<const ReadCertificate> read;
};

absl::StatusOr<OwnCertificate> load(const Certificate& certificate);

struct Bundle {
  std::vector<X509Handle> certificates;
  std::vector<CrlHandle> crls;
};

/// A bundle without any certificate is an error: it would trust nobody or, worse, be taken for "no
/// bundle".
absl::StatusOr<Bundle> load_bundle(std::string_view pem, std::string_view field);
absl::StatusOr<std::vector<CrlHandle>> load_crls(std::string_view pem);
/// The roots that the host's distribution trusts.
absl::StatusOr<Bundle> load_system_roots();

}  // namespace remora::tls
