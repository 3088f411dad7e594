#include "xds/translate/dns.h"

#include <absl/strings/str_cat.h>

#include "api/dns_cares.pb.h"
#include "xds/translate/endpoint.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using Cluster = envoy::config::cluster::v3::Cluster;
using DnsCacheConfig = envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig;

constexpr uint64_t kDefaultFailureFactor = 10;  // longest wait, in base intervals

absl::Status read_rates(const DnsCacheConfig& from, upstream::DnsCacheConfig* out,
                        const Path& path) {
  constexpr uint64_t kLeastRefreshMs = 1000;
  if (from.has_dns_refresh_rate()) {
    const Path at = path.field("dns_refresh_rate");
    REMORA_TRY_ASSIGN(out->refresh_ms, positive_milliseconds(from.dns_refresh_rate(), at));
  }
  if (from.has_dns_min_refresh_rate()) {
    const Path at = path.field("dns_min_refresh_rate");
    REMORA_TRY_ASSIGN(out->min_refresh_ms, milliseconds(from.dns_min_refresh_rate(), at));
    if (out->min_refresh_ms < kLeastRefreshMs) return at.error("must be at least 1s");
  }
  if (from.has_host_ttl()) {
    REMORA_TRY_ASSIGN(out->host_ttl_ms,
                      positive_milliseconds(from.host_ttl(), path.field("host_ttl")));
  }
  if (from.has_dns_query_timeout()) {
    REMORA_TRY_ASSIGN(
        out->query_timeout_ms,
        positive_milliseconds(from.dns_query_timeout(), path.field("dns_query_timeout")));
  }
  out->failure_base_ms = out->failure_max_ms = out->refresh_ms;
  if (!from.has_dns_failure_refresh_rate()) return absl::OkStatus();
  return read_failure_rate(from.dns_failure_refresh_rate(), &out->failure_base_ms,
                           &out->failure_max_ms, path.field("dns_failure_refresh_rate"));
}

absl::Status read_preresolved(const DnsCacheConfig& from, upstream::DnsCacheConfig* out,
                              const Path& path) {
  for (int i = 0; i < from.preresolve_hostnames_size(); ++i) {
    const Path at = path.at("preresolve_hostnames", i);
    const auto& socket = from.preresolve_hostnames(i);
    if (socket.port_value() > 65535) return at.field("port_value").error("is above 65535");
    BlockPool blocks;
    Arena arena(blocks);
    const auto port = static_cast<uint16_t>(socket.port_value());
    std::string key(upstream::host_key(socket.address(), port, arena));
    if (key.empty()) return at.field("address").error("is not the name of a host");
    out->preresolve.push_back(std::move(key));
  }
  if (out->preresolve.size() <= out->max_hosts) return absl::OkStatus();
  return path.field("preresolve_hostnames").error("are more than max_hosts");
}

}  // namespace

upstream::DnsFamily dns_family(Cluster::DnsLookupFamily family) {
  switch (family) {
    case Cluster::V4_ONLY:
      return upstream::DnsFamily::V4Only;
    case Cluster::V6_ONLY:
      return upstream::DnsFamily::V6Only;
    case Cluster::V4_PREFERRED:
      return upstream::DnsFamily::V4Preferred;
    case Cluster::ALL:
      return upstream::DnsFamily::All;
    default:
      return upstream::DnsFamily::Auto;
  }
}

// Answers shorter-lived than this would keep the resolver busy with nothing else.
absl::StatusOr<uint64_t> refresh_interval(const google::protobuf::Duration& duration,
                                          const Path& path) {
  if (duration.seconds() == 0 && duration.nanos() <= 1'000'000) {
    return path.error("must be greater than 0.001s");
  }
  return positive_milliseconds(duration, path);
}

absl::Status read_failure_rate(const Cluster::RefreshRate& from, uint64_t* base_ms,
                               uint64_t* max_ms, const Path& path) {
  if (!from.has_base_interval()) return path.field("base_interval").error("is required");
  REMORA_TRY_ASSIGN(*base_ms, refresh_interval(from.base_interval(), path.field("base_interval")));
  *max_ms = *base_ms * kDefaultFailureFactor;
  if (from.has_max_interval()) {
    REMORA_TRY_ASSIGN(*max_ms, refresh_interval(from.max_interval(), path.field("max_interval")));
  }
  if (*max_ms >= *base_ms) return absl::OkStatus();
  return path.error("base_interval must not be greater than max_interval");
}

absl::StatusOr<std::vector<Address>> dns_servers(
    const envoy::config::core::v3::TypedExtensionConfig& from, Context& context, const Path& path) {
  using Cares = envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
  const Path at = path.field("typed_config");
  std::vector<Address> out;
  TypedBytes config;
  REMORA_TRY_ASSIGN(config, unwrap(from.typed_config(), at));
  Cares cares;
  if (config.type != Cares::descriptor()->full_name()) {
    REMORA_TRY(context.not_honoured(at, absl::StrCat("unknown type ", config.type), false));
    return out;
  }
  if (!cares.ParseFromString(config.bytes)) return at.error("is not a valid message");
  for (int i = 0; i < cares.resolvers_size(); ++i) {
    auto server = address(cares.resolvers(i), at.at("resolvers", i));
    if (!server.ok()) return server.status();
    out.push_back(*std::move(server));
  }
  return out;
}

absl::StatusOr<std::shared_ptr<upstream::DnsCache>> dns_cache(const DnsCacheConfig& from,
                                                              Context& context, const Path& path) {
  if (context.dns_caches == nullptr) return path.error("is not supported here");
  upstream::DnsCacheConfig out;
  if (from.name().empty()) return path.field("name").error("is required");
  out.name = from.name();
  out.family = dns_family(from.dns_lookup_family());
  REMORA_TRY(read_rates(from, &out, path));
  if (from.has_max_hosts()) out.max_hosts = from.max_hosts().value();
  if (out.max_hosts == 0) return path.field("max_hosts").error("must be at least 1");
  if (from.dns_cache_circuit_breaker().has_max_pending_requests()) {
    out.max_pending = from.dns_cache_circuit_breaker().max_pending_requests().value();
  }
  if (from.has_typed_dns_resolver_config()) {
    const Path at = path.field("typed_dns_resolver_config");
    REMORA_TRY_ASSIGN(out.servers, dns_servers(from.typed_dns_resolver_config(), context, at));
  }
  REMORA_TRY(read_preresolved(from, &out, path));
  auto cache = context.dns_caches->open(out);
  if (!cache.ok()) return path.error(std::string(cache.status().message()));
  return cache;
}

}  // namespace remora::xds::translate
