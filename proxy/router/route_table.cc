#include "proxy/router/route_table.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>

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

const WeightedCluster* pick_weighted(const ClusterAction& action, uint64_t random) {
  if (action.total_weight == 0) return nullptr;
  uint64_t ticket = random % action.total_weight;
  for (const WeightedCluster& candidate : action.weighted) {
    if (ticket < candidate.weight) return &candidate;
    ticket -= candidate.weight;
  }
  return nullptr;
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
                                 const http::StreamInfo* /*info*/) const {
  RouteDecision decision;
  decision.table = this;
  decision.vhost = find_host(request.authority());
  if (decision.vhost == nullptr) {
    decision.reason = RouteDecision::Reason::NoVirtualHost;
    return decision;
  }
  if (needs_tls_redirect(*decision.vhost, request)) {
    decision.route = &tls_redirect_;
    decision.reason = RouteDecision::Reason::TlsRequired;
    return decision;
  }
  for (const Route& route : decision.vhost->routes) {
    ++decision.candidates;
    if (!matches(route.match, request, random)) continue;
    decision.route = &route;
    decision.reason = RouteDecision::Reason::Matched;
    break;
  }
  if (decision.route == nullptr) {
    decision.reason = RouteDecision::Reason::NoRoute;
    return decision;
  }
  if (const auto* action = std::get_if<ClusterAction>(&decision.route->action)) {
    if (!action->weighted.empty()) {
      decision.weighted = pick_weighted(*action, random);
      if (decision.weighted != nullptr) decision.cluster = decision.weighted->name;
    } else if (!action->cluster_header.empty()) {
      const http::HeaderEntry* header = request.find(action->cluster_header);
      if (header != nullptr) decision.cluster = header->value;
    } else {
      decision.cluster = action->cluster;
    }
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
      for (const WeightedCluster& weighted : action->weighted) names.push_back(weighted.name);
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace remora::router
