#include "xds/translate/secret.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

#include "proxy/tls/context.h"
#include "xds/translate/san_match.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
namespace proto = envoy::extensions::transport_sockets::tls::v3;

constexpr size_t kMaxKeyBytes = 1024 * 1024;
constexpr size_t kMaxBundleBytes = 32 * 1024 * 1024;
constexpr size_t kTicketKeyBytes = 80;
constexpr size_t kHashBytes = 32;
constexpr uint32_t kMaxVerifyDepth = 100;
// A pair of files may be replaced between the reading of one and of the other.
constexpr int kMaxReadings = 5;

absl::StatusOr<std::string> read(const core::DataSource& source, const Path& path, size_t max_bytes,
                                 std::vector<std::string>* files) {
  if (files != nullptr && !source.filename().empty()) files->push_back(source.filename());
  return data_source(source, path, max_bytes);
}

absl::StatusOr<tls::Sensitive> read_sensitive(const core::DataSource& source, const Path& path,
                                              std::vector<std::string>* files) {
  auto text = read(source, path, kMaxKeyBytes, files);
  if (!text.ok()) return text.status();
  return tls::Sensitive(*std::move(text));
}

std::string source_of(const core::DataSource& source) {
  return source.filename().empty() ? "<inline>" : source.filename();
}

absl::Status check_parts(const proto::TlsCertificate& from, const Path& path) {
  if (from.has_pkcs12()) {
    if (from.has_certificate_chain() || from.has_private_key()) {
      return path.field("pkcs12").error("excludes certificate_chain and private_key");
    }
    return absl::OkStatus();
  }
  if (!from.has_certificate_chain()) return path.field("certificate_chain").error("is required");
  if (!from.has_private_key()) return path.field("private_key").error("is required");
  return absl::OkStatus();
}

absl::StatusOr<tls::Certificate> read_certificate(const proto::TlsCertificate& from,
                                                  const Path& path,
                                                  std::vector<std::string>* files) {
  tls::Certificate out;
  if (from.has_pkcs12()) {
    out.source = source_of(from.pkcs12());
    REMORA_TRY_ASSIGN(out.pkcs12, read_sensitive(from.pkcs12(), path.field("pkcs12"), files));
  } else {
    out.source = source_of(from.certificate_chain());
    REMORA_TRY_ASSIGN(out.chain_pem, read(from.certificate_chain(), path.field("certificate_chain"),
                                          kMaxKeyBytes, files));
    REMORA_TRY_ASSIGN(out.key_pem,
                      read_sensitive(from.private_key(), path.field("private_key"), files));
  }
  if (from.has_password()) {
    REMORA_TRY_ASSIGN(out.password, read_sensitive(from.password(), path.field("password"), files));
  }
  if (from.has_ocsp_staple()) {
    const Path at = path.field("ocsp_staple");
    if (from.ocsp_staple().specifier_case() == core::DataSource::kInlineString) {
      return at.error("is binary: give it by filename or inline_bytes");
    }
    REMORA_TRY_ASSIGN(out.ocsp_staple, read(from.ocsp_staple(), at, kMaxKeyBytes, files));
  }
  return out;
}

bool same(const tls::Certificate& a, const tls::Certificate& b) {
  return a.chain_pem == b.chain_pem && a.key_pem.view() == b.key_pem.view() &&
         a.pkcs12.view() == b.pkcs12.view();
}

// ------------------------------------------------------------------------------------------------
// validation

// Replaces what a source names by its content.
absl::Status make_inline(core::DataSource* source, const Path& path,
                         std::vector<std::string>* files) {
  auto content = read(*source, path, kMaxBundleBytes, files);
  if (!content.ok()) return content.status();
  source->set_inline_bytes(*std::move(content));
  return absl::OkStatus();
}

absl::Status make_inline(core::TypedExtensionConfig* validator, const Path& path,
                         std::vector<std::string>* files) {
  const Path at = path.field("typed_config");
  auto spiffe = unpack_as<proto::SPIFFECertValidatorConfig>(validator->typed_config(), at);
  if (!spiffe.ok()) return spiffe.status();
  for (int i = 0; i < spiffe->trust_domains_size(); ++i) {
    const Path here = at.at("trust_domains", static_cast<size_t>(i));
    auto& domain = *spiffe->mutable_trust_domains(i);
    if (!domain.has_trust_bundle()) return here.field("trust_bundle").error("is required");
    REMORA_TRY(make_inline(domain.mutable_trust_bundle(), here.field("trust_bundle"), files));
  }
  validator->mutable_typed_config()->PackFrom(*spiffe);
  return absl::OkStatus();
}

absl::Status set_trust_domains(const proto::CertificateValidationContext& from,
                               tls::Validation* out, const Path& path) {
  const Path here = path.field("custom_validator_config");
  const Path at = here.field("typed_config");
  auto spiffe = unpack_as<proto::SPIFFECertValidatorConfig>(
      from.custom_validator_config().typed_config(), at);
  if (!spiffe.ok()) return spiffe.status();
  if (spiffe->trust_domains().empty()) return at.field("trust_domains").error("must not be empty");
  for (int i = 0; i < spiffe->trust_domains_size(); ++i) {
    const auto& domain = spiffe->trust_domains(i);
    const Path one = at.at("trust_domains", static_cast<size_t>(i));
    if (domain.name().empty()) return one.field("name").error("is required");
    for (const tls::TrustDomain& known : out->trust_domains) {
      if (known.name == domain.name()) return one.field("name").error("is used twice");
    }
    out->trust_domains.push_back({domain.name(), domain.trust_bundle().inline_bytes()});
  }
  return absl::OkStatus();
}

absl::Status set_hashes(const proto::CertificateValidationContext& from, tls::Validation* out,
                        const Path& path) {
  for (int i = 0; i < from.verify_certificate_hash_size(); ++i) {
    std::string digits;
    for (char c : from.verify_certificate_hash(i)) {
      if (c != ':') digits += c;
    }
    const bool hex = digits.size() == 2 * kHashBytes &&
                     digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    if (!hex) {
      return path.at("verify_certificate_hash", static_cast<size_t>(i))
          .error("is not a SHA-256 in hexadecimal digits");
    }
    out->certificate_sha256.push_back(absl::HexStringToBytes(digits));
  }
  for (int i = 0; i < from.verify_certificate_spki_size(); ++i) {
    std::string hash;
    if (!absl::Base64Unescape(from.verify_certificate_spki(i), &hash) ||
        hash.size() != kHashBytes) {
      return path.at("verify_certificate_spki", static_cast<size_t>(i))
          .error("is not a SHA-256 in base64");
    }
    out->spki_sha256.push_back(std::move(hash));
  }
  return absl::OkStatus();
}

// Without a root nothing proves that a name in a certificate is true.
absl::Status check_needs_root(const proto::CertificateValidationContext& from,
                              const tls::Validation& rules, const Path& path) {
  if (!rules.ca_pem.empty() || rules.system_roots || !rules.trust_domains.empty()) {
    return absl::OkStatus();
  }
  if (from.has_crl()) return path.field("crl").error("needs trusted_ca");
  if (!rules.sans.empty()) {
    return path.error(
        "SAN-based verification of peer certificates without trusted CA is insecure and not "
        "allowed");
  }
  if (rules.allow_expired) {
    return path.field("allow_expired_certificate")
        .error("certificate validity period is always ignored without trusted CA");
  }
  return absl::OkStatus();
}

absl::Status compile_kind(const proto::Secret& from, Context& context, Secret* out,
                          const Path& path) {
  switch (from.type_case()) {
    case proto::Secret::kTlsCertificate:
      out->kind = SecretKind::Certificate;
      out->watched_directory = from.tls_certificate().watched_directory().path();
      REMORA_TRY_ASSIGN(out->certificate, certificate(from.tls_certificate(),
                                                      path.field("tls_certificate"), &out->files));
      out->certificate.name = from.name();
      return absl::OkStatus();
    case proto::Secret::kValidationContext: {
      const Path at = path.field("validation_context");
      out->kind = SecretKind::Validation;
      out->watched_directory = from.validation_context().watched_directory().path();
      REMORA_TRY_ASSIGN(out->validation,
                        read_validation(from.validation_context(), at, &out->files));
      return absl::OkStatus();
    }
    case proto::Secret::kSessionTicketKeys:
      out->kind = SecretKind::TicketKeys;
      REMORA_TRY_ASSIGN(
          out->ticket_keys,
          ticket_keys(from.session_ticket_keys(), path.field("session_ticket_keys"), &out->files));
      return absl::OkStatus();
    case proto::Secret::kGenericSecret: {
      const Path at = path.field("generic_secret");
      out->kind = SecretKind::Generic;
      REMORA_TRY_ASSIGN(out->generic, read_sensitive(from.generic_secret().secret(),
                                                     at.field("secret"), &out->files));
      return absl::OkStatus();
    }
    case proto::Secret::TYPE_NOT_SET:
      return path.error("has no secret of a type that is supported");
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view name_of(SecretKind kind) {
  switch (kind) {
    case SecretKind::Certificate:
      return "tls_certificate";
    case SecretKind::Validation:
      return "validation_context";
    case SecretKind::TicketKeys:
      return "session_ticket_keys";
    case SecretKind::Generic:
      break;
  }
  return "generic_secret";
}

absl::StatusOr<tls::Certificate> certificate(const proto::TlsCertificate& from, const Path& path,
                                             std::vector<std::string>* files) {
  REMORA_TRY(check_parts(from, path));
  std::vector<std::string> named;
  auto out = read_certificate(from, path, &named);
  if (!out.ok()) return out.status();
  for (int i = 1; i < kMaxReadings && !named.empty(); ++i) {
    auto again = read_certificate(from, path, nullptr);
    if (!again.ok()) return again.status();
    if (same(*out, *again)) break;
    out = std::move(again);
  }
  if (files != nullptr) files->insert(files->end(), named.begin(), named.end());
  if (absl::Status usable = tls::check(*out); !usable.ok()) return prefixed(path.str(), usable);
  return out;
}

absl::StatusOr<tls::TicketKeys> ticket_keys(const proto::TlsSessionTicketKeys& from,
                                            const Path& path, std::vector<std::string>* files) {
  tls::TicketKeys out;
  if (from.keys().empty()) return path.field("keys").error("must not be empty");
  for (int i = 0; i < from.keys_size(); ++i) {
    const Path at = path.at("keys", static_cast<size_t>(i));
    auto key = read_sensitive(from.keys(i), at, files);
    if (!key.ok()) return key.status();
    if (key->view().size() != kTicketKeyBytes) {
      return at.error(absl::StrCat("Incorrect TLS session ticket key length. Length ",
                                   key->view().size(), ", expected length ", kTicketKeyBytes, "."));
    }
    out.keys.push_back(*std::move(key));
  }
  return out;
}

absl::StatusOr<ValidationMessage> read_validation(const proto::CertificateValidationContext& from,
                                                  const Path& path,
                                                  std::vector<std::string>* files) {
  ValidationMessage out{from, source_of(from.trusted_ca())};
  if (from.has_trusted_ca()) {
    REMORA_TRY(make_inline(out.proto.mutable_trusted_ca(), path.field("trusted_ca"), files));
    // Roots that were meant and are not there must not read as "no roots are needed".
    if (out.proto.trusted_ca().inline_bytes().empty())
      return path.field("trusted_ca").error("is empty");
  }
  if (from.has_crl()) REMORA_TRY(make_inline(out.proto.mutable_crl(), path.field("crl"), files));
  if (from.has_custom_validator_config()) {
    REMORA_TRY(make_inline(out.proto.mutable_custom_validator_config(),
                           path.field("custom_validator_config"), files));
  }
  return out;
}

absl::StatusOr<tls::Validation> validation(const ValidationMessage& message, std::string_view name,
                                           const Context& context, const Path& path) {
  const proto::CertificateValidationContext& from = message.proto;
  tls::Validation out;
  out.name = name;
  out.source = message.source;
  out.ca_pem = from.trusted_ca().inline_bytes();
  out.system_roots = from.has_system_root_certs() && out.ca_pem.empty();
  out.crl_pem = from.crl().inline_bytes();
  out.only_verify_leaf_crl = from.only_verify_leaf_cert_crl();
  out.allow_expired = from.allow_expired_certificate();
  out.accept_untrusted =
      from.trust_chain_verification() == proto::CertificateValidationContext::ACCEPT_UNTRUSTED;
  if (from.has_max_verify_depth()) {
    out.max_verify_depth = from.max_verify_depth().value();
    if (*out.max_verify_depth > kMaxVerifyDepth) {
      return path.field("max_verify_depth").error("is above 100");
    }
  }
  REMORA_TRY(set_hashes(from, &out, path));
  REMORA_TRY_ASSIGN(out.sans, san_matches(from, context, path));
  if (from.has_custom_validator_config()) REMORA_TRY(set_trust_domains(from, &out, path));
  REMORA_TRY(check_needs_root(from, out, path));
  if (absl::Status usable = tls::check(out); !usable.ok()) return prefixed(path.str(), usable);
  return out;
}

absl::StatusOr<SecretRef> secret_ref(const proto::SdsSecretConfig& from, SecretKind kind,
                                     const Context& context, const Path& path) {
  SecretRef out;
  out.kind = kind;
  out.name = from.name();
  if (out.name.empty()) return path.field("name").error("is required");
  if (!from.has_sds_config()) return out;
  const Path at = path.field("sds_config");
  REMORA_TRY_ASSIGN(out.source, config_source(from.sds_config(), at));
  REMORA_TRY(context.check_source(out.source, at));
  return out;
}

absl::StatusOr<Secret> secret(const proto::Secret& from, Context& context) {
  context.resource = absl::StrCat("secret '", from.name(), "'");
  const Path root;
  REMORA_TRY(context.check_unknown(from, root));
  Secret out;
  out.name = from.name();
  REMORA_TRY(compile_kind(from, context, &out, root));
  // A validation context alone may be a part of a combined one, so that rules without roots are no
  // fault yet.
  if (out.kind == SecretKind::Validation && from.validation_context().has_trusted_ca()) {
    auto rules = validation(out.validation, out.name, context, root.field("validation_context"));
    if (!rules.ok()) return rules.status();
  }
  return out;
}

}  // namespace remora::xds::translate
