// Decides whether a peer's certificate is to be trusted, and why not: chain, revocation, names,
// pinned hashes, SPIFFE trust domains. Immutable, part of a Context, shared by the threads. Pure
// but for the wall clock.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/tls/certificate_identity.h"
#include "proxy/tls/credentials.h"
#include "proxy/tls/known_chains.h"
#include "proxy/tls/openssl_handles.h"
#include "proxy/tls/secret.h"

namespace remora::tls {

/// Which side the peer is on: its certificate must be meant for that.
enum class PeerRole : uint8_t { Client, Server };

/// What was shown. Views into the connection.
struct PeerChain {
  X509* leaf = nullptr;
  STACK_OF(X509) * intermediates = nullptr;  // in any order; may contain the leaf
  const ReadCertificate* read = nullptr;     // of the leaf
};

struct Verdict {
  enum class Failure : uint8_t { None, Chain, Names, Hash };
  Failure failure = Failure::None;
  /// Trust was proved. False without failure: nothing was asked for, or untrusted peers are let in.
  bool verified = false;
  /// The peer is let in.
  bool accepted = true;
  /// X509_V_ERR_*; chooses the alert.
  int x509_error = X509_V_OK;
  /// Unix time at which the first certificate of the chain ends.
  int64_t valid_until_s = std::numeric_limits<int64_t>::max();
  std::string reason;
};

/// What one connection or one question adds to the rules.
struct ValidationRequest {
  PeerRole role = PeerRole::Client;
  /// Instead of the configured names (auto_sni_san_validation); empty: none.
  std::string_view instead_of_names;
  /// Besides them; empty: none.
  std::string_view required_name;
  /// Signatures of keys weaker than this many "security levels" of OpenSSL are not taken.
  int security_level = 2;
  /// The peer was let in before: only what has changed since counts, not that time has passed.
  bool ignore_time = false;
};

class Validator {
 public:
  /// `validation` may be null: nothing is verified.
  static absl::StatusOr<Validator> make(const Validation* validation);

  /// `known`, if any, says which chains need not be led to a root again.
  Verdict verify(const PeerChain& peer, const ValidationRequest& request,
                 KnownChains* known = nullptr) const;
  /// The part of verify() that a resumed session can be held against without its chain.
  Verdict verify_names(const PeerChain& peer, const ValidationRequest& request) const;

  /// A peer must show a certificate that passes.
  bool demands_certificate() const;
  /// A peer's certificate means something: it is asked for.
  bool wants_certificate() const;
  bool has_roots() const { return !stores_.empty(); }

  /// Equal for validators that trust the same peers. Not human-readable.
  const std::string& fingerprint() const { return fingerprint_; }
  /// The subjects of the roots, for a server's certificate request.
  NameStack root_subjects() const;
  const std::vector<X509Handle>& roots() const { return roots_; }
  const Validation& rules() const { return rules_; }

 private:
  Validator() = default;
  absl::Status load_roots();
  absl::Status add_store(const std::string& trust_domain, Bundle bundle);
  absl::Status check_rules() const;
  void make_fingerprint();
  X509_STORE* store_for(const PeerChain& peer, Verdict& verdict) const;
  /// Empty for what nobody may remember.
  std::string key_of(const PeerChain& peer, const ValidationRequest& request) const;
  bool verify_or_recall_chain(X509_STORE* store, const PeerChain& peer,
                              const ValidationRequest& request, KnownChains* known,
                              Verdict& verdict) const;
  bool verify_chain(X509_STORE* store, const PeerChain& peer, const ValidationRequest& request,
                    Verdict& verdict) const;
  bool pinned(const X509& leaf) const;

  Validation rules_;  // without the PEM texts
  /// By trust domain; under "" when trust is not split into domains.
  StringMap<StoreHandle> stores_;
  std::vector<X509Handle> roots_;
  std::vector<std::string> digests_;  // of roots and revocation lists, by domain
  int64_t crls_valid_until_s_ = std::numeric_limits<int64_t>::max();
  bool spiffe_ = false;
  std::string fingerprint_;
};

}  // namespace remora::tls
