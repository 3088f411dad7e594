// What stands between a connection and its socket: plain bytes, or TLS (proxy/tls). Owned by its
// Connection; that worker's thread only. Virtual because two real implementations exist.
// CONTRACT.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/net/config_source.h"
#include "proxy/net/tls_facts.h"

namespace remora {

struct ConnectionFacts;

struct IoResult {
  enum class Next : uint8_t {
    Ok,          // `bytes` moved; call again for more
    WouldBlock,  // `bytes` moved, and the socket is drained (reading) or full (writing)
    Error,       // the connection is broken (reset, bad record)
  };
  Next next = Next::Ok;
  size_t bytes = 0;
  bool end_of_stream = false;  // reading: the peer sent FIN (or close_notify); after `bytes`
};

class Transport {
 public:
  virtual ~Transport() = default;

  /// Reads at most `max_bytes` (about) into `into`. `peer_hung_up` says that a FIN is known to
  /// wait, so that a short read is not taken for a drained socket.
  virtual IoResult read(Buffer& into, size_t max_bytes, bool peer_hung_up) = 0;

  /// Writes from `from`, consuming what the socket took, with one gathered system call when
  /// possible. `end_stream`: after the last byte shut down the sending side.
  virtual IoResult write(Buffer& from, bool end_stream) = 0;

  /// While not ready(), read() and write() carry the handshake on; at every edge the connection
  /// calls write() with nothing to write for that. An Error leaves errno or failure_reason()
  /// behind.

  /// The TCP connection stands; a TLS client starts its handshake. Answers whether application
  /// bytes may flow at once; otherwise ready() turns true in a later read or write.
  virtual bool start() = 0;
  virtual bool ready() const = 0;

  virtual std::string_view negotiated_protocol() const = 0;  // ALPN; empty for none
  virtual std::string_view failure_reason() const = 0;       // empty while nothing failed
  virtual bool secure() const = 0;
  /// What TLS has agreed on, once ready(); null for plain bytes. Lives as long as the transport.
  virtual const TlsFacts* tls() const { return nullptr; }
  /// What is inside a transport that only adds something around another one (PROXY protocol); else
  /// itself.
  virtual const Transport& innermost() const { return *this; }
};

/// What one connection adds to its factory's configuration. Views need live only during make().
struct TransportOptions {
  /// Index of the calling thread (WorkerContext::index()): secrets that rotate are kept once per
  /// thread.
  uint32_t worker = 0;
  /// Upstream: SNI instead of whatever is configured (auto_sni); empty: as configured.
  std::string_view server_name = {};
  /// Upstream: the name of the host itself, for auto_host_sni; empty: it has none.
  std::string_view host_name = {};
  /// Upstream: ALPN to offer when none is configured ("h2"); empty: none.
  std::string_view alpn = {};
  bool alpn_decides = false;  // it is offered whatever is configured
  /// Upstream: a DNS or IP name that the peer's certificate must have besides
  /// (auto_sni_san_validation); empty: none.
  std::string_view required_san = {};
  /// Upstream: what made the proxy connect, for a PROXY protocol header; null: the proxy itself.
  const ConnectionFacts* downstream = nullptr;
};

/// Makes the transports of one listener filter chain or one cluster; immutable, shared by workers.
class TransportFactory {
 public:
  virtual ~TransportFactory() = default;
  /// `fd` stays owned by the connection.
  virtual std::unique_ptr<Transport> make(int fd, const TransportOptions& options) const = 0;
  virtual bool secure() const = 0;
  /// Secrets that SDS brings: the listener or cluster warms until they have come.
  virtual std::vector<ResourceRef> secrets() const { return {}; }
  /// Upstream: a connection says for whom it was made (TransportOptions::downstream), so it serves
  /// nobody else.
  virtual bool tells_downstream() const { return false; }
};

std::shared_ptr<const TransportFactory> raw_transport_factory();

}  // namespace remora
