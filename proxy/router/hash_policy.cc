// The numbers are Envoy's: a client that moves between sidecars of both kinds stays on its host.
#include "proxy/router/hash_policy.h"

#include <absl/container/inlined_vector.h>
#include <absl/strings/str_cat.h>
#include <re2/re2.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>

#include "proxy/http/cookies.h"
#include "proxy/http/stream_info.h"
#include "proxy/router/route_match.h"

namespace remora::router {
namespace {

uint64_t hash_of(std::string_view text, uint64_t seed = 0) {
  return XXH64(text.data(), text.size(), seed);
}

/// Whatever the order of several values, the hash is the same.
std::optional<uint64_t> hash_header(const HashPolicy& policy, const http::HeaderMap& request) {
  absl::InlinedVector<std::string, 1> values;
  for (const http::HeaderEntry& entry : request.entries()) {
    if (entry.removed || entry.name != policy.name) continue;
    std::string value(entry.value);
    if (policy.rewrite) re2::RE2::GlobalReplace(&value, *policy.rewrite, policy.substitution);
    values.push_back(std::move(value));
  }
  if (values.empty()) return std::nullopt;
  std::ranges::sort(values);
  uint64_t hash = 0;
  for (const std::string& value : values) hash = hash_of(value, hash);
  return hash;
}

std::string set_cookie(const HashPolicy& policy, std::string_view value) {
  std::string out =
      absl::StrCat(policy.name, "=\"", absl::string_view(value.data(), value.size()), "\"");
  if (*policy.cookie_ttl_s > 0) absl::StrAppend(&out, "; Max-Age=", *policy.cookie_ttl_s);
  if (!policy.cookie_path.empty()) absl::StrAppend(&out, "; Path=", policy.cookie_path);
  for (const auto& [name, attribute] : policy.cookie_attributes) {
    absl::StrAppend(&out, "; ", name, attribute.empty() ? "" : "=", attribute);
  }
  return out + "; HttpOnly";
}

std::optional<uint64_t> hash_cookie(const HashPolicy& policy, const http::HeaderMap& request,
                                    const Asker& asker, std::vector<std::string>* set_cookies) {
  const std::string_view value = http::cookie_value(request, policy.name);
  if (!value.empty()) return hash_of(value);
  if (!policy.cookie_ttl_s) return std::nullopt;
  const uint64_t seed = hash_of(asker.remote.to_string() + asker.local.to_string());
  const std::string made = absl::StrCat(absl::Hex(seed, absl::kZeroPad16));
  set_cookies->push_back(set_cookie(policy, made));
  return hash_of(made);
}

}  // namespace

std::optional<uint64_t> hash_of_ip(const Address& address) {
  if (!address.is_ip()) return std::nullopt;
  return hash_of(address.ip_string());
}

RequestHash hash_request(std::span<const HashPolicy> policies, const http::HeaderMap& request,
                         const Asker& asker) {
  RequestHash out;
  for (const HashPolicy& policy : policies) {
    std::optional<uint64_t> hash;
    switch (policy.kind) {
      case HashPolicy::Kind::Header:
        hash = hash_header(policy, request);
        break;
      case HashPolicy::Kind::Cookie:
        hash = hash_cookie(policy, request, asker, &out.set_cookies);
        break;
      case HashPolicy::Kind::SourceIp:
        hash = hash_of_ip(asker.remote);
        break;
      case HashPolicy::Kind::Query:
        if (const auto value = query_value(request.path(), policy.name)) hash = hash_of(*value);
        break;
      case HashPolicy::Kind::FilterState:
        if (asker.info == nullptr) break;
        if (const std::string* text = asker.info->find_filter_state(policy.name)) {
          hash = hash_of(*text);
        }
        break;
    }
    // Turned, so that two policies that hash the same do not cancel each other out.
    if (hash) out.value = out.value ? std::rotl(*out.value, 1) ^ *hash : *hash;
    if (policy.terminal && out.value) break;
  }
  return out;
}

}  // namespace remora::router
