// A listener as compiled from xDS: immutable, made on the main thread, shared by the workers.
// Document: envoy.config.listener.v3.Listener.
// CONTRACT.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/net/address.h"
#include "proxy/net/filter.h"
#include "proxy/net/filter_chain_match.h"
#include "proxy/net/socket.h"
#include "proxy/net/transport.h"

namespace remora {

namespace telemetry {
class AccessLog;
}
namespace stats {
template <class Schema>
class Group;
struct ListenerSchema;
}  // namespace stats

struct FilterChainConfig {
  std::string name;
  FilterChainMatchSpec match;  // proxy/net/filter_chain_match.h
  std::shared_ptr<const TransportFactory> transport;
  std::vector<std::shared_ptr<const NetworkFilterFactory>> filters;  // last one terminal()
  uint64_t transport_connect_timeout_ms = 0;                         // 0: none
  uint64_t content_hash = 0;  // of the serialized chain: equal chains are kept over an update
};

enum class TrafficDirection : uint8_t { Unspecified, Inbound, Outbound };

struct ListenerConfig {
  std::string name;
  std::string stat_prefix;         // empty: the address, as Envoy spells it
  std::vector<Address> addresses;  // first is the main one; others are additional_addresses
  bool ipv4_compat = false;
  bool bind_to_port = true;
  bool use_original_dst = false;
  bool transparent = false;
  bool freebind = false;
  bool reuse_port = true;
  std::optional<uint32_t> unix_mode;
  TrafficDirection direction = TrafficDirection::Unspecified;
  uint32_t per_connection_buffer_limit = 1024 * 1024;  // bytes
  uint32_t backlog = 4096;
  uint32_t max_accepts_per_event = 0;            // 0: no bound
  uint64_t listener_filters_timeout_ms = 15000;  // 0: none
  bool continue_on_listener_filters_timeout = false;
  bool drain_modify_only = false;  // drain_type MODIFY_ONLY
  bool ignore_global_connection_limit = false;
  std::vector<SocketOption> socket_options;
  TcpKeepalive keepalive;
  std::vector<std::shared_ptr<const ListenerFilterFactory>> listener_filters;
  std::vector<FilterChainConfig> chains;
  std::optional<FilterChainConfig> default_chain;
  FilterChainMatcher matcher;  // built over `chains` by finish()
  std::vector<std::shared_ptr<telemetry::AccessLog>> access_logs;
  /// "listener.ADDRESS"; never null.
  std::shared_ptr<stats::Group<stats::ListenerSchema>> stats;
  uint64_t content_hash = 0;  // of everything; equal means "nothing changed"
  uint64_t socket_hash =
      0;  // of what needs new sockets (addresses, options); equal means in-place update
};

}  // namespace remora
