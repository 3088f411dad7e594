#include "xds/translate/tls_context.h"

#include <absl/hash/hash.h>
#include <absl/strings/str_cat.h>

#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace proto = envoy::extensions::transport_sockets::tls::v3;
using TlsParameters = proto::TlsParameters;

constexpr size_t kMaxServerNameBytes = 255;
constexpr size_t kMaxProtocolBytes = 255;
constexpr int64_t kMaxSessionTimeoutSeconds = 4294967295;

// ------------------------------------------------------------------------------------------------
// settings
tls::Version version_of(TlsParameters::TlsProtocol protocol, tls::Version automatic) {
  switch (protocol) {
    case TlsParameters::TLSv1_0:
      return tls::Version::Tls10;
    case TlsParameters::TLSv1_1:
      return tls::Version::Tls11;
    case TlsParameters::TLSv1_2:
      return tls::Version::Tls12;
    case TlsParameters::TLSv1_3:
      return tls::Version::Tls13;
    default:
      return automatic;
  }
}

absl::Status set_common(const proto::CommonTlsContext& from, tls::CommonSettings* out,
                        const Path& path) {
  const TlsParameters& params = from.tls_params();
  const Path at_params = path.field("tls_params");
  out->min_version = version_of(params.tls_minimum_protocol_version(), out->min_version);
  out->max_version = version_of(params.tls_maximum_protocol_version(), out->max_version);
  if (out->min_version > out->max_version) {
    return at_params.error("the minimum protocol version is above the maximum");
  }
  out->cipher_suites.assign(params.cipher_suites().begin(), params.cipher_suites().end());
  out->curves.assign(params.ecdh_curves().begin(), params.ecdh_curves().end());
  out->signature_algorithms.assign(params.signature_algorithms().begin(),
                                   params.signature_algorithms().end());
  for (int i = 0; i < from.alpn_protocols_size(); ++i) {
    const std::string& name = from.alpn_protocols(i);
    if (name.empty() || name.size() > kMaxProtocolBytes) {
      return path.at("alpn_protocols", static_cast<size_t>(i)).error("must have 1 to 255 bytes");
    }
    out->alpn.push_back(name);
  }
  return absl::OkStatus();
}

tls::ServerSettings::Staple staple_of(proto::DownstreamTlsContext::OcspStaplePolicy policy) {
  using Staple = tls::ServerSettings::Staple;
  if (policy == proto::DownstreamTlsContext::MUST_STAPLE) return Staple::Must;
  return policy == proto::DownstreamTlsContext::STRICT_STAPLING ? Staple::Strict : Staple::Lenient;
}

// ------------------------------------------------------------------------------------------------
// secrets
absl::StatusOr<const Secret*> static_secret(const SecretRef& ref, const Context& context,
                                            const Path& path) {
  const Secret* secret =
      context.tls == nullptr ? nullptr : context.tls->static_secret(ref.kind, ref.name);
  if (secret == nullptr) return path.error(absl::StrCat("Unknown static secret: ", ref.name));
  return secret;
}

absl::Status set_certificates(const proto::CommonTlsContext& from, const Context& context,
                              TlsPlan* out, const Path& path) {
  for (int i = 0; i < from.tls_certificates_size(); ++i) {
    auto one =
        certificate(from.tls_certificates(i), path.at("tls_certificates", static_cast<size_t>(i)));
    if (!one.ok()) return one.status();
    out->certificates.push_back(*std::move(one));
  }
  if (from.tls_certificates_size() > 0 && from.tls_certificate_sds_secret_configs_size() > 0) {
    return path.error("tls_certificates and tls_certificate_sds_secret_configs exclude each other");
  }
  for (int i = 0; i < from.tls_certificate_sds_secret_configs_size(); ++i) {
    const auto& config = from.tls_certificate_sds_secret_configs(i);
    const Path here = path.at("tls_certificate_sds_secret_configs", static_cast<size_t>(i));
    auto ref = secret_ref(config, SecretKind::Certificate, context, here);
    if (!ref.ok()) return ref.status();
    if (config.has_sds_config()) {
      out->certificate_refs.push_back(*std::move(ref));
      continue;
    }
    auto known = static_secret(*ref, context, here);
    if (!known.ok()) return known.status();
    out->certificates.push_back((*known)->certificate);
  }
  if (!out->certificates.empty() && !out->certificate_refs.empty()) {
    return path.field("tls_certificate_sds_secret_configs")
        .error("secrets of static_resources and of discovery cannot be mixed");
  }
  return absl::OkStatus();
}

absl::Status set_validation_ref(const proto::SdsSecretConfig& from, const Context& context,
                                TlsPlan* out, const Path& path) {
  auto ref = secret_ref(from, SecretKind::Validation, context, path);
  if (!ref.ok()) return ref.status();
  if (from.has_sds_config()) {
    out->validation_ref = *std::move(ref);
    return absl::OkStatus();
  }
  auto known = static_secret(*ref, context, path);
  if (!known.ok()) return known.status();
  const ValidationMessage& message = (*known)->validation;
  out->validation_name = ref->name;
  if (!out->validation) {
    out->validation = message;
    return absl::OkStatus();
  }
  out->validation->proto.MergeFrom(message.proto);
  out->validation->source = message.source;
  return absl::OkStatus();
}

absl::Status set_validation(const proto::CommonTlsContext& from, const Context& context,
                            TlsPlan* out, const Path& path) {
  switch (from.validation_context_type_case()) {
    case proto::CommonTlsContext::kValidationContext:
      REMORA_TRY_ASSIGN(out->validation, read_validation(from.validation_context(),
                                                         path.field("validation_context")));
      return absl::OkStatus();
    case proto::CommonTlsContext::kValidationContextSdsSecretConfig:
      return set_validation_ref(from.validation_context_sds_secret_config(), context, out,
                                path.field("validation_context_sds_secret_config"));
    case proto::CommonTlsContext::kCombinedValidationContext: {
      const Path here = path.field("combined_validation_context");
      const auto& combined = from.combined_validation_context();
      if (!combined.has_default_validation_context()) {
        return here.field("default_validation_context").error("is required");
      }
      if (!combined.has_validation_context_sds_secret_config()) {
        return here.field("validation_context_sds_secret_config").error("is required");
      }
      REMORA_TRY_ASSIGN(out->validation, read_validation(combined.default_validation_context(),
                                                         here.field("default_validation_context")));
      return set_validation_ref(combined.validation_context_sds_secret_config(), context, out,
                                here.field("validation_context_sds_secret_config"));
    }
    case proto::CommonTlsContext::VALIDATION_CONTEXT_TYPE_NOT_SET:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status set_ticket_keys(const proto::DownstreamTlsContext& from, const Context& context,
                             TlsPlan* out, const Path& path) {
  switch (from.session_ticket_keys_type_case()) {
    case proto::DownstreamTlsContext::kSessionTicketKeys:
      REMORA_TRY_ASSIGN(out->ticket_keys,
                        ticket_keys(from.session_ticket_keys(), path.field("session_ticket_keys")));
      return absl::OkStatus();
    case proto::DownstreamTlsContext::kSessionTicketKeysSdsSecretConfig: {
      const Path here = path.field("session_ticket_keys_sds_secret_config");
      const auto& config = from.session_ticket_keys_sds_secret_config();
      auto ref = secret_ref(config, SecretKind::TicketKeys, context, here);
      if (!ref.ok()) return ref.status();
      if (config.has_sds_config()) {
        out->ticket_keys_ref = *std::move(ref);
        return absl::OkStatus();
      }
      auto known = static_secret(*ref, context, here);
      if (!known.ok()) return known.status();
      out->ticket_keys = (*known)->ticket_keys;
      return absl::OkStatus();
    }
    case proto::DownstreamTlsContext::kDisableStatelessSessionResumption:
      out->server.session_tickets = !from.disable_stateless_session_resumption();
      return absl::OkStatus();
    case proto::DownstreamTlsContext::SESSION_TICKET_KEYS_TYPE_NOT_SET:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

// Of what makes contexts: the message, and what was read for it.
uint64_t hash_of(const google::protobuf::Message& from, const TlsPlan& plan) {
  uint64_t hash = content_hash(from);
  for (const tls::Certificate& one : plan.certificates) {
    hash =
        absl::HashOf(hash, one.chain_pem, one.key_pem.view(), one.pkcs12.view(), one.ocsp_staple);
  }
  return plan.validation ? absl::HashOf(hash, content_hash(plan.validation->proto)) : hash;
}

// ------------------------------------------------------------------------------------------------
// making contexts

// Roots that never came must not read as "anybody is welcome".
absl::Status check_demands_something(const tls::Validation& rules) {
  if (!rules.ca_pem.empty() || rules.system_roots || !rules.trust_domains.empty() ||
      !rules.certificate_sha256.empty() || !rules.spki_sha256.empty()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "validation_context: has nothing to verify a peer with: trusted_ca is required");
}

struct Parts {
  std::vector<tls::Certificate> certificates;
  std::optional<tls::Validation> validation;
  tls::TicketKeys ticket_keys;
};

// False: a secret is missing.
absl::StatusOr<bool> collect(const TlsPlan& plan, FindSecret find, const Context& context,
                             Parts* out) {
  const Path root;
  bool complete = true;
  out->certificates = plan.certificates;
  for (const SecretRef& ref : plan.certificate_refs) {
    const Secret* secret = find(ref);
    complete = complete && secret != nullptr;
    if (secret != nullptr) out->certificates.push_back(secret->certificate);
  }
  const Secret* dynamic = plan.validation_ref ? find(*plan.validation_ref) : nullptr;
  if (plan.validation_ref && dynamic == nullptr) {
    complete = false;
  } else if (plan.validation || dynamic != nullptr) {
    ValidationMessage merged;
    if (plan.validation) merged = *plan.validation;
    if (dynamic != nullptr) {
      merged.proto.MergeFrom(dynamic->validation.proto);
      if (dynamic->validation.proto.has_trusted_ca() || merged.source.empty())
        merged.source = dynamic->validation.source;
    }
    auto rules = validation(merged, dynamic != nullptr ? dynamic->name : plan.validation_name,
                            context, root.field("validation_context"));
    if (!rules.ok()) return rules.status();
    if (dynamic != nullptr) REMORA_TRY(check_demands_something(*rules));
    out->validation = *std::move(rules);
  }
  out->ticket_keys = plan.ticket_keys;
  if (plan.ticket_keys_ref) {
    const Secret* keys = find(*plan.ticket_keys_ref);
    complete = complete && keys != nullptr;
    if (keys != nullptr) out->ticket_keys = keys->ticket_keys;
  }
  return complete;
}

}  // namespace

std::vector<SecretRef> TlsPlan::refs() const {
  std::vector<SecretRef> out = certificate_refs;
  if (validation_ref) out.push_back(*validation_ref);
  if (ticket_keys_ref) out.push_back(*ticket_keys_ref);
  return out;
}

absl::StatusOr<TlsPlan> downstream_tls(const proto::DownstreamTlsContext& from,
                                       std::string_view stat_prefix, Context& context,
                                       const Path& path) {
  TlsPlan out;
  out.side = TlsPlan::Side::Server;
  out.stat_prefix = stat_prefix;
  const Path common = path.field("common_tls_context");
  REMORA_TRY(set_common(from.common_tls_context(), &out.server, common));
  REMORA_TRY(set_certificates(from.common_tls_context(), context, &out, common));
  if (out.certificates.empty() && out.certificate_refs.empty()) {
    return common.error("No TLS certificates found for server context");
  }
  REMORA_TRY(set_validation(from.common_tls_context(), context, &out, common));
  REMORA_TRY(set_ticket_keys(from, context, &out, path));
  out.server.require_client_certificate = from.require_client_certificate().value();
  out.server.session_cache = !from.disable_stateful_session_resumption();
  if (from.has_session_timeout()) {
    const int64_t seconds = from.session_timeout().seconds();
    if (seconds < 0 || seconds > kMaxSessionTimeoutSeconds || from.session_timeout().nanos() < 0) {
      return path.field("session_timeout").error("must be from 0s to below 4294967296s");
    }
    out.server.session_timeout_s = static_cast<uint64_t>(seconds);
  }
  out.server.prefer_client_ciphers = from.prefer_client_ciphers();
  out.server.full_scan_certs_on_sni_mismatch = from.full_scan_certs_on_sni_mismatch().value();
  out.server.ocsp_staple = staple_of(from.ocsp_staple_policy());
  out.content_hash = hash_of(from, out);
  return out;
}

absl::StatusOr<TlsPlan> upstream_tls(const proto::UpstreamTlsContext& from,
                                     std::string_view stat_prefix, Context& context,
                                     const Path& path) {
  TlsPlan out;
  out.side = TlsPlan::Side::Client;
  out.stat_prefix = stat_prefix;
  const Path common = path.field("common_tls_context");
  REMORA_TRY(set_common(from.common_tls_context(), &out.client, common));
  REMORA_TRY(set_certificates(from.common_tls_context(), context, &out, common));
  if (out.certificates.size() + out.certificate_refs.size() > 1) {
    return common.error("Multiple TLS certificates are not supported for client contexts");
  }
  REMORA_TRY(set_validation(from.common_tls_context(), context, &out, common));
  if (from.sni().size() > kMaxServerNameBytes) return path.field("sni").error("is above 255 bytes");
  if (from.sni().find('\0') != std::string::npos) return path.field("sni").error("has a NUL");
  if (from.allow_renegotiation()) {
    return path.field("allow_renegotiation").error("is not supported: renegotiation is insecure");
  }
  out.client.sni = from.sni();
  out.client.auto_host_sni = from.auto_host_sni();
  out.client.auto_sni_san_validation = from.auto_sni_san_validation();
  if (from.has_max_session_keys()) out.client.max_session_keys = from.max_session_keys().value();
  // enforce_rsa_key_usage: always enforced, as in Envoy.
  out.content_hash = hash_of(from, out);
  return out;
}

absl::StatusOr<tls::ContextPtr> make_context(const TlsPlan& plan, FindSecret find,
                                             const Context& context) {
  Parts parts;
  auto complete = collect(plan, find, context, &parts);
  if (!complete.ok()) return complete.status();
  if (!*complete) return tls::ContextPtr();
  const tls::Validation* rules = parts.validation ? &*parts.validation : nullptr;
  if (plan.side == TlsPlan::Side::Server) {
    return tls::make_server_context(plan.server, parts.certificates, rules, parts.ticket_keys);
  }
  return tls::make_client_context(
      plan.client, parts.certificates.empty() ? nullptr : &parts.certificates.front(), rules);
}

}  // namespace remora::xds::translate
