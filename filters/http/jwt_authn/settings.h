// The configuration of the filter as compiled: providers of tokens, what requests require of them.
// Immutable; shared by the workers. Document:
// envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "filters/http/jwt_authn/places.h"
#include "proxy/base/string_map.h"
#include "proxy/base/string_match.h"
#include "proxy/router/route_match.h"
#include "proxy/stats/group.h"
#include "proxy/tls/jwk.h"
#include "proxy/upstream/remote_keys.h"

namespace remora::jwt {

#define REMORA_JWT_STATS(X)           \
  X(Counter, allowed)                 \
  X(Counter, cors_preflight_bypassed) \
  X(Counter, denied)                  \
  X(Counter, jwks_fetch_failed)       \
  X(Counter, jwks_fetch_success) X(Counter, jwt_cache_hit) X(Counter, jwt_cache_miss)
REMORA_STATS_SCHEMA(Jwt, REMORA_JWT_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

/// A list of which a token must be meant for one; empty: for anybody. Schemes and a last slash do
/// not count.
class Audiences {
 public:
  void add(std::string_view audience) { allowed_.insert(std::string(bare(audience))); }
  bool empty() const { return allowed_.empty(); }
  bool allow(const std::vector<std::string>& of_token) const;

 private:
  static std::string_view bare(std::string_view audience);
  StringSet allowed_;
};

struct ClaimToHeader {
  std::vector<std::string> claim;  // the names on the way down
  std::string header;              // lower case
};

struct Provider {
  std::string name;
  std::string issuer;  // empty: any
  Audiences audiences;
  std::optional<StringMatch> subjects;
  bool require_expiration = false;
  std::optional<uint64_t> max_lifetime_s;
  uint64_t clock_skew_s = 60;
  std::shared_ptr<const tls::KeySet> local_keys;  // one of the two
  std::shared_ptr<upstream::RemoteKeys> remote_keys;
  // What happens to a request with a good token.
  bool forward = false;
  std::string payload_header;  // lower case; empty: none
  bool pad_payload_header = false;
  std::vector<ClaimToHeader> claim_headers;
  bool clear_route_cache = false;
  std::string payload_in_metadata;
  std::string header_in_metadata;
  std::string failed_status_in_metadata;
  std::vector<std::string> space_delimited_claims;
};

struct Requirement {
  enum class Kind : uint8_t { Nothing, Provider, AllowMissing, AllowMissingOrFailed, Any, All };
  Kind kind = Kind::Nothing;
  const jwt::Provider* provider = nullptr;  // of Kind::Provider
  std::optional<Audiences> audiences;       // instead of the provider's
  Places places;                            // all kinds but Any and All
  std::vector<Requirement> children;        // Any, All
};

struct Rule {
  router::RouteMatch match;
  const Requirement* requirement = nullptr;  // null: none
};

struct Settings {
  Settings() = default;
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  std::string filter_name;                           // in the list of filters: routes name it
  std::vector<std::unique_ptr<Provider>> providers;  // by name
  StringMap<const Provider*> by_issuer;              // the first one of each; "": of any
  std::vector<std::unique_ptr<Requirement>> requirements;
  std::vector<Rule> rules;
  StringMap<const Requirement*> by_name;  // requirement_map
  std::string requirement_names;          // "a,b", for who asks for another
  std::string filter_state_name;          // empty: no such rules
  StringMap<const Requirement*> by_filter_state;
  bool bypass_cors_preflight = false;
  bool strip_failure_response = false;
  std::vector<std::string> reserved_headers;  // only this filter writes them
  std::vector<const Provider*> remote;        // providers with remote keys
  std::shared_ptr<stats::Group<JwtSchema>> stats;

  /// For a token that no provider was asked for; null: nobody's.
  const Provider* provider_of(std::string_view issuer) const;
};

/// An override for a route.
struct RouteSettings {
  bool disabled = false;
  std::string requirement_name;
};

}  // namespace remora::jwt
