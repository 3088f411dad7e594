#include "filters/http/jwt_authn/jwt_authn.h"

#include <algorithm>
#include <string>

#include "proxy/router/route_match.h"

namespace remora::jwt {
namespace {

using http::FilterStatus;
using http::HeaderId;
using http::HeaderMap;

constexpr size_t kMaxRealmPathBytes = 256;
constexpr WallNs kNsPerSecond = 1'000'000'000;

bool is_cors_preflight(const HeaderMap& request) {
  return request.method() == "OPTIONS" && !request.get(HeaderId::Origin).empty() &&
         !request.get(HeaderId::AccessControlRequestMethod).empty();
}

/// Logs are split at spaces.
std::string_view details_of(std::string_view reason, Arena& arena) {
  const std::string_view joined = arena.join("jwt_authn_access_denied{", reason, "}");
  char* out = static_cast<char*>(arena.allocate(joined.size(), 1));
  std::ranges::replace_copy(joined, out, ' ', '_');
  return {out, joined.size()};
}

}  // namespace

FilterStatus JwtAuthn::on_request_headers(HeaderMap& headers, bool /*end_stream*/) {
  for (const std::string& name : settings_.reserved_headers) headers.remove(name);
  if (settings_.bypass_cors_preflight && is_cors_preflight(headers)) {
    stats().inc(JwtStat::cors_preflight_bypassed);
    stats().inc(JwtStat::allowed);
    return FilterStatus::Continue();
  }
  const auto* route =
      static_cast<const RouteSettings*>(stream_.route_config_of(settings_.filter_name));
  if (route == nullptr) {
    requirement_ = required();
  } else if (!route->disabled) {
    auto at = settings_.by_name.find(route->requirement_name);
    if (at == settings_.by_name.end()) return deny_unknown_requirement(route->requirement_name);
    requirement_ = at->second;
  }
  return verify();
}

const Requirement* JwtAuthn::required() {
  HeaderMap& headers = stream_.request_headers();
  for (const Rule& rule : settings_.rules) {
    const router::MatchInput input(headers, stream_.worker().random(), &stream_.info());
    if (router::matches(rule.match, input)) return rule.requirement;
  }
  if (settings_.filter_state_name.empty()) return nullptr;
  const std::string* state = stream_.info().find_filter_state(settings_.filter_state_name);
  if (state == nullptr) return nullptr;
  auto at = settings_.by_filter_state.find(*state);
  return at == settings_.by_filter_state.end() ? nullptr : at->second;
}

Verification::Time JwtAuthn::time_now() {
  const TurnTime& now = stream_.worker().loop().time();
  return {static_cast<uint64_t>(now.wall_ns / kNsPerSecond), now.now_ms};
}

/// Tries what would happen, on a copy of what it would change. Null: nothing has to be awaited.
upstream::RemoteKeys* JwtAuthn::keys_to_await() {
  const uint32_t thread = stream_.worker().index();
  const Verification::Time time = time_now();
  const bool all_there = std::ranges::all_of(settings_.remote, [&](const Provider* provider) {
    return provider->remote_keys->current(thread, time.monotonic_ms) != nullptr;
  });
  if (all_there) return nullptr;
  HeaderMap headers(stream_.arena());
  for (const http::HeaderEntry& entry : stream_.request_headers().entries()) {
    if (!entry.removed) headers.push(entry.id, entry.name, entry.value);
  }
  Metadata metadata;
  Verification trial(settings_, headers, metadata, time, thread, failed_);
  return trial.run(*requirement_) == Status::Pending ? trial.missing_keys() : nullptr;
}

FilterStatus JwtAuthn::verify() {
  if (requirement_ == nullptr) {
    stats().inc(JwtStat::allowed);
    return FilterStatus::Continue();
  }
  awaited_ = keys_to_await();
  if (awaited_ != nullptr) {
    awaited_->wait(stream_.worker().index(), *this);
    return FilterStatus::Pause();
  }
  Verification verification(settings_, stream_.request_headers(), stream_.info().dynamic_metadata,
                            time_now(), stream_.worker().index(), failed_);
  const Status status = verification.run(*requirement_);
  stats().add(JwtStat::jwt_cache_miss, verification.tokens_seen());
  if (status != Status::Ok) return deny(status);
  if (!verification.broken_header().empty()) {
    return deny_broken_header(verification.broken_header());
  }
  if (verification.route_affected()) stream_.clear_route_cache();
  stats().inc(JwtStat::allowed);
  return FilterStatus::Continue();
}

void JwtAuthn::on_keys(bool fetched) {
  if (!fetched) failed_.push_back(awaited_);
  if (verify().value() == FilterStatus::kContinue) stream_.resume(http::Direction::Request);
}

FilterStatus JwtAuthn::deny(Status status) {
  if (status == Status::Pending) status = Status::FetchFailed;
  stats().inc(JwtStat::denied);
  const std::string_view text = text_of(status);
  const http::Failure failure = {
      static_cast<uint16_t>(status == Status::AudienceNotAllowed ? 403 : 401), http::kNoFlag,
      details_of(text, stream_.arena()), settings_.strip_failure_response ? "" : text};
  if (!settings_.strip_failure_response) challenge_ = challenge_for(status);
  return stream_.reply(failure);
}

FilterStatus JwtAuthn::on_response_headers(HeaderMap& headers, bool /*end_stream*/) {
  if (!challenge_.empty()) headers.set("www-authenticate", challenge_);
  return FilterStatus::Continue();
}

/// RFC 6750 section 3; the realm is what was asked for.
std::string_view JwtAuthn::challenge_for(Status status) {
  const HeaderMap& headers = stream_.request_headers();
  std::string_view path = headers.has(HeaderId::XEnvoyOriginalPath)
                              ? headers.get(HeaderId::XEnvoyOriginalPath)
                              : headers.path();
  path = path.substr(0, kMaxRealmPathBytes);
  // A quotation mark would end the realm.
  std::string safe(path);
  for (size_t at = 0; (at = safe.find('"', at)) != std::string::npos;) safe.replace(at, 1, "%22");
  return stream_.arena().join("Bearer realm=\"", headers.get(HeaderId::Scheme), "://",
                              headers.authority(), safe, "\"",
                              status == Status::Missing ? "" : ", error=\"invalid_token\"");
}

FilterStatus JwtAuthn::deny_unknown_requirement(std::string_view name) {
  stats().inc(JwtStat::denied);
  Arena& arena = stream_.arena();
  const std::string_view reason =
      arena.join("Wrong requirement_name: ", name, ". It should be one of [",
                 settings_.requirement_names, "]");
  const http::Failure failure = {403, http::kNoFlag, details_of(reason, arena),
                                 settings_.strip_failure_response
                                     ? std::string_view()
                                     : arena.join("Failed JWT authentication: ", reason)};
  return stream_.reply(failure);
}

FilterStatus JwtAuthn::deny_broken_header(std::string_view name) {
  stats().inc(JwtStat::denied);
  Arena& arena = stream_.arena();
  const http::Failure failure = {
      503, http::ResponseFlag::DPE,
      arena.join("filter_removed_required_request_headers{invalid_header_value_for:_", name, "}"),
      arena.join("invalid header value for: ", name)};
  return stream_.reply(failure);
}

}  // namespace remora::jwt
