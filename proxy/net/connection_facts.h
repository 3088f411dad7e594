// What is known of a downstream connection besides its bytes: filled by the accept, the listener
// filters and the transport; read by filter-chain matching, policy and logs. Owned by the
// downstream connection. CONTRACT.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/filter_state.h"
#include "proxy/base/metadata.h"
#include "proxy/net/address.h"
#include "proxy/net/tls_facts.h"

namespace remora {

/// Of a ClientHello, as tls_inspector saw it; empty: not asked for.
struct TlsFingerprints {
  std::string ja3;  // MD5, hexadecimal
  std::string ja4;
};

struct ConnectionFacts {
  Address local;                      // destination: original one after original_dst restored it
  Address direct_local;               // destination of the socket itself
  Address remote;                     // source; from PROXY protocol when that was honoured
  Address direct_remote;              // source of the socket itself
  bool local_restored = false;        // original_dst changed `local`
  std::string requested_server_name;  // SNI, lower case
  std::string transport_protocol;     // "raw_buffer", "tls", or "" before an inspector spoke
  std::vector<std::string>
      application_protocols;           // ALPN offered (tls_inspector) or found (http_inspector)
  std::string_view filter_chain_name;  // of the chain chosen; lives in the listener's snapshot
  std::string_view listener_name;
  uint64_t connection_id = 0;
  WallNs accepted_at_ns = 0;
  std::string_view transport_failure;  // downstream TLS failure
  const TlsFacts* tls = nullptr;       // once the handshake is over; null over plain bytes
  std::unique_ptr<TlsFingerprints> fingerprints;  // when tls_inspector was asked for them
  Metadata metadata;                              // left by listener and network filters
  FilterState filter_state;                       // likewise
};

}  // namespace remora
