// Verification of peers; see the header. What is not proved is refused.
#include "proxy/tls/validator.h"

#include <absl/strings/str_cat.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "proxy/tls/names.h"

namespace remora::tls {
namespace {

/// OpenSSL answers it with the alert certificate_unknown, as Envoy answers a name that does not
/// fit.
constexpr int kNamesError = X509_V_ERR_PERMITTED_VIOLATION;
constexpr int kHashError = X509_V_ERR_CERT_REJECTED;

absl::Status refused(std::string_view text) {
  return absl::InvalidArgumentError(absl::string_view(text.data(), text.size()));
}

Verdict failed(Verdict verdict, Verdict::Failure failure, int error, std::string reason) {
  verdict.failure = failure;
  verdict.verified = false;
  verdict.accepted = false;
  verdict.x509_error = error;
  verdict.reason = "verify cert failed: " + std::move(reason);
  return verdict;
}

/// A length in front of each part, so that no two lists of parts read the same.
void add_part(std::string& out, std::string_view part) {
  absl::StrAppend(&out, part.size(), ":", absl::string_view(part.data(), part.size()), ";");
}

std::string digest_of_crl(const X509_CRL& crl) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_CRL_digest(&crl, EVP_sha256(), digest, &size) != 1) return {};
  return {reinterpret_cast<const char*>(digest), size};
}

int64_t next_update_s(const X509_CRL& crl) {
  constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  const ASN1_TIME* next = X509_CRL_get0_nextUpdate(&crl);
  const Handle<ASN1_TIME, ASN1_TIME_free> epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (next == nullptr || ASN1_TIME_diff(&days, &seconds, epoch.get(), next) != 1) return kNever;
  return int64_t{days} * 86400 + seconds;
}

/// X.509-SVID, 5.2: a leaf is no authority and has exactly one URI name.
const char* svid_fault(const PeerChain& peer) {
  if (X509_get_extension_flags(peer.leaf) & EXFLAG_CA)
    return "cert precheck, the leaf is an authority";
  if ((X509_get_extension_flags(peer.leaf) & EXFLAG_KUSAGE) &&
      (X509_get_key_usage(peer.leaf) & (KU_CRL_SIGN | KU_KEY_CERT_SIGN))) {
    return "cert precheck, the leaf's key may sign certificates";
  }
  if (peer.read->identity.uri_sans.size() != 1) return "cert precheck, not exactly one URI name";
  return nullptr;
}

}  // namespace

// --- making one ---

absl::StatusOr<Validator> Validator::make(const Validation* validation) {
  prepare_openssl();
  Validator made;
  if (validation != nullptr) {
    made.rules_ = *validation;
    if (absl::Status status = made.check_rules(); !status.ok()) return status;
    if (absl::Status status = made.load_roots(); !status.ok()) return status;
    made.rules_.ca_pem.clear();
    made.rules_.crl_pem.clear();
    for (TrustDomain& domain : made.rules_.trust_domains) domain.bundle_pem.clear();
  }
  made.make_fingerprint();
  return made;
}

absl::Status Validator::check_rules() const {
  const Validation& rules = rules_;
  for (const auto& [field, hashes] :
       {std::pair{"verify_certificate_hash", &rules.certificate_sha256},
        std::pair{"verify_certificate_spki", &rules.spki_sha256}}) {
    for (const std::string& hash : *hashes) {
      if (hash.size() != SHA256_DIGEST_LENGTH)
        return refused(absl::StrCat(field, ": not 32 bytes"));
    }
  }
  if (!rules.trust_domains.empty()) {
    if (!rules.ca_pem.empty() || rules.system_roots) {
      return refused("trusted_ca: not together with the SPIFFE validator's trust domains");
    }
    if (!rules.crl_pem.empty()) return refused("crl: not together with the SPIFFE validator");
    return absl::OkStatus();
  }
  if (!rules.ca_pem.empty() || rules.system_roots) return absl::OkStatus();
  if (!rules.crl_pem.empty()) return refused("crl: without trusted CA");
  if (!rules.sans.empty()) {
    return refused("match_typed_subject_alt_names: without trusted CA is insecure and not allowed");
  }
  if (rules.allow_expired) {
    return refused("allow_expired_certificate: validity is always ignored without trusted CA");
  }
  return absl::OkStatus();
}

absl::Status Validator::load_roots() {
  spiffe_ = !rules_.trust_domains.empty();
  for (const TrustDomain& domain : rules_.trust_domains) {
    if (domain.name.empty()) return refused("trust_domains: a name is empty");
    absl::StatusOr<Bundle> bundle = load_bundle(
        domain.bundle_pem, absl::StrCat("trust_domains[", domain.name, "].trust_bundle"));
    if (!bundle.ok()) return bundle.status();
    if (absl::Status status = add_store(domain.name, *std::move(bundle)); !status.ok())
      return status;
  }
  if (spiffe_) return absl::OkStatus();
  Bundle all;
  if (rules_.system_roots) {
    absl::StatusOr<Bundle> bundle = load_system_roots();
    if (!bundle.ok()) return bundle.status();
    all = *std::move(bundle);
  }
  if (!rules_.ca_pem.empty()) {
    absl::StatusOr<Bundle> bundle = load_bundle(rules_.ca_pem, "trusted_ca");
    if (!bundle.ok()) return bundle.status();
    std::move(bundle->certificates.begin(), bundle->certificates.end(),
              std::back_inserter(all.certificates));
    std::move(bundle->crls.begin(), bundle->crls.end(), std::back_inserter(all.crls));
  }
  if (!rules_.crl_pem.empty()) {
    absl::StatusOr<std::vector<CrlHandle>> crls = load_crls(rules_.crl_pem);
    if (!crls.ok()) return crls.status();
    std::move(crls->begin(), crls->end(), std::back_inserter(all.crls));
  }
  if (all.certificates.empty()) return absl::OkStatus();
  return add_store("", std::move(all));
}

absl::Status Validator::add_store(const std::string& trust_domain, Bundle bundle) {
  StoreHandle store(X509_STORE_new());
  std::vector<std::string> digests;
  for (X509Handle& root : bundle.certificates) {
    if (X509_STORE_add_cert(store.get(), root.get()) != 1)
      return refused("trusted_ca: " + take_last_error());
    digests.push_back(sha256_of(*root));
    roots_.push_back(std::move(root));
  }
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
  for (const CrlHandle& crl : bundle.crls) {
    if (X509_STORE_add_crl(store.get(), crl.get()) != 1)
      return refused("crl: " + take_last_error());
    digests.push_back(digest_of_crl(*crl));
    crls_valid_until_s_ = std::min(crls_valid_until_s_, next_update_s(*crl));
    flags |= X509_V_FLAG_CRL_CHECK;
    if (!rules_.only_verify_leaf_crl) flags |= X509_V_FLAG_CRL_CHECK_ALL;
  }
  if (rules_.allow_expired) flags |= X509_V_FLAG_NO_CHECK_TIME;
  X509_STORE_set_flags(store.get(), flags);
  // The order in which a bundle lists its roots means nothing.
  std::sort(digests.begin(), digests.end());
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  for (const std::string& digest : digests) digests_.push_back(trust_domain + "/" + digest);
  if (!stores_.emplace(trust_domain, std::move(store)).second) {
    return refused(absl::StrCat("trust_domains: ", trust_domain, " has more than one bundle"));
  }
  return absl::OkStatus();
}

void Validator::make_fingerprint() {
  std::string text;
  std::sort(digests_.begin(), digests_.end());
  for (const std::string& digest : digests_) add_part(text, digest);
  for (const std::string& hash : rules_.certificate_sha256) add_part(text, "cert" + hash);
  for (const std::string& hash : rules_.spki_sha256) add_part(text, "spki" + hash);
  for (const SanMatch& rule : rules_.sans) {
    add_part(text, absl::StrCat("san", static_cast<int>(rule.type), ",",
                                static_cast<int>(rule.match.kind), ",", rule.match.ignore_case));
    add_part(text, rule.match.text);
    add_part(text, rule.oid);
  }
  add_part(text, absl::StrCat(spiffe_, rules_.only_verify_leaf_crl, rules_.allow_expired,
                              rules_.accept_untrusted, "depth",
                              rules_.max_verify_depth ? int64_t{*rules_.max_verify_depth} : -1));
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  fingerprint_.assign(reinterpret_cast<const char*>(digest), sizeof(digest));
}

// --- asking it ---

bool Validator::wants_certificate() const {
  return has_roots() || rules_.accept_untrusted || !rules_.certificate_sha256.empty() ||
         !rules_.spki_sha256.empty();
}

bool Validator::demands_certificate() const {
  if (rules_.accept_untrusted) return false;
  return spiffe_ || !rules_.sans.empty() || !rules_.certificate_sha256.empty() ||
         !rules_.spki_sha256.empty();
}

NameStack Validator::root_subjects() const {
  NameStack names(sk_X509_NAME_new(
      [](const X509_NAME* const* a, const X509_NAME* const* b) { return X509_NAME_cmp(*a, *b); }));
  for (const X509Handle& root : roots_) {
    X509_NAME* name = X509_get_subject_name(root.get());
    if (sk_X509_NAME_find(names.get(), name) >= 0) continue;
    sk_X509_NAME_push(names.get(), X509_NAME_dup(name));
  }
  return names;
}

Verdict Validator::verify(const PeerChain& peer, const ValidationRequest& request,
                          KnownChains* known) const {
  Verdict verdict;
  const bool asks_for_names = !request.instead_of_names.empty() || !request.required_name.empty();
  if (!wants_certificate() && !asks_for_names) return verdict;
  if (X509_STORE* store = store_for(peer, verdict); store != nullptr) {
    if (verify_or_recall_chain(store, peer, request, known, verdict)) {
      Verdict names = verify_names(peer, request);
      names.valid_until_s = verdict.valid_until_s;
      verdict = std::move(names);
    }
  } else if (verdict.failure == Verdict::Failure::None) {
    verdict = verify_names(peer, request);
  }
  if (rules_.accept_untrusted) verdict.accepted = true;
  return verdict;
}

/// Null with a failure in `verdict`, or without one when there are no roots to lead to.
X509_STORE* Validator::store_for(const PeerChain& peer, Verdict& verdict) const {
  if (peer.read->malformed_names) {
    verdict = failed({}, Verdict::Failure::Chain, X509_V_ERR_CERT_REJECTED,
                     "the certificate's names are malformed");
    return nullptr;
  }
  if (!spiffe_) return has_roots() ? stores_.begin()->second.get() : nullptr;
  if (const char* fault = svid_fault(peer); fault != nullptr) {
    verdict = failed({}, Verdict::Failure::Chain, X509_V_ERR_CERT_REJECTED, fault);
    return nullptr;
  }
  const auto found = stores_.find(trust_domain_of(peer.read->identity.uri_sans.front()));
  if (found == stores_.end()) {
    verdict = failed({}, Verdict::Failure::Chain, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
                     "no trust bundle store");
    return nullptr;
  }
  return found->second.get();
}

std::string Validator::key_of(const PeerChain& peer, const ValidationRequest& request) const {
  // What is let in although time has passed tells nothing of the next connection.
  if (request.ignore_time) return {};
  std::string key =
      absl::StrCat(fingerprint_, static_cast<int>(request.role), ",", request.security_level, ",");
  for (int i = -1; i < sk_X509_num(peer.intermediates); ++i) {
    const std::string digest =
        sha256_of(i < 0 ? *peer.leaf : *sk_X509_value(peer.intermediates, i));
    if (digest.empty()) return {};
    key += digest;
  }
  return key;
}

/// A chain that led to a root still does: under the same trust and revocation lists, to a judge of
/// the same certificates, until the first of them ends.
bool Validator::verify_or_recall_chain(X509_STORE* store, const PeerChain& peer,
                                       const ValidationRequest& request, KnownChains* known,
                                       Verdict& verdict) const {
  std::string key = known == nullptr ? std::string() : key_of(peer, request);
  if (key.empty()) return verify_chain(store, peer, request, verdict);
  if (const auto until = known->valid_until_s(key, std::time(nullptr)); until) {
    verdict.valid_until_s = *until;
    return true;
  }
  if (!verify_chain(store, peer, request, verdict)) return false;
  known->keep(std::move(key), verdict.valid_until_s);
  return true;
}

bool Validator::verify_chain(X509_STORE* store, const PeerChain& peer,
                             const ValidationRequest& request, Verdict& verdict) const {
  const StoreContextHandle context(X509_STORE_CTX_new());
  const char* purpose = request.role == PeerRole::Client ? "ssl_client" : "ssl_server";
  if (context == nullptr ||
      X509_STORE_CTX_init(context.get(), store, peer.leaf, peer.intermediates) != 1 ||
      X509_STORE_CTX_set_default(context.get(), purpose) != 1) {
    ERR_clear_error();
    verdict = failed({}, Verdict::Failure::Chain, X509_V_ERR_UNSPECIFIED,
                     "init and setup X509_STORE_CTX");
    return false;
  }
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_auth_level(rules, request.security_level);
  if (request.ignore_time) X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_NO_CHECK_TIME);
  if (rules_.max_verify_depth) {
    // The field counts the root, OpenSSL does not.
    const uint32_t depth = std::min<uint32_t>(*rules_.max_verify_depth, 1000);
    X509_VERIFY_PARAM_set_depth(rules, static_cast<int>(depth > 0 ? depth - 1 : 0));
  }
  const bool trusted = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!trusted) {
    const int error = X509_STORE_CTX_get_error(context.get());
    verdict = failed({}, Verdict::Failure::Chain, error,
                     absl::StrCat("X509_verify_cert: certificate verification error at depth ",
                                  X509_STORE_CTX_get_error_depth(context.get()), ": ",
                                  X509_verify_cert_error_string(error)));
    return false;
  }
  if (rules_.allow_expired || request.ignore_time) return true;
  verdict.valid_until_s = crls_valid_until_s_;
  STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    verdict.valid_until_s = std::min(verdict.valid_until_s, not_after_s(*sk_X509_value(chain, i)));
  }
  return true;
}

Verdict Validator::verify_names(const PeerChain& peer, const ValidationRequest& request) const {
  Verdict verdict;
  const CertificateIdentity& identity = peer.read->identity;
  const bool has_pins = !rules_.certificate_sha256.empty() || !rules_.spki_sha256.empty();
  verdict.verified = has_roots() || has_pins;
  const auto wrong_names = [&](std::string_view rule) {
    return failed(verdict, Verdict::Failure::Names, kNamesError,
                  absl::StrCat(absl::string_view(rule.data(), rule.size()),
                               ", certificate SANs are [", names_text(identity), "]"));
  };
  if (peer.read->malformed_names) {
    verdict = wrong_names("the certificate's names are malformed");
  } else if (!has_roots() && !(request.instead_of_names.empty() && request.required_name.empty())) {
    // A name that nobody vouches for proves nothing.
    verdict = failed({}, Verdict::Failure::Chain, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
                     "no trusted CA for verifying a name");
  } else if (!request.required_name.empty() && !stands_for(request.required_name, identity)) {
    verdict = wrong_names(absl::StrCat(
        "verify SAN list, expected SANs: [",
        absl::string_view(request.required_name.data(), request.required_name.size()), "]"));
  } else if (!request.instead_of_names.empty()) {
    if (!stands_for(request.instead_of_names, identity)) verdict = wrong_names("SAN matcher");
  } else if (!rules_.sans.empty() && !meets_any(rules_.sans, identity, *peer.leaf)) {
    verdict = wrong_names("SAN matcher");
  }
  if (verdict.failure == Verdict::Failure::None && has_pins && !pinned(*peer.leaf)) {
    verdict = failed(verdict, Verdict::Failure::Hash, kHashError, "cert hash and spki");
  }
  if (rules_.accept_untrusted) verdict.accepted = true;
  return verdict;
}

bool Validator::pinned(const X509& leaf) const {
  const auto holds = [](const std::vector<std::string>& pins, const std::string& digest) {
    return std::find(pins.begin(), pins.end(), digest) != pins.end();
  };
  if (!rules_.certificate_sha256.empty() && holds(rules_.certificate_sha256, sha256_of(leaf)))
    return true;
  return !rules_.spki_sha256.empty() && holds(rules_.spki_sha256, spki_sha256_of(leaf));
}

}  // namespace remora::tls
