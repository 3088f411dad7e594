#include "proxy/router/internal_redirect.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/net/connection_facts.h"
#include "proxy/router/shared_body.h"

namespace remora::router {

using http::HeaderId;
using http::HeaderMap;

namespace {

constexpr uint16_t kSeeOther = 303;
constexpr std::string_view kRedirectCount = "num_internal_redirects";
constexpr std::string_view kPreviousRoutes =
    "envoy.internal_redirect.previous_routes_predicate_state.";

struct Target {
  bool secure = false;
  std::string_view host;
  std::string_view path;  // with the query; empty: "/"
};

bool starts_with(std::string_view text, std::string_view prefix) {
  return absl::StartsWithIgnoreCase({text.data(), text.size()}, {prefix.data(), prefix.size()});
}

/// Of an absolute http or https URL; what follows '#' is for user agents alone.
std::optional<Target> parse(std::string_view url) {
  Target out;
  if (starts_with(url, "https://")) {
    out.secure = true;
  } else if (!starts_with(url, "http://")) {
    return std::nullopt;
  }
  url.remove_prefix(url.find("//") + 2);
  url = url.substr(0, url.find('#'));
  const size_t end = std::min(url.find_first_of("/?"), url.size());
  out.host = url.substr(0, end);
  out.path = url.substr(end);
  const auto odd = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; };
  if (out.host.empty() || out.host.find('@') != std::string_view::npos ||
      std::ranges::any_of(url, odd)) {
    return std::nullopt;
  }
  return out;
}

std::string_view path_of(const Target& target, Arena& arena) {
  if (target.path.starts_with('/')) return arena.copy(target.path);
  return arena.join("/", target.path);
}

/// How many redirects have brought the request here.
uint32_t redirects_so_far(const http::StreamInfo& info) {
  const std::string* text = info.filter_state.find(kRedirectCount);
  uint32_t count = 0;
  if (text != nullptr && !absl::SimpleAtoi(*text, &count)) count = 0;
  return count;
}

/// Whether redirects of this route have not led to that one before; they have now.
bool is_new(const Route& from, const std::string& to, http::StreamInfo& info) {
  const std::string key = std::string(kPreviousRoutes) + from.name;
  const std::string* seen = info.filter_state.find(key);
  std::string all = seen != nullptr ? *seen : std::string(1, '\0');
  const std::string entry = to + '\0';
  if (all.find('\0' + entry) != std::string::npos) return false;
  info.filter_state.set(key, all + entry);
  return true;
}

bool accepts(const RedirectPredicate& predicate, const Route& from, const Route& to,
             bool was_secure, bool is_secure, http::StreamInfo& info) {
  switch (predicate.kind) {
    case RedirectPredicate::Kind::NewRoutes:
      return is_new(from, to.name, info);
    case RedirectPredicate::Kind::ListedRoutes:
      return std::ranges::find(predicate.routes, to.name) != predicate.routes.end();
    case RedirectPredicate::Kind::SafeScheme:
      return was_secure || !is_secure;
  }
  return false;
}

/// In place of the request's own; what the answer does not have the request loses.
void copy_from_answer(const InternalRedirectPolicy& policy, const HeaderMap& response,
                      HeaderMap& request) {
  for (const std::string& name : policy.to_copy) {
    request.remove(name);
    for (const http::HeaderEntry& entry : response.entries()) {
      if (!entry.removed && entry.name == name) {
        request.add(request.arena().copy(name), request.arena().copy(entry.value));
      }
    }
  }
}

}  // namespace

RedirectVerdict follow_redirect(const InternalRedirectPolicy& policy, const RouteDecision& decision,
                                const HeaderMap& response, uint64_t random, http::StreamInfo& info,
                                HeaderMap& request) {
  const std::optional<Target> target = parse(response.get(HeaderId::Location));
  if (!target) return RedirectVerdict::BadLocation;
  const bool was_secure =
      request.get(HeaderId::Scheme) != "http" && info.connection->tls != nullptr;
  if (!policy.any_scheme && was_secure != target->secure) return RedirectVerdict::UnsafeScheme;
  const uint32_t so_far = redirects_so_far(info);
  if (so_far >= policy.max_redirects) return RedirectVerdict::TooMany;

  Arena& arena = request.arena();
  HeaderMap next(arena);
  next.set_spelling(request.spelling());
  copy_headers(request, next);
  copy_from_answer(policy, response, next);
  next.set(HeaderId::Scheme, target->secure ? "https" : "http");
  next.set(HeaderId::Authority, arena.copy(target->host));
  next.set(HeaderId::Path, path_of(*target, arena));

  const RouteDecision destination = decision.table->decide(next, random, &info);
  if (destination.route == nullptr) return RedirectVerdict::NoRoute;
  for (const RedirectPredicate& predicate : policy.predicates) {
    if (!accepts(predicate, *decision.route, *destination.route, was_secure, target->secure,
                 info)) {
      return RedirectVerdict::Predicate;
    }
  }
  if (response.status() == kSeeOther && next.method() != "GET" && next.method() != "HEAD") {
    next.set(HeaderId::Method, "GET");
    next.remove(HeaderId::ContentLength);
  }
  next.set("x-envoy-original-url",
           arena.join(was_secure ? "https://" : "http://", request.authority(), request.path()));
  info.filter_state.set(kRedirectCount, std::to_string(so_far + 1));
  request = std::move(next);
  return RedirectVerdict::Follow;
}

}  // namespace remora::router
