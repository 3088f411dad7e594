// TLS over a socket, as a connection's transport. Made by the factories; owned by its Connection,
// whose thread it is on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/net/tls_facts.h"
#include "proxy/net/transport.h"
#include "proxy/tls/context_internal.h"
#include "proxy/tls/handshake.h"
#include "proxy/tls/openssl_handles.h"
#include "proxy/tls/socket_bio.h"
#include "proxy/tls/transport_factory.h"

namespace remora::tls {

/// What a factory's transports share; they may outlive the factory.
struct FactoryState {
  struct alignas(64) Thread : ThreadState {};

  FactoryState(std::shared_ptr<ContextSlots> slots, std::shared_ptr<TlsStats> stats)
      : slots(std::move(slots)), stats(std::move(stats)), threads(this->slots->threads()) {}

  const std::shared_ptr<ContextSlots> slots;
  const std::shared_ptr<TlsStats> stats;
  mutable std::vector<Thread> threads;
};

/// The intermediates that a server's session remembers; null when it remembers nothing.
X509Stack chain_of_session(const SSL& ssl);

/// What the connection has proved, read from OpenSSL once the handshake is over.
class Facts final : public TlsFacts {
 public:
  void fill(const SSL& ssl, const Handshake& handshake);
  std::string peer_pem() const override;
  std::string peer_chain_pem() const override;

 private:
  const SSL* ssl_ = nullptr;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(int fd, std::shared_ptr<const FactoryState> factory, ContextPtr context,
               uint32_t thread);
  ~TlsTransport() override;
  /// Clients, before start().
  void set_client(const ClientSettings& settings, const TransportOptions& options);

  IoResult read(Buffer& into, size_t max_bytes, bool peer_hung_up) override;
  IoResult write(Buffer& from, bool end_stream) override;
  bool start() override { return false; }
  bool ready() const override { return state_ == State::Open; }
  std::string_view negotiated_protocol() const override;
  std::string_view failure_reason() const override { return failure_; }
  bool secure() const override { return true; }
  const TlsFacts* tls() const override { return ready() ? &facts_ : nullptr; }

  bool still_trusted(uint32_t thread) const;

 private:
  enum class State : uint8_t { Handshaking, Open, Failed };

  void offer_protocols(std::string_view names);
  IoResult::Next advance_handshake();
  void complete_handshake();
  bool session_still_good();
  void keep_renewed_session();
  IoResult::Next on_failure(int result);
  IoResult::Next fail_with(std::string_view reason);
  bool send_close_notify();
  void count_handshake();

  const std::shared_ptr<const FactoryState> factory_;
  SocketIo io_;
  Handshake handshake_;
  SslHandle ssl_;
  State state_ = State::Handshaking;
  bool close_notify_sent_ = false;
  const SSL_SESSION* offered_ = nullptr;  // client: the session to resume; only compared
  size_t retry_bytes_ =
      0;  // OpenSSL has sealed a record of so many bytes that the socket did not take whole
  Facts facts_;
  std::string failure_;
};

}  // namespace remora::tls
