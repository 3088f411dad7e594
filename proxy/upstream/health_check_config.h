// How the hosts of a cluster are asked whether they are well, and what follows. Part of a cluster's
// immutable configuration; the defaults are Envoy's. Document: envoy.config.core.v3.HealthCheck.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/string_match.h"
#include "proxy/net/proxy_protocol.h"

namespace remora::upstream {

/// Half open.
struct StatusRange {
  int64_t start = 0, end = 0;
};

/// A header of the request, and what happens when it is there already.
struct CheckHeader {
  enum class Action : uint8_t { Add, AddIfAbsent, Set, SetIfPresent };
  std::string name;  // lower case
  std::string value;
  Action action = Action::Add;
};

struct HealthCheckConfig {
  enum class Kind : uint8_t { Http, Tcp, Grpc };
  Kind kind = Kind::Http;
  uint64_t timeout_ms = 0;
  uint64_t interval_ms = 0;
  uint64_t initial_jitter_ms = 0;
  uint64_t interval_jitter_ms = 0;
  uint32_t interval_jitter_percent = 0;
  uint64_t min_interval_ms = 1;  // whatever follows from all the others
  uint64_t max_interval_ms = UINT64_MAX;
  uint32_t unhealthy_threshold = 1;
  uint32_t healthy_threshold = 1;
  // Before the next check of a host ...
  uint64_t no_traffic_ms = 60'000;          // ... of a cluster that nobody has used yet
  uint64_t no_traffic_healthy_ms = 60'000;  // ... the same, and the host is healthy
  uint64_t unhealthy_ms = 0;                // ... that is out
  uint64_t unhealthy_edge_ms = 0;           // ... that begins to fail
  uint64_t healthy_edge_ms = 0;             // ... that begins to pass
  bool reuse_connection = true;
  std::vector<std::string> event_logs;  // paths
  bool log_all_failures = false;
  bool log_all_successes = false;
  std::string alpn;  // offered in place of the transport's; with commas; empty: not
  std::optional<uint32_t> transport;  // by ClusterConfig::transport_for(), in place of the host's

  // HTTP and gRPC
  bool http2 = false;
  std::string host;  // the authority; empty: the cluster's name
  std::vector<CheckHeader> headers;
  std::vector<std::string> headers_to_remove;  // before those are added
  // HTTP
  std::string method = "GET";
  std::string path;
  std::vector<StatusRange> expected;  // empty: 200
  std::vector<StatusRange> retriable;
  size_t response_buffer_bytes = 1024;      // of the body, in which `receive` is looked for; 0: all
  std::optional<StringMatch> service_name;  // what x-envoy-upstream-healthchecked-cluster must be
  // gRPC
  std::string service;

  // TCP and HTTP
  std::string send;
  std::vector<std::string> receive;  // in this order, whatever is between
  // TCP
  std::optional<ProxyProtocolSettings> proxy_protocol;  // such a header goes before `send`
};

}  // namespace remora::upstream
