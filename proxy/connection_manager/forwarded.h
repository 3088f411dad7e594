// Whom a request comes from, and which of its headers to believe: x-forwarded-for,
// x-forwarded-proto, x-forwarded-port, via, the x-envoy-* family and x-forwarded-client-cert, as
// Envoy's connection manager treats them. Pure functions of (configuration, headers, connection).
// The stream's worker thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "proxy/connection_manager/config.h"
#include "proxy/http/header_map.h"
#include "proxy/net/address.h"
#include "proxy/net/tls_facts.h"

namespace remora::connection_manager {

/// The connection that a request came on.
struct Peer {
  const Address& remote;
  bool secure = false;
  const TlsFacts* tls = nullptr;  // what the connection proved; null over plain ones
  uint16_t local_port = 0;        // that the client meant
  bool local_restored = false;    // somebody in front told it
};

struct Origin {
  Address remote;              // the trusted client address
  bool internal = false;       // x-envoy-internal: true
  bool edge = false;           // first proxy of the mesh: the client may say nothing about it
  uint16_t reject_status = 0;  // not 0: who it comes from could not be told
};

/// Completes and cleans the headers of `request`. `internal_only` are the route configuration's
/// names.
Origin apply_forwarded(const HttpConfig& config, const Peer& peer,
                       std::span<const std::string> internal_only, http::HeaderMap& request);

}  // namespace remora::connection_manager
