// What a Context is, for this room only. Made on the main thread, then shared and never changed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/tls/certificate_choice.h"
#include "proxy/tls/context.h"
#include "proxy/tls/credentials.h"
#include "proxy/tls/openssl_handles.h"
#include "proxy/tls/tickets.h"
#include "proxy/tls/validator.h"

namespace remora::tls {

class Context {
 public:
  explicit Context(Validator validator) : validator(std::move(validator)) {}

  bool server = false;
  Validator validator;
  std::vector<OwnCertificate> own;
  CertificateChoice choice;          // server
  TicketSealer tickets;              // server; empty: OpenSSL's own random keys
  std::string alpn;                  // wire format: length, name, length, name
  bool demands_certificate = false;  // server
  bool enforce_rsa_key_usage = false;
  ContextReport report;
  BioMethodHandle socket_method;
  SslContextHandle ssl;  // destroyed first: it points here

  /// Equal when the same peers are let in.
  std::string trust() const { return validator.fingerprint() + (demands_certificate ? "!" : ""); }
};

/// Signatures and keys below 112 bits of security are refused.
inline constexpr int kSecurityLevel = 2;

/// What servers and clients have in common.
absl::Status set_up(Context& context, const CommonSettings& settings);
absl::Status show(Context& context, const OwnCertificate& certificate);
void make_report(Context& context, const Validation* validation);

}  // namespace remora::tls
