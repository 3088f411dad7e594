// The order of preference is Envoy's: exact name, wildcard, then (without SNI or with a full scan)
// all; an ECDSA certificate for a client that can verify it, else the first RSA one; the first of
// all as the last resort.
#include "proxy/tls/certificate_choice.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <optional>

namespace remora::tls {
namespace {

std::string lower(std::string_view text) {
  return absl::AsciiStrToLower({text.data(), text.size()});
}

}  // namespace

CertificateChoice::CertificateChoice(const std::vector<OwnCertificate>& certificates,
                                     const ServerSettings& settings)
    : policy_(settings.ocsp_staple), full_scan_(settings.full_scan_certs_on_sni_mismatch) {
  for (const OwnCertificate& own : certificates) {
    const size_t index = candidates_.size();
    candidates_.push_back(
        {own.curve, own.must_staple, !own.ocsp_response.empty(), own.ocsp_valid_until_s});
    const CertificateIdentity& identity = own.read->identity;
    for (const std::string& name : identity.dns_sans) add_name(name, index);
    const bool has_sans = !identity.dns_sans.empty() || !identity.uri_sans.empty() ||
                          !identity.ip_sans.empty() || !identity.email_sans.empty();
    // RFC 6125, 6.4.4: the common name counts only when there are no alternative names.
    if (!has_sans) add_name(common_name_of(*own.leaf), index);
  }
}

void CertificateChoice::add_name(std::string_view name, size_t index) {
  if (name.empty()) return;
  if (name.substr(0, 2) == "*.") name.remove_prefix(1);
  std::vector<size_t>& indexes = by_name_[lower(name)];
  const bool ecdsa = candidates_[index].curve != 0;
  const bool taken = std::any_of(indexes.begin(), indexes.end(), [&](size_t other) {
    return (candidates_[other].curve != 0) == ecdsa;
  });
  if (!taken) indexes.push_back(index);
}

StapleAction CertificateChoice::staple_action(const Candidate& candidate,
                                              const ClientAbilities& client, int64_t now_s) const {
  if (!client.asks_for_staple) return StapleAction::NotAsked;
  if (candidate.has_response && now_s < candidate.response_valid_until_s) return StapleAction::Show;
  const auto policy = candidate.must_staple ? ServerSettings::Staple::Must : policy_;
  switch (policy) {
    case ServerSettings::Staple::Lenient:
      return StapleAction::Omit;
    case ServerSettings::Staple::Strict:
      return candidate.has_response ? StapleAction::Refuse : StapleAction::Omit;
    case ServerSettings::Staple::Must:
      return StapleAction::Refuse;
  }
  return StapleAction::Refuse;
}

/// One pass over candidates: the first that fits best, and a second best.
struct CertificateChoice::Search {
  const CertificateChoice& all;
  const ClientAbilities& client;
  const int64_t now_s;
  std::optional<CertificateChosen> best = std::nullopt;
  std::optional<CertificateChosen> fallback = std::nullopt;

  void offer(size_t index) {
    if (best) return;
    const Candidate& candidate = all.candidates_[index];
    const StapleAction staple = all.staple_action(candidate, client, now_s);
    if (staple == StapleAction::Refuse) return;
    const auto& curves = client.ecdsa_curves;
    if (candidate.curve != 0) {
      if (std::find(curves.begin(), curves.end(), candidate.curve) != curves.end()) {
        best = {index, staple};
      }
    } else if (curves.empty()) {
      best = {index, staple};
    } else if (!fallback) {
      fallback = {index, staple};
    }
  }
  void offer_named(std::string_view name) {
    const auto found = all.by_name_.find(name);
    if (found == all.by_name_.end()) return;
    for (const size_t index : found->second) offer(index);
  }
  std::optional<CertificateChosen> result() const { return best ? best : fallback; }
};

CertificateChosen CertificateChoice::choose(std::string_view server_name,
                                            const ClientAbilities& client, int64_t now_s) const {
  Search search{*this, client, now_s};
  const CertificateChosen first{0, staple_action(candidates_.front(), client, now_s)};
  if (!server_name.empty()) {
    const std::string name = lower(server_name);
    search.offer_named(name);
    if (!search.result()) {
      const size_t dot = name.find('.', 1);
      if (dot != std::string::npos && dot + 1 < name.size()) {
        search.offer_named(std::string_view(name).substr(dot));
      }
    }
    if (search.result()) return *search.result();
    if (!full_scan_) return first;
  }
  for (size_t i = 0; i < candidates_.size(); ++i) search.offer(i);
  return search.result().value_or(first);
}

}  // namespace remora::tls
