// Holds one request against a requirement: finds its tokens, verifies them, and does with the
// request what the providers of good ones want. One turn, no wait: when keys are missing, it says
// which. Its worker's thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "filters/http/jwt_authn/settings.h"
#include "filters/http/jwt_authn/status.h"
#include "filters/http/jwt_authn/token.h"
#include "proxy/base/clock.h"
#include "proxy/base/metadata.h"
#include "proxy/http/header_map.h"

namespace remora::jwt {

inline constexpr std::string_view kMetadataName = "envoy.filters.http.jwt_authn";

class Verification {
 public:
  struct Time {
    uint64_t wall_s;
    MonotonicMs monotonic_ms;
  };

  /// `thread`: index of this worker. `failed`: keys whose fetch has failed while this request
  /// waited.
  Verification(const Settings& settings, http::HeaderMap& request, Metadata& metadata, Time time,
               uint32_t thread, std::span<const upstream::RemoteKeys* const> failed)
      : settings_(settings),
        request_(request),
        metadata_(metadata),
        time_(time),
        thread_(thread),
        failed_(failed) {}

  Status run(const Requirement& requirement);

  /// After Pending: what has to be fetched.
  upstream::RemoteKeys* missing_keys() const { return missing_keys_; }
  /// A token changed something that routes may look at.
  bool route_affected() const { return route_affected_; }
  /// The header that a claim was to be put in and that cannot hold it; empty: none.
  std::string_view broken_header() const { return broken_header_; }
  /// Tokens that were looked at on behalf of a certain provider.
  uint64_t tokens_seen() const { return tokens_seen_; }

 private:
  Status any(const Requirement& requirement);
  Status all(const Requirement& requirement);
  Status tokens(const Requirement& requirement);
  Status token(const FoundToken& found, const Requirement& requirement);
  Status claims(const Token& token, const Provider& provider, const Requirement& requirement) const;
  Status signature(const Token& token, const Provider& provider);
  void apply(const FoundToken& found, const Token& token, const Provider& provider);
  void add_payload_header(const Token& token, const Provider& provider);
  void add_claim_header(const Token& token, const ClaimToHeader& claim);
  void report_failure(const Requirement& requirement, Status status);

  const Settings& settings_;
  http::HeaderMap& request_;
  Metadata& metadata_;
  const Time time_;
  const uint32_t thread_;
  const std::span<const upstream::RemoteKeys* const> failed_;
  upstream::RemoteKeys* missing_keys_ = nullptr;
  std::string_view broken_header_;
  uint64_t tokens_seen_ = 0;
  bool route_affected_ = false;
};

/// How a claim is written into a header; empty: not at all.
std::string claim_text(const MetadataValue& claim);

}  // namespace remora::jwt
