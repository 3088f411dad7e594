// What a handshake's callbacks read and leave: the half of a connection that OpenSSL calls back
// into. Owned by the transport, which the SSL object's app data leads to; its connection's thread.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"
#include "proxy/tls/certificate_choice.h"
#include "proxy/tls/certificate_identity.h"
#include "proxy/tls/known_chains.h"
#include "proxy/tls/openssl_handles.h"
#include "proxy/tls/peer_cache.h"
#include "proxy/tls/session_store.h"
#include "proxy/tls/validator.h"

namespace remora::tls {

/// Per-thread things that the connections of one factory share.
struct ThreadState {
  PeerCache peers;
  KnownChains chains;
  SessionStore sessions;
};

struct Handshake {
  Handshake(ContextPtr context, stats::Slab<stats::TlsSchema>& stats, ThreadState& thread)
      : context(std::move(context)), stats(stats), thread(thread) {}

  const ContextPtr context;
  stats::Slab<stats::TlsSchema>& stats;
  ThreadState& thread;

  // --- asked of the peer ---
  std::string server_name;       // client: SNI; empty: none
  std::string instead_of_names;  // client: auto_sni_san_validation
  std::string required_name;     // client: TransportOptions::required_san
  uint32_t max_session_keys = 0;

  // --- learned ---
  std::shared_ptr<const ReadCertificate> peer;
  bool verified = false;
  int64_t valid_until_s = std::numeric_limits<int64_t>::max();
  std::string reason;  // why the peer's certificate was refused
  const OwnCertificate* shown = nullptr;
  StapleAction staple = StapleAction::NotAsked;

  ValidationRequest request() const;

  static Handshake& of(const SSL* ssl) {
    return *static_cast<Handshake*>(SSL_get_app_data(const_cast<SSL*>(ssl)));
  }
};

/// Whether the peer of a session may come back with it: names as of now, and nothing of its chain
/// ended. Fills in what was learned.
bool may_resume(Handshake& handshake, X509* peer, bool verified, int64_t valid_until_s);
/// The same for a session of a server, by the note that it carries.
bool may_resume(Handshake& handshake, SSL_SESSION& session);

/// Hangs the callbacks onto a context.
void install_verification(SSL_CTX& context);
void install_server_callbacks(SSL_CTX& context, const Context& owner);
void install_client_callbacks(SSL_CTX& context);

}  // namespace remora::tls
