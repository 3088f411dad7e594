// Where a resource that a configuration names comes from. A plain value, so that data-path
// configuration can carry it to the managers that subscribe. Document:
// envoy.config.core.v3.ConfigSource. CONTRACT (additive).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace remora {

struct ConfigSource {
  enum class Kind : uint8_t { Ads, Grpc, DeltaGrpc, Path };
  Kind kind = Kind::Ads;
  std::string cluster;  // Grpc, DeltaGrpc: the cluster that serves it
  std::vector<std::pair<std::string, std::string>> initial_metadata;
  std::string path;                           // Path: the file
  std::string watched_directory;              // Path: what to watch instead of the file's directory
  uint64_t initial_fetch_timeout_ms = 15000;  // 0: wait for ever
  bool set_node_on_first_message_only = false;
  bool operator==(const ConfigSource&) const = default;
};

/// A resource by name and where it comes from (an RDS reference of a connection manager, ...).
struct ResourceRef {
  std::string name;
  ConfigSource source;
  std::string stats_prefix =
      {};  // of the subscription's metrics ("http.PREFIX.rds.NAME"); empty: none
};

}  // namespace remora
