// The facts of one request (or one TCP session) that logs, policy and filters read. A plain struct,
// filled as they become known; owned by the stream; its worker's thread only. Views live as long as
// the stream. CONTRACT (additive).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/http/codec.h"
#include "proxy/http/failure.h"
#include "proxy/net/connection_facts.h"

namespace remora::http {

/// Which entry of the access log is being written.
enum class LogEntry : uint8_t { NotSet, Start, Periodic, TunnelEstablished, End };

struct StreamInfo {
  const ConnectionFacts* connection = nullptr;
  const HeaderMap* request_headers = nullptr;   // null for TCP
  const HeaderMap* response_headers = nullptr;  // null until known
  const HeaderMap* response_trailers = nullptr;
  Protocol protocol = Protocol::Http11;
  bool is_http = true;

  WallNs start_wall_ns = 0;
  uint64_t start_us = 0;        // monotonic, like all below; 0 means "has not happened"
  uint64_t request_end_us = 0;  // last byte of the request received
  uint64_t upstream_first_tx_us = 0;
  uint64_t upstream_last_tx_us = 0;
  uint64_t upstream_first_rx_us = 0;
  uint64_t upstream_last_rx_us = 0;
  uint64_t response_first_us = 0;  // first byte sent downstream
  uint64_t end_us = 0;

  uint16_t response_code = 0;
  ResponseFlags flags;
  std::string_view response_code_details;  // "via_upstream", a Failure's details
  std::string_view connection_termination_details;
  uint64_t bytes_received = 0;  // body bytes
  uint64_t bytes_sent = 0;
  uint64_t wire_bytes_received = 0;
  uint64_t wire_bytes_sent = 0;

  std::string_view route_name;
  std::string_view virtual_host_name;
  std::string_view virtual_cluster_name;
  std::string_view upstream_cluster;  // name (alt_stat_name does not matter here)
  const Address* upstream_host =
      nullptr;  // address of the host chosen; lives with the stream's snapshot
  const Metadata* upstream_metadata = nullptr;  // of that host; null: none
  Address upstream_local;
  std::string_view upstream_transport_failure;
  std::string_view request_id;
  uint32_t attempt_count = 0;
  uint64_t upstream_connection_id = 0;
  Address remote;  // trusted client address (after XFF); equals connection->remote otherwise
  bool health_check = false;
  /// "10.0.0.1:80": the cluster's host with this address goes before what its policy would choose;
  /// strictly: or else there is none.
  std::string_view override_host;
  bool override_host_strict = false;
  bool scheme_follows_upstream = false;  // :scheme is what the upstream is reached by
  LogEntry log_entry = LogEntry::End;
  std::string_view local_reply_body;  // while a local answer is being made
  /// Left by filters on this stream; what the connection's filters left is in `connection`.
  Metadata dynamic_metadata;
  FilterState filter_state;
  /// What the request wants to become and may: a protocol, or kConnect (upgrade.h); empty: nothing.
  std::string_view tunnel;

  /// Of the stream, or else of its connection.
  const std::string* find_filter_state(std::string_view name) const {
    const std::string* own = filter_state.find(name);
    return own != nullptr || connection == nullptr ? own : connection->filter_state.find(name);
  }
};

}  // namespace remora::http
