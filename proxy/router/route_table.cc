#include "proxy/router/route_table.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <span>

#include "proxy/http/stream_info.h"
#include "proxy/router/route_match.h"

namespace remora::router {
namespace {

/// Where ":port" begins in a host, behind an IPv6 literal's bracket; npos when there is no port.
size_t port_start(std::string_view host) {
  size_t bracket = host.rfind(']');
  size_t colon = host.rfind(':');
  if (colon == std::string_view::npos) return std::string_view::npos;
  if (bracket != std::string_view::npos && colon < bracket) return std::string_view::npos;
  if (bracket == std::string_view::npos && host.find(':') != colon) return std::string_view::npos;
  if (colon + 1 == host.size()) return std::string_view::npos;
  bool digits = std::all_of(host.begin() + colon + 1, host.end(),
                            [](char c) { return absl::ascii_isdigit(c); });
  return digits ? colon : std::string_view::npos;
}

/// `text` in lower case, without an allocation for hosts of ordinary length.
class LowerCase {
 public:
  explicit LowerCase(std::string_view text) {
    char* out = small_.data();
    if (text.size() > small_.size()) {
      large_.resize(text.size());
      out = large_.data();
    }
    std::transform(text.begin(), text.end(), out, absl::ascii_tolower);
    view_ = {out, text.size()};
  }
  std::string_view view() const { return view_; }

 private:
  std::array<char, 256> small_;
  std::string large_;
  std::string_view view_;
};

using Wildcards = std::vector<std::pair<size_t, StringMap<const VirtualHost*>>>;

/// The vector entry for wildcards of `length` characters, kept longest first.
StringMap<const VirtualHost*>& of_length(Wildcards& wildcards, size_t length) {
  auto at = std::find_if(wildcards.begin(), wildcards.end(),
                         [&](const auto& entry) { return entry.first <= length; });
  if (at == wildcards.end() || at->first != length)
    at = wildcards.emplace(at, length, StringMap<const VirtualHost*>());
  return at->second;
}

/// The number that chooses among weighted clusters: random, unless the request has one of its own.
uint64_t ticket_of(const ClusterAction& action, const MatchInput& input) {
  if (!action.weight_header.empty()) {
    // Several values, joined, are no number.
    const auto text = input.request.joined(action.weight_header);
    uint64_t number = 0;
    if (text && absl::SimpleAtoi(absl::string_view(text->data(), text->size()), &number)) {
      return number;
    }
  }
  if (action.weighs_by_hash && input.info != nullptr && input.info->connection != nullptr) {
    const http::StreamInfo& info = *input.info;
    const RequestHash hash = hash_request(action.hash_policies, input.request,
                                          {info.remote, info.connection->local, &info});
    if (hash.value) return *hash.value;
  }
  return input.random;
}

const WeightedCluster* pick_weighted(const ClusterAction& action, const MatchInput& input) {
  if (action.total_weight == 0) return nullptr;
  uint64_t ticket = ticket_of(action, input) % action.total_weight;
  for (const WeightedCluster& candidate : action.weighted) {
    if (ticket < candidate.weight) return &candidate;
    ticket -= candidate.weight;
  }
  return nullptr;
}

/// The value of a header that names a cluster; empty: it is not there.
std::string_view named_by(const std::string& header, const http::HeaderMap& request) {
  const http::HeaderEntry* entry = request.find(header);
  return entry == nullptr ? std::string_view() : entry->value;
}

/// By `header`, where there is one, in place of the authority; none: it is not there.
std::optional<std::string_view> asked_host(const std::string& header,
                                           const http::HeaderMap& request) {
  if (header.empty()) return request.authority();
  const http::HeaderEntry* entry = request.find(header);
  return entry == nullptr ? std::nullopt : std::optional(entry->value);
}

void choose_cluster(const ClusterAction& action, const MatchInput& input, RouteDecision* out) {
  if (!action.weighted.empty()) {
    out->weighted = pick_weighted(action, input);
    if (out->weighted == nullptr) return;
    const WeightedCluster& chosen = *out->weighted;
    out->cluster = chosen.cluster_header.empty() ? std::string_view(chosen.name)
                                                 : named_by(chosen.cluster_header, input.request);
  } else if (!action.cluster_header.empty()) {
    out->cluster = named_by(action.cluster_header, input.request);
  } else {
    out->cluster = action.cluster;
  }
}

/// The routes that the request is held against.
std::span<const Route> candidates(const VirtualHost& vhost, const MatchInput& input) {
  if (!vhost.tree) return vhost.routes;
  if (input.info == nullptr) return {};
  const RouteRange found = vhost.tree(input.request, *input.info);
  return std::span(vhost.routes).subspan(found.first, found.end - found.first);
}

bool needs_tls_redirect(const VirtualHost& vhost, const http::HeaderMap& request) {
  if (vhost.require_tls == VirtualHost::RequireTls::None) return false;
  if (request.get(http::HeaderId::XForwardedProto) == "https") return false;
  return vhost.require_tls == VirtualHost::RequireTls::All ||
         request.get(http::HeaderId::XEnvoyInternal) != "true";
}

}  // namespace

absl::StatusOr<std::shared_ptr<const RouteTable>> RouteTable::build(Input input) {
  std::shared_ptr<RouteTable> table(new RouteTable(std::move(input)));
  RedirectAction to_https;
  to_https.https = to_https.keeps_port = true;
  table->tls_redirect_.action = std::move(to_https);
  size_t at = 0;
  for (VirtualHost& vhost : table->input_.hosts) {
    for (Route& route : vhost.routes) route.vhost = &vhost;
    for (const std::string& domain : vhost.domains) {
      absl::Status added = table->add_domain(domain, vhost);
      if (!added.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("virtual_hosts[", at, "].domains: ", added.message()));
      }
    }
    ++at;
  }
  return table;
}

absl::Status RouteTable::add_domain(const std::string& written, const VirtualHost& vhost) {
  const std::string domain = absl::AsciiStrToLower(written);
  if (domain.empty()) return absl::InvalidArgumentError("a domain must not be empty");
  if (domain == "*") {
    if (default_ != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("Only a single wildcard domain is permitted in route ", input_.name));
    }
    default_ = &vhost;
    return absl::OkStatus();
  }
  bool unique = false;
  if (domain.front() == '*') {
    unique = of_length(suffix_, domain.size() - 1).emplace(domain.substr(1), &vhost).second;
  } else if (domain.back() == '*') {
    unique = of_length(prefix_, domain.size() - 1)
                 .emplace(domain.substr(0, domain.size() - 1), &vhost)
                 .second;
  } else {
    unique = exact_.emplace(domain, &vhost).second;
  }
  if (unique) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("Only unique values for domains are permitted. Duplicate entry of domain ",
                   domain, " in route ", input_.name));
}

const VirtualHost* RouteTable::find_host(std::string_view authority) const {
  if (exact_.empty() && suffix_.empty() && prefix_.empty()) return default_;
  if (input_.ignore_port_in_host_matching) authority = authority.substr(0, port_start(authority));
  const LowerCase lower(authority);
  std::string_view host = lower.view();
  if (auto found = exact_.find(host); found != exact_.end()) return found->second;
  for (const auto& [length, hosts] : suffix_) {
    if (length >= host.size()) continue;
    auto found = hosts.find(host.substr(host.size() - length));
    if (found != hosts.end()) return found->second;
  }
  for (const auto& [length, hosts] : prefix_) {
    if (length >= host.size()) continue;
    auto found = hosts.find(host.substr(0, length));
    if (found != hosts.end()) return found->second;
  }
  return default_;
}

const FilterOverride* filter_override(const RouteDecision& decision, std::string_view filter_name) {
  if (decision.reason != RouteDecision::Reason::Matched) return nullptr;
  const auto find = [&](const auto* level) -> const FilterOverride* {
    if (level == nullptr || level->filter_configs.empty()) return nullptr;
    const auto at = level->filter_configs.find(filter_name);
    return at == level->filter_configs.end() ? nullptr : &at->second;
  };
  if (const FilterOverride* found = find(decision.weighted)) return found;
  if (const FilterOverride* found = find(decision.route)) return found;
  return find(decision.vhost);
}

RouteDecision RouteTable::decide(const http::HeaderMap& request, uint64_t random,
                                 const http::StreamInfo* info) const {
  RouteDecision decision;
  decision.table = this;
  const bool only_default = exact_.empty() && suffix_.empty() && prefix_.empty();
  const std::optional<std::string_view> host = asked_host(input_.vhost_header, request);
  if (host || only_default) decision.vhost = find_host(host.value_or(std::string_view()));
  if (decision.vhost == nullptr) {
    decision.reason = RouteDecision::Reason::NoVirtualHost;
    return decision;
  }
  if (needs_tls_redirect(*decision.vhost, request)) {
    decision.route = &tls_redirect_;
    decision.reason = RouteDecision::Reason::TlsRequired;
    return decision;
  }
  const MatchInput input(request, random, info);
  for (const Route& route : candidates(*decision.vhost, input)) {
    ++decision.candidates;
    if (!matches(route.match, input)) continue;
    decision.route = &route;
    decision.reason = RouteDecision::Reason::Matched;
    break;
  }
  if (decision.route == nullptr) {
    decision.reason = RouteDecision::Reason::NoRoute;
    return decision;
  }
  if (const auto* action = std::get_if<ClusterAction>(&decision.route->action)) {
    choose_cluster(*action, input, &decision);
  }
  return decision;
}

std::vector<std::string> RouteTable::clusters() const {
  std::vector<std::string> names;
  for (const VirtualHost& vhost : input_.hosts) {
    for (const Route& route : vhost.routes) {
      const auto* action = std::get_if<ClusterAction>(&route.action);
      if (action == nullptr) continue;
      if (!action->cluster.empty()) names.push_back(action->cluster);
      for (const WeightedCluster& weighted : action->weighted) {
        if (!weighted.name.empty()) names.push_back(weighted.name);
      }
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace remora::router
