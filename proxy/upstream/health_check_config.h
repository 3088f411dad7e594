// How the hosts of a cluster are asked whether they are well, and what follows. Part of a cluster's
// immutable configuration; the defaults are Envoy's. Document: envoy.config.core.v3.HealthCheck.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace remora::upstream {

/// Half open.
struct StatusRange {
  int64_t start = 0, end = 0;
};

struct HealthCheckConfig {
  enum class Kind : uint8_t { Http, Tcp, Grpc };
  Kind kind = Kind::Http;
  uint64_t timeout_ms = 0;
  uint64_t interval_ms = 0;
  uint64_t initial_jitter_ms = 0;
  uint64_t interval_jitter_ms = 0;
  uint32_t interval_jitter_percent = 0;
  uint32_t unhealthy_threshold = 1;
  uint32_t healthy_threshold = 1;
  // Before the next check of a host ...
  uint64_t no_traffic_ms = 60'000;          // ... of a cluster that nobody has used yet
  uint64_t no_traffic_healthy_ms = 60'000;  // ... the same, and the host is healthy
  uint64_t unhealthy_ms = 0;                // ... that is out
  uint64_t unhealthy_edge_ms = 0;           // ... that begins to fail
  uint64_t healthy_edge_ms = 0;             // ... that begins to pass
  bool reuse_connection = true;
  bool log_all_failures = false;
  bool log_all_successes = false;

  // HTTP and gRPC
  bool http2 = false;
  std::string host;  // the authority; empty: the cluster's name
  // HTTP
  std::string method = "GET";
  std::string path;
  std::vector<std::pair<std::string, std::string>> headers_to_add;  // lower case names
  std::vector<std::string> headers_to_remove;
  std::vector<StatusRange> expected;  // empty: 200
  std::vector<StatusRange> retriable;
  size_t response_buffer_bytes = 1024;  // of the body, in which `receive` is looked for; 0: all
  // gRPC
  std::string service;

  // TCP and HTTP
  std::string send;
  std::vector<std::string> receive;  // in this order, whatever is between
};

}  // namespace remora::upstream
