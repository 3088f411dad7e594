// Which filter chain serves a connection: Envoy's order of criteria, most specific first, without
// going back (destination port, destination IP prefix, server names, transport protocol,
// application protocols, direct source prefix, source type, source prefix, source port). Document:
// envoy.config.listener.v3.FilterChainMatch. Immutable after build; any thread. CONTRACT.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/net/address.h"
#include "proxy/net/connection_facts.h"

namespace remora {

struct FilterChainMatchSpec {
  enum class SourceType : uint8_t { Any, SameIpOrLoopback, External };
  std::optional<uint32_t> destination_port;
  std::vector<CidrRange> prefix_ranges;
  std::vector<std::string> server_names;  // "www.x.com", "*.x.com"; lower case
  std::string transport_protocol;         // "" any, "raw_buffer", "tls"
  std::vector<std::string> application_protocols;
  std::vector<CidrRange> direct_source_prefix_ranges;
  SourceType source_type = SourceType::Any;
  std::vector<CidrRange> source_prefix_ranges;
  std::vector<uint32_t> source_ports;
  bool empty() const;
};

class FilterChainMatcher {
 public:
  FilterChainMatcher();
  ~FilterChainMatcher();
  FilterChainMatcher(FilterChainMatcher&&) noexcept;
  FilterChainMatcher& operator=(FilterChainMatcher&&) noexcept;

  /// Chain `index` is served where `spec` matches. Two chains that would serve the same connections
  /// are an error
  /// ("multiple filter chains with overlapping matching rules are defined"), as is a bad server
  /// name.
  absl::Status add(const FilterChainMatchSpec& spec, size_t index);

  /// Index of the chain for a connection, or nullopt (then the default chain, or close).
  std::optional<size_t> find(const ConnectionFacts& facts) const;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
};

}  // namespace remora
