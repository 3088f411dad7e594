// One table inside another, a level for each criterion, as Envoy lays it out: an address, name or
// port that some chain names is searched among those chains only. Immutable after build; any
// thread.
#include "proxy/net/filter_chain_match.h"

#include <absl/container/flat_hash_map.h>

#include <array>
#include <string>
#include <string_view>

#include "proxy/base/string_map.h"
#include "proxy/net/prefix_map.h"

namespace remora {
namespace {

using Spec = FilterChainMatchSpec;

constexpr uint32_t kAnyPort = 0;
constexpr std::string_view kAny = "";

using SourcePorts = absl::flat_hash_map<uint32_t, size_t>;
using SourceIps = PrefixMap<SourcePorts>;
using SourceTypes = std::array<SourceIps, 3>;
using DirectSourceIps = PrefixMap<SourceTypes>;
using ApplicationProtocols = StringMap<DirectSourceIps>;
using TransportProtocols = StringMap<ApplicationProtocols>;
using ServerNames = StringMap<TransportProtocols>;
using DestinationIps = PrefixMap<ServerNames>;
using DestinationPorts = absl::flat_hash_map<uint32_t, DestinationIps>;

// --- building ---

bool is_wildcard(std::string_view name) { return name.substr(0, 2) == "*."; }

/// An empty list of criteria stands for one that everything meets.
template <class T>
std::vector<T> or_any(std::vector<T> given, T any) {
  if (given.empty()) given.push_back(std::move(any));
  return given;
}

std::vector<CidrRange> or_any_address(const std::vector<CidrRange>& given) {
  if (!given.empty()) return given;
  return {*CidrRange::make("0.0.0.0", 0), *CidrRange::make("::", 0)};
}

absl::Status add_source(SourceIps& ips, const Spec& spec, size_t index) {
  for (const CidrRange& range : or_any_address(spec.source_prefix_ranges)) {
    SourcePorts& ports = ips.at(range);
    for (uint32_t port : or_any(spec.source_ports, kAnyPort)) {
      if (!ports.emplace(port, index).second) {
        return absl::InvalidArgumentError(
            "multiple filter chains with overlapping matching rules are defined");
      }
    }
  }
  return absl::OkStatus();
}

absl::Status add_direct_source(DirectSourceIps& ips, const Spec& spec, size_t index) {
  for (const CidrRange& range : or_any_address(spec.direct_source_prefix_ranges)) {
    SourceIps& sources = ips.at(range)[static_cast<size_t>(spec.source_type)];
    if (auto status = add_source(sources, spec, index); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status add_protocols(TransportProtocols& transports, const Spec& spec, size_t index) {
  ApplicationProtocols& applications = transports[spec.transport_protocol];
  for (const std::string& protocol : or_any(spec.application_protocols, std::string(kAny))) {
    auto status = add_direct_source(applications[protocol], spec, index);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status add_server_names(ServerNames& names, const Spec& spec, size_t index) {
  for (const std::string& name : or_any(spec.server_names, std::string(kAny))) {
    if (name.find('*') != std::string::npos && !is_wildcard(name)) {
      return absl::InvalidArgumentError(
          "partial wildcards are not supported in \"server_names\": " + name);
    }
    // "*.x.com" is kept as ".x.com".
    auto status = add_protocols(names[is_wildcard(name) ? name.substr(1) : name], spec, index);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// --- finding: each level picks one entry and does not come back for another ---

using Found = std::optional<size_t>;

/// A Unix socket has no IP: it meets only what any address meets.
Address ip_of(const Address& address) {
  static const Address kNoIp = *Address::from_ip("255.255.255.255", 0);
  return address.is_ip() ? address.unmapped() : kNoIp;
}

bool same_ip_or_loopback(const ConnectionFacts& facts) {
  if (facts.remote.is_loopback()) return true;
  const Address remote = facts.remote.unmapped();
  return remote.is_ip() && remote.with_port(0) == facts.local.unmapped().with_port(0);
}

Found find_source(const SourceIps& ips, const ConnectionFacts& facts) {
  const Address source = ip_of(facts.remote);
  const SourcePorts* ports = ips.longest_match(source);
  if (ports == nullptr) return std::nullopt;
  auto found = ports->find(source.port());
  if (found == ports->end()) found = ports->find(kAnyPort);
  return found == ports->end() ? Found() : Found(found->second);
}

Found find_source_type(const SourceTypes& types, const ConnectionFacts& facts) {
  const auto of = [&](Spec::SourceType type) -> const SourceIps& {
    return types[static_cast<size_t>(type)];
  };
  const SourceIps& same_ip = of(Spec::SourceType::SameIpOrLoopback);
  const SourceIps& external = of(Spec::SourceType::External);
  if (!same_ip.empty() || !external.empty()) {
    const SourceIps& kind = same_ip_or_loopback(facts) ? same_ip : external;
    if (!kind.empty()) return find_source(kind, facts);
  }
  return find_source(of(Spec::SourceType::Any), facts);
}

Found find_application(const ApplicationProtocols& protocols, const ConnectionFacts& facts) {
  auto found = protocols.end();
  for (const std::string& offered : facts.application_protocols) {
    found = protocols.find(std::string_view(offered));
    if (found != protocols.end()) break;
  }
  if (found == protocols.end()) found = protocols.find(kAny);
  if (found == protocols.end()) return std::nullopt;
  const SourceTypes* types = found->second.longest_match(ip_of(facts.direct_remote));
  return types == nullptr ? Found() : find_source_type(*types, facts);
}

Found find_transport(const TransportProtocols& transports, const ConnectionFacts& facts) {
  auto found = transports.find(std::string_view(facts.transport_protocol));
  if (found == transports.end()) found = transports.find(kAny);
  return found == transports.end() ? Found() : find_application(found->second, facts);
}

Found find_server_name(const ServerNames& names, const ConnectionFacts& facts) {
  const std::string_view name = facts.requested_server_name;
  auto found = names.find(name);
  // "www.x.com" meets ".x.com", then ".com".
  for (size_t dot = name.find('.', 1);
       found == names.end() && dot != std::string_view::npos && dot + 1 < name.size();
       dot = name.find('.', dot + 1)) {
    found = names.find(name.substr(dot));
  }
  if (found == names.end()) found = names.find(kAny);
  return found == names.end() ? Found() : find_transport(found->second, facts);
}

}  // namespace

bool FilterChainMatchSpec::empty() const {
  return !destination_port && prefix_ranges.empty() && server_names.empty() &&
         transport_protocol.empty() && application_protocols.empty() &&
         direct_source_prefix_ranges.empty() && source_type == SourceType::Any &&
         source_prefix_ranges.empty() && source_ports.empty();
}

struct FilterChainMatcher::Node {
  DestinationPorts ports;
};

FilterChainMatcher::FilterChainMatcher() : root_(std::make_unique<Node>()) {}
FilterChainMatcher::~FilterChainMatcher() = default;
FilterChainMatcher::FilterChainMatcher(FilterChainMatcher&&) noexcept = default;
FilterChainMatcher& FilterChainMatcher::operator=(FilterChainMatcher&&) noexcept = default;

absl::Status FilterChainMatcher::add(const FilterChainMatchSpec& spec, size_t index) {
  DestinationIps& ips = root_->ports[spec.destination_port.value_or(kAnyPort)];
  for (const CidrRange& range : or_any_address(spec.prefix_ranges)) {
    if (auto status = add_server_names(ips.at(range), spec, index); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::optional<size_t> FilterChainMatcher::find(const ConnectionFacts& facts) const {
  auto ips = root_->ports.end();
  if (facts.local.is_ip()) ips = root_->ports.find(facts.local.port());
  if (ips == root_->ports.end()) ips = root_->ports.find(kAnyPort);
  if (ips == root_->ports.end()) return std::nullopt;
  const ServerNames* names = ips->second.longest_match(ip_of(facts.local));
  return names == nullptr ? std::nullopt : find_server_name(*names, facts);
}

}  // namespace remora
