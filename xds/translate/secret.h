// Secrets: certificates with keys, whom to trust, session ticket keys, generic ones. What they say
// by file name or environment variable is read here. Document:
// envoy.extensions.transport_sockets.tls.v3.Secret. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/tls.pb.h"
#include "proxy/net/config_source.h"
#include "proxy/tls/secret.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

enum class SecretKind : uint8_t { Certificate, Validation, TicketKeys, Generic };
/// As the field of Secret is called: "tls_certificate".
std::string_view name_of(SecretKind kind);

/// A secret that discovery brings.
struct SecretRef {
  SecretKind kind = SecretKind::Certificate;
  std::string name;
  ConfigSource source;
  bool operator==(const SecretRef&) const = default;
};

/// A validation context as a message, because a combined one is merged before it is compiled, with
/// the content of its files inside.
struct ValidationMessage {
  envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext proto;
  std::string source;  // file name of the roots or "<inline>"
};

/// One secret with everything read; `kind` says which member is meant.
struct Secret {
  SecretKind kind = SecretKind::Certificate;
  std::string name;
  tls::Certificate certificate;
  ValidationMessage validation;
  tls::TicketKeys ticket_keys;
  tls::Sensitive generic;
  std::vector<std::string> files;  // that it was read from
  std::string watched_directory;   // what to watch for changes of them; empty: the folder of each
};

/// A resource by itself: looks for unknown fields, reads what it names, and checks that it can be
/// used (a key that does not match its certificate, a bundle without a certificate). Errors begin
/// with a path inside it.
absl::StatusOr<Secret> secret(const envoy::extensions::transport_sockets::tls::v3::Secret& proto,
                              Context& context);

// Parts of it, as they stand inline in TLS contexts. Files are added to `files` when it is not
// null.
absl::StatusOr<tls::Certificate> certificate(
    const envoy::extensions::transport_sockets::tls::v3::TlsCertificate& proto, const Path& path,
    std::vector<std::string>* files = nullptr);
absl::StatusOr<tls::TicketKeys> ticket_keys(
    const envoy::extensions::transport_sockets::tls::v3::TlsSessionTicketKeys& proto,
    const Path& path, std::vector<std::string>* files = nullptr);
/// Puts the content of files and variables in the place of their names.
absl::StatusOr<ValidationMessage> read_validation(
    const envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext& proto,
    const Path& path, std::vector<std::string>* files = nullptr);

/// The rules that a validation context (merged, if it is a combined one) comes down to.
absl::StatusOr<tls::Validation> validation(const ValidationMessage& message, std::string_view name,
                                           const Context& context, const Path& path);

/// A reference to a secret of discovery: name and source. `source` of the answer is meaningless
/// when `proto.has_sds_config()` is false: then the secret is one of static_resources.
absl::StatusOr<SecretRef> secret_ref(
    const envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig& proto, SecretKind kind,
    const Context& context, const Path& path);

}  // namespace remora::xds::translate
