// Statuses and their order are Envoy's, but for one thing: where a missing token is allowed, each
// token that is there must be good, not only the last one looked at.
#include "filters/http/jwt_authn/verification.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "proxy/base/base64.h"

namespace remora::jwt {
namespace {

constexpr double kTwoToThe64 = 18446744073709551616.0;

/// Of several failures the client is told the most telling one, and of equals the last.
int weight_of(Status status) {
  if (status == Status::Missing) return 0;
  return status == Status::UnknownIssuer ? 1 : 2;
}

Status status_of(tls::KeySet::Verdict verdict) {
  switch (verdict) {
    case tls::KeySet::Verdict::Verified:
      return Status::Ok;
    case tls::KeySet::Verdict::NoKey:
      return Status::NoMatchingKey;
    case tls::KeySet::Verdict::WrongLength:
      return Status::Ed25519WrongLength;
    case tls::KeySet::Verdict::Failed:
      break;
  }
  return Status::VerificationFails;
}

std::string number_text(double number) {
  // 309 digits before the point are the most that a double has.
  char text[400];
  const bool whole = number >= 0 && number < kTwoToThe64 && std::trunc(number) == number;
  const int size =
      whole ? std::snprintf(text, sizeof(text), "%llu", static_cast<unsigned long long>(number))
            : std::snprintf(text, sizeof(text), "%f", number);
  return {text, static_cast<size_t>(size)};
}

bool fits_header(std::string_view value) {
  return std::ranges::all_of(value, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

const MetadataValue* find_claim(const MetadataStruct& payload,
                                const std::vector<std::string>& way) {
  const MetadataStruct* fields = &payload;
  const MetadataValue* value = nullptr;
  for (const std::string& name : way) {
    if (fields == nullptr) return nullptr;
    auto at = fields->find(name);
    if (at == fields->end()) return nullptr;
    value = &at->second;
    fields = value->fields();
  }
  return value;
}

MetadataList words_of(std::string_view text) {
  MetadataList words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

MetadataStruct normalized(const MetadataStruct& payload, const std::vector<std::string>& claims) {
  MetadataStruct out = payload;
  for (const std::string& claim : claims) {
    auto at = out.find(claim);
    if (at == out.end() || at->second.text() == nullptr) continue;
    at->second = words_of(*at->second.text());
  }
  return out;
}

}  // namespace

std::string claim_text(const MetadataValue& claim) {
  if (claim.text() != nullptr) return *claim.text();
  if (claim.truth() != nullptr) return *claim.truth() ? "true" : "false";
  if (claim.number() != nullptr) return number_text(*claim.number());
  if (claim.is_null()) return {};
  std::string json;
  append_json(claim, json);
  return encode_base64(json);
}

Status Verification::run(const Requirement& requirement) {
  switch (requirement.kind) {
    case Requirement::Kind::Nothing:
      return Status::Ok;
    case Requirement::Kind::Any:
      return any(requirement);
    case Requirement::Kind::All:
      return all(requirement);
    case Requirement::Kind::Provider:
    case Requirement::Kind::AllowMissing:
    case Requirement::Kind::AllowMissingOrFailed:
      break;
  }
  return tokens(requirement);
}

Status Verification::any(const Requirement& requirement) {
  Status worst = Status::Missing;
  for (const Requirement& child : requirement.children) {
    const Status status = run(child);
    if (status == Status::Ok || status == Status::Pending) return status;
    if (weight_of(status) >= weight_of(worst)) worst = status;
  }
  return worst;
}

Status Verification::all(const Requirement& requirement) {
  for (const Requirement& child : requirement.children) {
    if (Status status = run(child); status != Status::Ok) return status;
  }
  return Status::Ok;
}

Status Verification::tokens(const Requirement& requirement) {
  const std::vector<FoundToken> found = requirement.places.find(request_);
  const bool may_fail = requirement.kind == Requirement::Kind::AllowMissingOrFailed;
  if (found.empty()) {
    return requirement.kind == Requirement::Kind::Provider ? Status::Missing : Status::Ok;
  }
  for (const FoundToken& one : found) {
    const Status status = token(one, requirement);
    if (status == Status::Pending) return status;
    if (status == Status::Ok) continue;
    report_failure(requirement, status);
    if (!may_fail) return status;
  }
  return Status::Ok;
}

Status Verification::token(const FoundToken& found, const Requirement& requirement) {
  if (requirement.provider != nullptr) ++tokens_seen_;
  Token token;
  if (Status s = parse_token(found.text, token); s != Status::Ok) return s;
  if (!found.place->allows(token.issuer)) return Status::UnknownIssuer;
  const Provider* provider =
      requirement.provider != nullptr ? requirement.provider : settings_.provider_of(token.issuer);
  if (provider == nullptr) return Status::UnknownIssuer;
  if (Status s = claims(token, *provider, requirement); s != Status::Ok) return s;
  if (Status s = signature(token, *provider); s != Status::Ok) return s;
  apply(found, token, *provider);
  return Status::Ok;
}

Status Verification::claims(const Token& token, const Provider& provider,
                            const Requirement& requirement) const {
  const Status time = check_time(token, time_.wall_s, provider.clock_skew_s);
  if (time != Status::Ok) return time;
  const Audiences& audiences = requirement.audiences ? *requirement.audiences : provider.audiences;
  if (!audiences.allow(token.audiences)) return Status::AudienceNotAllowed;
  if (provider.subjects && !provider.subjects->matches(token.subject)) {
    return Status::VerificationFails;
  }
  if (!token.expires_s && (provider.require_expiration || provider.max_lifetime_s)) {
    return Status::VerificationFails;
  }
  if (provider.max_lifetime_s && *token.expires_s > time_.wall_s &&
      *token.expires_s - time_.wall_s > *provider.max_lifetime_s) {
    return Status::VerificationFails;
  }
  return Status::Ok;
}

Status Verification::signature(const Token& token, const Provider& provider) {
  const tls::KeySet* keys = provider.local_keys.get();
  if (upstream::RemoteKeys* remote = provider.remote_keys.get(); remote != nullptr) {
    keys = remote->current(thread_, time_.monotonic_ms);
    if (keys == nullptr) {
      if (std::ranges::find(failed_, remote) != failed_.end()) return Status::FetchFailed;
      missing_keys_ = remote;
      return Status::Pending;
    }
  }
  return status_of(keys->verify(token.algorithm, token.key_id, token.signed_part, token.signature));
}

void Verification::apply(const FoundToken& found, const Token& token, const Provider& provider) {
  if (!provider.payload_header.empty()) add_payload_header(token, provider);
  const size_t before = request_.live_count();
  for (const ClaimToHeader& claim : provider.claim_headers) add_claim_header(token, claim);
  const bool claims_added = request_.live_count() != before;
  if (!provider.forward) remove_tokens(*found.place, request_);
  if (!provider.header_in_metadata.empty()) {
    metadata_.at(kMetadataName).insert_or_assign(provider.header_in_metadata, token.header);
  }
  if (!provider.payload_in_metadata.empty()) {
    metadata_.at(kMetadataName)
        .insert_or_assign(provider.payload_in_metadata,
                          normalized(token.payload, provider.space_delimited_claims));
  }
  if (provider.clear_route_cache && (claims_added || !provider.payload_in_metadata.empty())) {
    route_affected_ = true;
  }
}

void Verification::add_payload_header(const Token& token, const Provider& provider) {
  std::string_view padding;
  if (provider.pad_payload_header) {
    padding = std::string_view("==").substr(0, (4 - token.payload_part.size() % 4) % 4);
  }
  request_.add(provider.payload_header, request_.arena().join(token.payload_part, padding));
}

void Verification::add_claim_header(const Token& token, const ClaimToHeader& claim) {
  const MetadataValue* value = find_claim(token.payload, claim.claim);
  if (value == nullptr) return;
  const std::string text = claim_text(*value);
  if (text.empty()) return;
  if (!fits_header(text)) {
    broken_header_ = claim.header;
    return;
  }
  request_.add(claim.header, request_.arena().copy(text));
}

void Verification::report_failure(const Requirement& requirement, Status status) {
  if (requirement.provider == nullptr || requirement.provider->failed_status_in_metadata.empty()) {
    return;
  }
  MetadataStruct report;
  report.emplace("code", static_cast<double>(status));
  report.emplace("message", text_of(status));
  metadata_.at(kMetadataName)
      .insert_or_assign(requirement.provider->failed_status_in_metadata, std::move(report));
}

}  // namespace remora::jwt
