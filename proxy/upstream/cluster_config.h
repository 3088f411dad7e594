// A cluster and its endpoints as compiled from xDS: immutable values made on the main thread.
// Documents: envoy.config.cluster.v3.Cluster, envoy.config.endpoint.v3.ClusterLoadAssignment.
// CONTRACT (additive).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/rare.h"
#include "proxy/http/header_spelling.h"
#include "proxy/net/address.h"
#include "proxy/net/config_source.h"
#include "proxy/net/socket.h"
#include "proxy/net/transport.h"
#include "proxy/upstream/outlier_config.h"

namespace remora {
class Metadata;
}
namespace remora::http2 {
struct SessionOptions;
}

namespace remora::upstream {

struct BalancingConfig;
struct HealthCheckConfig;
struct HostLabels;

enum class Priority : uint8_t {
  Default,
  High
};  // of a request: each has its own limits and connections
enum class Health : uint8_t { Healthy, Degraded, Unhealthy };
/// What EDS says in full, numbered as envoy.config.core.v3.HealthStatus.
enum class EndpointStatus : uint8_t { Unknown, Healthy, Unhealthy, Draining, Timeout, Degraded };

struct Locality {
  std::string region, zone, sub_zone;
  bool operator==(const Locality&) const = default;
};

/// What an endpoint's metadata says about how to reach it (name space
/// envoy.transport_socket_match): for each key its value as canonical text and, of a list, the text
/// of each element.
using TransportLabels = std::vector<std::pair<std::string, std::vector<std::string>>>;

/// One of transport_socket_matches: for hosts whose labels have all of `criteria`.
struct TransportMatch {
  std::string name;
  std::vector<std::pair<std::string, std::string>> criteria;  // key, canonical text
  std::shared_ptr<const TransportFactory> transport;
  bool matches(const TransportLabels& labels) const;
};

/// What endpoints without metadata, health check settings and further addresses have nothing of.
struct EndpointExtras {
  std::string hash_key;      // from metadata; empty: the address is hashed
  std::string metadata_key;  // canonical text of endpoint metadata: equal text, equal host
  std::shared_ptr<const HostLabels> labels;  // metadata that subsets are made by; null: none
  std::shared_ptr<const Metadata> metadata;  // all of it, for logs; null: none
  TransportLabels transport_labels;          // what transport_matches are held against
  std::string check_hostname;                // by which its health is asked for; empty: the check's
  Address check_address;                     // where; none: `address`
  uint16_t check_port = 0;                   // the same, if only the port differs; 0: it does not
  bool check_disabled = false;               // its health is not asked for
  std::vector<Address> more_addresses;       // of the same host, tried after `address`
};

/// One endpoint as configured. For DNS clusters `hostname` is to be resolved and `address` holds
/// only the port.
struct EndpointConfig {
  Address address;
  std::string hostname;  // endpoint.hostname (auto host rewrite), or the DNS name to resolve
  uint32_t weight = 1;
  Health health = Health::Healthy;                  // from EDS health_status
  EndpointStatus status = EndpointStatus::Unknown;  // the same in full
  bool draining = false;                            // EDS health_status DRAINING
  bool canary = false;                              // its metadata says so
  Rare<EndpointExtras> extras;
};

/// Never null. The assignment and the host that is made of it share one.
using EndpointPtr = std::shared_ptr<const EndpointConfig>;

struct LocalityEndpoints {
  Locality locality;
  uint32_t weight = 0;  // 0: none given
  uint32_t priority = 0;
  std::vector<EndpointPtr> endpoints;
  void add(EndpointConfig endpoint) {
    endpoints.push_back(std::make_shared<const EndpointConfig>(std::move(endpoint)));
  }
};

/// envoy.config.endpoint.v3.ClusterLoadAssignment.
struct LoadAssignment {
  std::string cluster_name;
  std::vector<LocalityEndpoints> localities;
  uint32_t overprovisioning_percent = 140;
  uint64_t stale_after_ms = 0;  // without another one it then counts for nothing; 0: never
  uint64_t content_hash = 0;
};

struct CircuitBreakerThresholds {
  uint32_t max_connections = 1024;
  uint32_t max_pending_requests = 1024;
  uint32_t max_requests = 1024;
  uint32_t max_retries = 3;
  uint32_t max_connection_pools = UINT32_MAX;
  uint32_t max_connections_per_host = UINT32_MAX;
  bool track_remaining = false;
  std::optional<double> retry_budget_percent;
  uint32_t retry_budget_min_concurrency = 3;
};

enum class Discovery : uint8_t { Static, Eds, StrictDns, LogicalDns, OriginalDst };
enum class LbPolicy : uint8_t {
  RoundRobin,
  LeastRequest,
  Random,
  RingHash,
  Maglev,
  ClusterProvided
};
enum class DnsFamily : uint8_t { Auto, V4Only, V6Only, V4Preferred, All };
enum class HttpProtocol : uint8_t { Http1, Http2, Auto };  // Auto: ALPN tells

/// Of the policies that choose by a hash of the request.
struct HashPolicyConfig {
  uint64_t min_ring_size = 1024;  // entries
  uint64_t max_ring_size = uint64_t{8} * 1024 * 1024;
  uint64_t table_size = 65537;  // Maglev: a prime
  bool murmur = false;          // the ring's function; otherwise xxHash
  bool use_hostname = false;
  uint32_t balance_factor_percent = 0;  // of the mean load; 0: hosts may have any
};

struct ClusterConfig {
  std::string name;
  std::string alt_stat_name;  // empty: name
  Discovery discovery = Discovery::Static;
  LbPolicy lb = LbPolicy::RoundRobin;
  uint32_t choice_count = 2;  // least request
  double active_request_bias = 1.0;
  HashPolicyConfig hash;
  bool chooses_by_hash() const { return lb == LbPolicy::RingHash || lb == LbPolicy::Maglev; }
  bool locality_weighted = false;
  std::shared_ptr<const BalancingConfig> balancing;  // what few clusters say; see balancing_of()
  uint32_t panic_threshold_percent = 50;
  std::shared_ptr<const OutlierConfig> outlier;           // null: hosts are not judged
  std::shared_ptr<const HealthCheckConfig> health_check;  // null: hosts are not asked
  bool ignores_health_on_removal = false;  // otherwise who passes checks stays until it fails
  bool ignores_new_hosts = false;          // until their first check, also in reckoning panic
  uint64_t connect_timeout_ms = 5000;
  uint32_t per_connection_buffer_limit = 1024 * 1024;  // bytes
  HttpProtocol protocol = HttpProtocol::Http1;
  std::shared_ptr<const http2::SessionOptions> http2;  // null: the defaults
  bool may_speak_http2() const {
    return protocol != HttpProtocol::Http1 || use_downstream_protocol;
  }
  bool http1_enable_trailers = false;  // otherwise trailers are checked and dropped
  bool http1_full_url = false;         // request lines have scheme and host
  http::NameOptions http1_names;
  bool use_downstream_protocol = false;  // `protocol` then is for who has no downstream
  uint32_t max_response_headers = 100;
  uint32_t max_response_header_bytes = 0;    // 0: 80 KiB by HTTP/1, 60 KiB by HTTP/2
  uint32_t max_requests_per_connection = 0;  // 0: no bound
  uint64_t idle_timeout_ms = 3'600'000;      // of an upstream connection; 0: none
  uint64_t max_connection_duration_ms = 0;
  uint64_t max_connection_jitter_ms = 0;  // by at most so much is a connection's duration longer
  uint64_t max_stream_duration_ms = 0;    // of one request's stream, from its opening; 0: no bound
  CircuitBreakerThresholds default_thresholds;
  CircuitBreakerThresholds high_thresholds;
  // EDS
  std::string eds_service_name;  // empty: name
  Rare<ConfigSource> eds_source;
  // DNS
  uint64_t dns_refresh_ms = 5000;
  uint64_t dns_failure_base_ms = 5000, dns_failure_max_ms = 5000;
  uint64_t dns_jitter_ms = 0;
  bool respect_dns_ttl = false;
  DnsFamily dns_family = DnsFamily::Auto;
  std::vector<Address> dns_servers;  // empty: the system's
  bool wait_for_warm_on_init = true;
  // ORIGINAL_DST
  bool original_dst_use_http_header = false;
  std::string original_dst_http_header = "x-envoy-original-dst-host";
  std::optional<uint16_t> original_dst_port_override;
  uint64_t cleanup_interval_ms = 5000;
  // Connections
  Address bind_to;  // upstream_bind_config.source_address
  TcpKeepalive keepalive;
  std::vector<SocketOption> socket_options;
  std::shared_ptr<const TransportFactory> transport;  // null: plain
  std::vector<TransportMatch> transport_matches;      // the first that matches a host serves it
  uint64_t transport_hash = 0;       // of what the two above were made of: equal means alike
  bool tells_downstream = false;     // one of them does: connections are for one downstream each
  bool auto_sni = false;             // HTTP: SNI is the request's host
  bool auto_san_validation = false;  // HTTP: and the server's certificate must have that name
  std::string auto_sni_header;       // taken from this header; empty: the request's host
  /// Which transport reaches hosts with `labels`: 0 is `transport`, i + 1 is transport_matches[i].
  uint32_t transport_for(const TransportLabels& labels) const;
  /// Whether the transport with such an index protects what it carries.
  bool reaches_securely(uint32_t index) const {
    const auto& to = index == 0 ? transport : transport_matches[index - 1].transport;
    return to != nullptr && to->secure();
  }
  bool close_connections_on_host_health_failure = false;
  const CircuitBreakerThresholds& thresholds(Priority priority) const {
    return priority == Priority::High ? high_thresholds : default_thresholds;
  }
  LoadAssignment assignment;  // static and DNS clusters: the endpoints written in the cluster
  uint64_t content_hash = 0;
};

extern const BalancingConfig kPlainBalancing;

/// `config`'s own, or what holds where it says nothing.
inline const BalancingConfig& balancing_of(const ClusterConfig& config) {
  return config.balancing != nullptr ? *config.balancing : kPlainBalancing;
}

}  // namespace remora::upstream
