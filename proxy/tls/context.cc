// Contexts of servers and clients out of settings and secrets. Main thread.
#include "proxy/tls/context.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "proxy/tls/context_internal.h"
#include "proxy/tls/handshake.h"
#include "proxy/tls/handshake_library.h"
#include "proxy/tls/socket_bio.h"

namespace remora::tls {
namespace {

/// Envoy's, of a build without FIPS. Its two pairs of equal preference are SSL_OP_PRIORITIZE_CHACHA
/// here.
constexpr const char* kDefaultCiphers[] = {
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",   "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
};
constexpr char kTls13Ciphers[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr char kDefaultCurves[] = "X25519:P-256";
/// Sessions that a server remembers for clients without tickets. Each may hold a chain of
/// certificates.
constexpr long kMaxStoredSessions = 1024;
/// One session ticket per handshake: a client that needs more gets them by resuming.
constexpr size_t kTickets = 1;

absl::Status refused(std::string_view field, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(absl::string_view(field.data(), field.size()),
                                                 ": ", absl::string_view(why.data(), why.size())));
}

int number_of(Version version) {
  switch (version) {
    case Version::Tls10:
      return TLS1_VERSION;
    case Version::Tls11:
      return TLS1_1_VERSION;
    case Version::Tls12:
      return TLS1_2_VERSION;
    case Version::Tls13:
      return TLS1_3_VERSION;
  }
  return TLS1_2_VERSION;
}

absl::Status set_versions(SSL_CTX* ssl, const CommonSettings& settings) {
  if (settings.min_version > settings.max_version) {
    return refused("tls_minimum_protocol_version", "above tls_maximum_protocol_version");
  }
  // OpenSSL allows versions before 1.2 at level 0 only. The chain of a peer is judged at ours
  // nevertheless.
  SSL_CTX_set_security_level(ssl, settings.min_version < Version::Tls12 ? 0 : kSecurityLevel);
  if (SSL_CTX_set_min_proto_version(ssl, number_of(settings.min_version)) != 1 ||
      SSL_CTX_set_max_proto_version(ssl, number_of(settings.max_version)) != 1) {
    return refused("tls_params", take_last_error());
  }
  return absl::OkStatus();
}

/// "[A|B]" is two ciphers of equal preference.
std::vector<std::string> cipher_names(const std::vector<std::string>& configured,
                                      bool* equal_groups) {
  std::vector<std::string> names;
  for (const std::string& entry : configured) {
    const bool group = entry.size() > 2 && entry.front() == '[' && entry.back() == ']';
    *equal_groups |= group;
    const std::string inner = group ? entry.substr(1, entry.size() - 2) : entry;
    for (const absl::string_view name : absl::StrSplit(inner, '|')) names.emplace_back(name);
  }
  return names;
}

/// OpenSSL skips names that it does not know and reads some as commands: each is looked up by
/// itself.
bool is_cipher(SSL_CTX* scratch, const std::string& name) {
  if (SSL_CTX_set_cipher_list(scratch, name.c_str()) != 1) {
    ERR_clear_error();
    return false;
  }
  STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(scratch);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    if (name == SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i)) &&
        name.compare(0, 4, "TLS_") != 0) {
      return true;
    }
  }
  return false;
}

absl::Status set_ciphers(SSL_CTX* ssl, const CommonSettings& settings) {
  bool equal_groups = settings.cipher_suites.empty();
  std::vector<std::string> names = cipher_names(settings.cipher_suites, &equal_groups);
  if (names.empty()) names.assign(std::begin(kDefaultCiphers), std::end(kDefaultCiphers));
  const SslContextHandle scratch(SSL_CTX_new_ex(handshake_library(), nullptr, TLS_method()));
  SSL_CTX_set_security_level(scratch.get(), 0);
  for (const std::string& name : names) {
    if (!is_cipher(scratch.get(), name)) {
      return refused("cipher_suites", absl::StrCat("Failed to initialize cipher suites: ", name));
    }
  }
  if (equal_groups) SSL_CTX_set_options(ssl, SSL_OP_PRIORITIZE_CHACHA);
  if (SSL_CTX_set_cipher_list(ssl, absl::StrJoin(names, ":").c_str()) != 1 ||
      SSL_CTX_set_ciphersuites(ssl, kTls13Ciphers) != 1) {
    return refused("cipher_suites", take_last_error());
  }
  const std::string curves =
      settings.curves.empty() ? kDefaultCurves : absl::StrJoin(settings.curves, ":");
  if (SSL_CTX_set1_groups_list(ssl, curves.c_str()) != 1) {
    ERR_clear_error();
    return refused("ecdh_curves", absl::StrCat("Failed to initialize ECDH curves ", curves));
  }
  const std::string algorithms = absl::StrJoin(settings.signature_algorithms, ":");
  if (!algorithms.empty() && SSL_CTX_set1_sigalgs_list(ssl, algorithms.c_str()) != 1) {
    ERR_clear_error();
    return refused("signature_algorithms",
                   absl::StrCat("Failed to initialize TLS signature algorithms ", algorithms));
  }
  return absl::OkStatus();
}

absl::Status set_alpn(Context& context, const CommonSettings& settings) {
  for (const std::string& protocol : settings.alpn) {
    if (protocol.empty() || protocol.size() > 255) {
      return refused("alpn_protocols", "Invalid ALPN protocol string");
    }
    context.alpn.push_back(static_cast<char>(protocol.size()));
    context.alpn += protocol;
  }
  if (context.alpn.size() >= 65535)
    return refused("alpn_protocols", "Invalid ALPN protocol string");
  return absl::OkStatus();
}

void add_part(std::string& out, std::string_view part) {
  absl::StrAppend(&out, part.size(), ":", absl::string_view(part.data(), part.size()), ";");
}

/// A session comes back only to a context that lets in the same peers and shows certificates for
/// the same names; a renewed certificate is one for the same names.
void bind_sessions(Context& context, const ServerSettings& settings) {
  std::string text;
  add_part(text, context.trust());
  add_part(text, settings.session_scope);
  for (const OwnCertificate& own : context.own) {
    add_part(text, own.read->identity.issuer);
    add_part(text, common_name_of(*own.leaf));
    for (const auto* names : {&own.read->identity.dns_sans, &own.read->identity.uri_sans,
                              &own.read->identity.ip_sans}) {
      for (const std::string& name : *names) add_part(text, name);
    }
  }
  unsigned char digest[SHA256_DIGEST_LENGTH];
  static_assert(sizeof(digest) <= SSL_MAX_SID_CTX_LENGTH);
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  SSL_CTX_set_session_id_context(context.ssl.get(), digest, sizeof(digest));
}

void set_sessions(Context& context, const ServerSettings& settings) {
  SSL_CTX* ssl = context.ssl.get();
  SSL_CTX_set_session_cache_mode(
      ssl, settings.session_cache ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
  SSL_CTX_sess_set_cache_size(ssl, kMaxStoredSessions);
  SSL_CTX_set_timeout(ssl,
                      static_cast<long>(std::min<uint64_t>(settings.session_timeout_s, INT32_MAX)));
  if (!settings.session_tickets) SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
  // Without either there is nothing that a ticket could lead to.
  SSL_CTX_set_num_tickets(ssl, settings.session_tickets || settings.session_cache ? kTickets : 0);
  bind_sessions(context, settings);
}

absl::Status check_staples(const Context& context, const ServerSettings& settings) {
  for (const OwnCertificate& own : context.own) {
    if (!own.ocsp_response.empty()) continue;
    if (own.must_staple) return refused("ocsp_staple", "required for a must-staple certificate");
    if (settings.ocsp_staple == ServerSettings::Staple::Must) {
      return refused("ocsp_staple", "Required OCSP response is missing from TLS context");
    }
  }
  return absl::OkStatus();
}

absl::Status demand_certificates(Context& context, const ServerSettings& settings) {
  const Validator& validator = context.validator;
  if (settings.require_client_certificate && !validator.wants_certificate()) {
    return refused("require_client_certificate",
                   "without a validation context there is nothing to verify it against");
  }
  context.demands_certificate =
      settings.require_client_certificate || validator.demands_certificate();
  int mode = SSL_VERIFY_NONE;
  if (validator.wants_certificate()) mode = SSL_VERIFY_PEER;
  if (context.demands_certificate) mode |= SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context.ssl.get(), mode, nullptr);
  SSL_CTX_set_client_CA_list(context.ssl.get(), validator.root_subjects().release());
  return absl::OkStatus();
}

template <class Settings>
absl::StatusOr<std::shared_ptr<Context>> begin(const Settings& settings,
                                               const Validation* validation,
                                               const SSL_METHOD* method) {
  prepare_openssl();
  absl::StatusOr<Validator> validator = Validator::make(validation);
  if (!validator.ok()) return validator.status();
  auto context = std::make_shared<Context>(*std::move(validator));
  context->ssl.reset(SSL_CTX_new_ex(handshake_library(), nullptr, method));
  if (context->ssl == nullptr) return refused("tls", take_last_error());
  if (absl::Status status = set_up(*context, settings); !status.ok()) return status;
  return context;
}

}  // namespace

absl::Status set_up(Context& context, const CommonSettings& settings) {
  SSL_CTX* ssl = context.ssl.get();
  context.socket_method = make_socket_method();
  SSL_CTX_set_app_data(ssl, &context);
  SSL_CTX_set_options(
      ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  // One read per record instead of two; the transport asks until nothing is left.
  SSL_CTX_set_read_ahead(ssl, 1);
  if (absl::Status status = set_versions(ssl, settings); !status.ok()) return status;
  if (absl::Status status = set_ciphers(ssl, settings); !status.ok()) return status;
  if (absl::Status status = set_alpn(context, settings); !status.ok()) return status;
  install_verification(*ssl);
  return absl::OkStatus();
}

absl::Status show(Context& context, const OwnCertificate& own) {
  if (SSL_CTX_use_cert_and_key(context.ssl.get(), own.leaf.get(), own.key.get(), own.chain.get(),
                               1) != 1) {
    return refused("certificate_chain", take_last_error());
  }
  return absl::OkStatus();
}

absl::StatusOr<ContextPtr> make_server_context(const ServerSettings& settings,
                                               const std::vector<Certificate>& certificates,
                                               const Validation* validation,
                                               const TicketKeys& ticket_keys) {
  if (certificates.empty()) {
    return refused("tls_certificates", "Server TlsCertificates must have a certificate specified");
  }
  auto begun = begin(settings, validation, TLS_server_method());
  if (!begun.ok()) return begun.status();
  Context& context = **begun;
  context.server = true;
  for (const Certificate& certificate : certificates) {
    absl::StatusOr<OwnCertificate> own = load(certificate);
    if (!own.ok()) return own.status();
    context.own.push_back(*std::move(own));
  }
  absl::Status status = check_staples(context, settings);
  if (status.ok()) status = demand_certificates(context, settings);
  if (status.ok()) status = show(context, context.own.front());
  if (!status.ok()) return status;
  absl::StatusOr<TicketSealer> tickets = TicketSealer::make(ticket_keys);
  if (!tickets.ok()) return tickets.status();
  context.tickets = *std::move(tickets);
  context.choice = CertificateChoice(context.own, settings);
  if (!settings.prefer_client_ciphers) {
    SSL_CTX_set_options(context.ssl.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
  }
  set_sessions(context, settings);
  install_server_callbacks(*context.ssl, context);
  make_report(context, validation);
  return ContextPtr(*std::move(begun));
}

absl::StatusOr<ContextPtr> make_client_context(const ClientSettings& settings,
                                               const Certificate* certificate,
                                               const Validation* validation) {
  auto begun = begin(settings, validation, TLS_client_method());
  if (!begun.ok()) return begun.status();
  Context& context = **begun;
  SSL_CTX* ssl = context.ssl.get();
  if (settings.auto_sni_san_validation && !context.validator.has_roots()) {
    return refused("auto_sni_san_validation", "was configured without configuring a trusted CA");
  }
  if (certificate != nullptr) {
    absl::StatusOr<OwnCertificate> own = load(*certificate);
    if (!own.ok()) return own.status();
    context.own.push_back(*std::move(own));
    if (absl::Status status = show(context, context.own.front()); !status.ok()) return status;
  }
  if (!context.alpn.empty()) {
    SSL_CTX_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(context.alpn.data()),
                            static_cast<unsigned int>(context.alpn.size()));
  }
  context.enforce_rsa_key_usage = settings.enforce_rsa_key_usage;
  SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(ssl, settings.max_session_keys > 0
                                          ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                          : SSL_SESS_CACHE_OFF);
  if (settings.max_session_keys == 0) SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
  install_client_callbacks(*ssl);
  make_report(context, validation);
  return ContextPtr(*std::move(begun));
}

absl::Status check(const Certificate& certificate) { return load(certificate).status(); }

absl::Status check(const Validation& validation) { return Validator::make(&validation).status(); }

void make_report(Context& context, const Validation* validation) {
  for (const OwnCertificate& own : context.own) {
    context.report.own.push_back({own.source, own.name, own.read->identity});
  }
  if (validation == nullptr) return;
  for (const X509Handle& root : context.validator.roots()) {
    context.report.ca.push_back(
        {validation->source, validation->name, read_certificate(*root).identity});
  }
}

const ContextReport& report(const Context& context) { return context.report; }

}  // namespace remora::tls
