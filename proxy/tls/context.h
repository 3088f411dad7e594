// A TLS configuration ready for handshakes: OpenSSL's SSL_CTX with certificates, roots and the
// rules on names. Immutable, made on the main thread, shared by the workers; replaced as a whole
// when a secret rotates. CONTRACT (additive).
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/net/tls_facts.h"
#include "proxy/tls/secret.h"
#include "proxy/tls/settings.h"

namespace remora::tls {

class Context;  // context_internal.h; complete only inside this room
using ContextPtr = std::shared_ptr<const Context>;

/// Fails with text that starts with the field at fault ("private_key: does not match the
/// certificate").
absl::StatusOr<ContextPtr> make_server_context(const ServerSettings& settings,
                                               const std::vector<Certificate>& certificates,
                                               const Validation* validation,
                                               const TicketKeys& ticket_keys);
/// `certificate`, `validation`: null when none is configured.
absl::StatusOr<ContextPtr> make_client_context(const ClientSettings& settings,
                                               const Certificate* certificate,
                                               const Validation* validation);

/// The checks that need no settings: parses what is there, key against certificate, CA and CRL
/// readable. For refusing a secret when it comes, with the field at fault.
absl::Status check(const Certificate& certificate);
absl::Status check(const Validation& validation);

/// For /certs and the metrics of expiry.
struct CertificateReport {
  std::string path;  // file or "<inline>"
  std::string name;  // SDS name
  CertificateIdentity identity;
};
struct ContextReport {
  std::vector<CertificateReport> ca, own;
};
const ContextReport& report(const Context& context);

}  // namespace remora::tls
