// Whom a request comes from, and which of its headers to believe: x-forwarded-for,
// x-forwarded-proto, the x-envoy-* family, x-request-id and x-forwarded-client-cert, as Envoy's
// connection manager treats them. Pure functions of (configuration, headers, connection). The
// stream's worker thread.
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
};

struct Origin {
  Address remote;         // the trusted client address
  bool internal = false;  // x-envoy-internal: true
  bool edge = false;      // first proxy of the mesh: the client may say nothing about it
};

/// Completes and cleans the headers of `request`. `internal_only` are the route configuration's
/// names.
Origin apply_forwarded(const HttpConfig& config, const Peer& peer,
                       std::span<const std::string> internal_only, http::HeaderMap& request);

/// The address that stands `hops` from the end of an x-forwarded-for list; none when it is not an
/// address.
Address address_from_end(std::string_view forwarded_for, uint32_t hops);

/// Sets x-request-id as configured; `random` are two draws.
void apply_request_id(const HttpConfig& config, const Origin& origin, uint64_t random_high,
                      uint64_t random_low, http::HeaderMap& request);

/// A version 4 UUID made of 128 random bits, in `arena`.
std::string_view make_uuid(uint64_t high, uint64_t low, Arena& arena);

}  // namespace remora::connection_manager
