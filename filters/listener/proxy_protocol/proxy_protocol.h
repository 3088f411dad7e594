// Takes the PROXY header off the front of a connection and believes it: source and destination
// become those that it names. Its factory is shared by workers; a filter belongs to one accepted
// socket. Document: envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "filters/listener/proxy_protocol/proxy_header.h"
#include "proxy/net/filter.h"
#include "proxy/stats/group.h"

namespace remora::filters {

// "proxy_proto[.STAT_PREFIX]", "proxy_proto[.STAT_PREFIX].versions.v1", and one without a prefix.
#define REMORA_PROXY_PROTOCOL_STATS(X) \
  X(Counter, not_found_allowed) X(Counter, not_found_disallowed)
REMORA_STATS_SCHEMA(ProxyProtocol, REMORA_PROXY_PROTOCOL_STATS, REMORA_NO_STATS, REMORA_NO_STATS)
#define REMORA_PROXY_PROTOCOL_VERSION_STATS(X) \
  X(Counter, disallowed) X(Counter, error) X(Counter, found)
REMORA_STATS_SCHEMA(ProxyProtocolVersion, REMORA_PROXY_PROTOCOL_VERSION_STATS, REMORA_NO_STATS,
                    REMORA_NO_STATS)
#define REMORA_PROXY_PROTOCOL_ERROR_STATS(X) X(Counter, downstream_cx_proxy_proto_error)
REMORA_STATS_SCHEMA(ProxyProtocolError, REMORA_PROXY_PROTOCOL_ERROR_STATS, REMORA_NO_STATS,
                    REMORA_NO_STATS)

struct ProxyProtocolConfig {
  /// Where the value of an extension goes in the connection's metadata.
  struct MetadataRule {
    std::string metadata_namespace;
    std::string key;
    bool base64 = false;  // else as UTF-8, each byte that is none as "!"
  };

  ProxyHeaderRules rules;
  std::array<std::optional<MetadataRule>, 256> metadata;  // by type of extension
  std::bitset<256> pass_through;                          // types kept for an upstream's header
  std::shared_ptr<stats::Group<ProxyProtocolSchema>> stats;
  std::shared_ptr<stats::Group<ProxyProtocolVersionSchema>> v1_stats, v2_stats;
  std::shared_ptr<stats::Group<ProxyProtocolErrorSchema>> error_stats;
};

class ProxyProtocol final : public ListenerFilter {
 public:
  explicit ProxyProtocol(const ProxyProtocolConfig& config) : config_(config) {}

  Status on_accept(ListenerFilterContext&) override { return Status::NeedData; }
  Status on_peek(ListenerFilterContext& context, std::string_view bytes) override;
  size_t max_peek_bytes() const override;
  size_t wanted_bytes() const override { return wanted_; }

 private:
  Status on_header(ListenerFilterContext& context, const ProxyHeader& header);
  void keep_extensions(std::string_view extensions, ConnectionFacts& facts) const;
  void count_refused(uint32_t worker, const ProxyHeader& header) const;

  const ProxyProtocolConfig& config_;
  size_t wanted_ = 1;
};

class ProxyProtocolFactory final : public ListenerFilterFactory {
 public:
  explicit ProxyProtocolFactory(ProxyProtocolConfig config) : config_(std::move(config)) {}
  std::unique_ptr<ListenerFilter> make() const override {
    return std::make_unique<ProxyProtocol>(config_);
  }
  const ProxyProtocolConfig& config() const { return config_; }

 private:
  const ProxyProtocolConfig config_;
};

}  // namespace remora::filters
