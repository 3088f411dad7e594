#include "proxy/router/context_match.h"

#include <algorithm>

#include "proxy/http/cookies.h"
#include "proxy/net/tls_facts.h"

namespace remora::router {
namespace {

bool any_contains(const std::vector<CidrRange>& ranges, const Address& address) {
  return std::ranges::any_of(ranges, [&](const CidrRange& range) {
    return range.contains(address) || range.contains(address.unmapped());
  });
}

/// "10.0.0.1", "10.0.0.1:80", "::1" or "[::1]:80".
Address address_in(std::string_view text) {
  if (auto plain = Address::from_ip(text, 0); plain.ok()) return *std::move(plain);
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {};
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  auto with_port = Address::from_ip(host, 0);
  return with_port.ok() ? *std::move(with_port) : Address();
}

/// The first cookie of that name counts; one that is not there does not match.
bool matches_cookie(const CookieMatch& match, const http::HeaderMap& request) {
  std::optional<std::string_view> found;
  http::for_each_cookie(request, [&](std::string_view name, std::string_view value) {
    if (name == match.name) found = value;
    return !found;
  });
  return (found && match.value.matches(*found)) != match.invert;
}

}  // namespace

bool FilterStateMatch::matches(const std::string* value) const {
  if (value == nullptr) return false;
  if (const auto* text = std::get_if<StringMatch>(&match)) return text->matches(*value);
  const auto& in = std::get<InRanges>(match);
  const Address address = address_in(*value);
  return address && any_contains(in.ranges, address) != in.invert;
}

bool ContextMatch::matches(const http::HeaderMap& request, const http::StreamInfo& info) const {
  const TlsFacts* tls = info.connection == nullptr ? nullptr : info.connection->tls;
  const bool presented = tls != nullptr && tls->peer != nullptr;
  if (certificate_presented && *certificate_presented != presented) return false;
  const bool validated = presented && tls->peer_verified;
  if (certificate_validated && *certificate_validated != validated) return false;
  return std::ranges::all_of(
             cookies, [&](const CookieMatch& cookie) { return matches_cookie(cookie, request); }) &&
         std::ranges::all_of(
             metadata,
             [&](const MetadataMatch& one) { return one.matches(info.dynamic_metadata); }) &&
         std::ranges::all_of(filter_state, [&](const FilterStateMatch& state) {
           return state.matches(info.find_filter_state(state.key));
         });
}

}  // namespace remora::router
