// OpenSSL's callbacks during a handshake: the peer's certificate, ours, tickets, ALPN, sessions.
// The connection's thread.
#include "proxy/tls/handshake.h"

#include <openssl/err.h>

#include <algorithm>
#include <ctime>

#include "proxy/tls/context_internal.h"

namespace remora::tls {
namespace {

using Stat = stats::TlsSchema::Stat;

void count(Handshake& handshake, Verdict::Failure failure) {
  switch (failure) {
    case Verdict::Failure::None:
      return;
    case Verdict::Failure::Chain:
      handshake.stats.inc(Stat::fail_verify_error);
      return;
    case Verdict::Failure::Names:
      handshake.stats.inc(Stat::fail_verify_san);
      return;
    case Verdict::Failure::Hash:
      handshake.stats.inc(Stat::fail_verify_cert_hash);
      return;
  }
}

/// An RSA key may be kept from signing or from key exchange by its certificate; the handshake must
/// use it as allowed.
bool key_usage_fits(const SSL* ssl, X509* leaf) {
  if ((X509_get_extension_flags(leaf) & EXFLAG_KUSAGE) == 0) return true;
  EVP_PKEY* key = X509_get0_pubkey(leaf);
  if (key == nullptr || !EVP_PKEY_is_a(key, "RSA")) return true;
  const SSL_CIPHER* cipher = SSL_get_pending_cipher(ssl);
  const bool exchanges = cipher != nullptr && SSL_CIPHER_get_kx_nid(cipher) == NID_kx_rsa;
  return (X509_get_key_usage(leaf) & (exchanges ? KU_KEY_ENCIPHERMENT : KU_DIGITAL_SIGNATURE)) != 0;
}

/// Kept in the session as it is made, so that every way of coming back to it finds it.
void leave_note(Handshake& handshake, SSL* ssl, X509* leaf, STACK_OF(X509) * chain) {
  SSL_SESSION* session = SSL_get_session(ssl);
  if (session == nullptr) return;
  const X509Stack intermediates(sk_X509_new_null());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* certificate = sk_X509_value(chain, i);
    if (X509_cmp(certificate, leaf) == 0) continue;
    sk_X509_push(intermediates.get(), share(certificate).release());
  }
  const std::string note =
      encode({handshake.verified, handshake.valid_until_s, der_of(intermediates.get())});
  SSL_SESSION_set1_ticket_appdata(session, note.data(), note.size());
}

int verify_peer(X509_STORE_CTX* store, void*) {
  SSL* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Handshake& handshake = Handshake::of(ssl);
  const Context& context = *handshake.context;
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  STACK_OF(X509)* chain = X509_STORE_CTX_get0_untrusted(store);
  handshake.peer = handshake.thread.peers.read(*leaf);
  Verdict verdict = context.validator.verify({leaf, chain, handshake.peer.get()},
                                             handshake.request(), &handshake.thread.chains);
  if (verdict.accepted && context.enforce_rsa_key_usage && !key_usage_fits(ssl, leaf)) {
    verdict.failure = Verdict::Failure::Chain;
    verdict.accepted = false;
    verdict.x509_error = X509_V_ERR_INVALID_PURPOSE;
    verdict.reason = "verify cert failed: KEY_USAGE_BIT_INCORRECT";
  }
  count(handshake, verdict.failure);
  handshake.verified = verdict.verified && verdict.accepted;
  handshake.valid_until_s = verdict.valid_until_s;
  X509_STORE_CTX_set_error(store, verdict.accepted ? X509_V_OK : verdict.x509_error);
  if (!verdict.accepted) {
    handshake.reason = std::move(verdict.reason);
    return 0;
  }
  if (context.server) leave_note(handshake, ssl, leaf, chain);
  return 1;
}

// --- servers ---

void add_curve(std::vector<int>& curves, int code) {
  switch (code) {
    case 0x0403:
      curves.push_back(NID_X9_62_prime256v1);
      return;
    case 0x0503:
      curves.push_back(NID_secp384r1);
      return;
    case 0x0603:
      curves.push_back(NID_secp521r1);
      return;
    default:
      return;
  }
}

bool shares_ecdsa_cipher(SSL* ssl) {
  STACK_OF(SSL_CIPHER)* theirs = SSL_get_client_ciphers(ssl);
  STACK_OF(SSL_CIPHER)* ours = SSL_get_ciphers(ssl);
  for (int i = 0; i < sk_SSL_CIPHER_num(theirs); ++i) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(theirs, i);
    if (SSL_CIPHER_get_auth_nid(cipher) == NID_auth_ecdsa &&
        sk_SSL_CIPHER_find(ours, cipher) >= 0) {
      return true;
    }
  }
  return false;
}

ClientAbilities abilities_of(SSL* ssl) {
  ClientAbilities client;
  client.asks_for_staple = SSL_get_tlsext_status_type(ssl) == TLSEXT_STATUSTYPE_ocsp;
  if (SSL_version(ssl) >= TLS1_3_VERSION) {
    const int offered = SSL_get_sigalgs(ssl, 0, nullptr, nullptr, nullptr, nullptr, nullptr);
    for (int i = 0; i < offered; ++i) {
      unsigned char signature = 0;
      unsigned char hash = 0;
      SSL_get_sigalgs(ssl, i, nullptr, nullptr, nullptr, &signature, &hash);
      add_curve(client.ecdsa_curves, hash << 8 | signature);
    }
    return client;
  }
  std::vector<int> groups(static_cast<size_t>(std::max(0L, SSL_get1_groups(ssl, nullptr))));
  if (!groups.empty()) SSL_get1_groups(ssl, groups.data());
  for (const int group : groups) {
    if (group == NID_X9_62_prime256v1 || group == NID_secp384r1 || group == NID_secp521r1) {
      client.ecdsa_curves.push_back(group);
    }
  }
  if (!shares_ecdsa_cipher(ssl)) client.ecdsa_curves.clear();
  return client;
}

void count(Handshake& handshake, StapleAction action) {
  if (action == StapleAction::NotAsked) return;
  handshake.stats.inc(Stat::ocsp_staple_requests);
  if (action == StapleAction::Omit) handshake.stats.inc(Stat::ocsp_staple_omitted);
  if (action == StapleAction::Show) handshake.stats.inc(Stat::ocsp_staple_responses);
  if (action == StapleAction::Refuse) handshake.stats.inc(Stat::ocsp_staple_failed);
}

int choose_certificate(SSL* ssl, void*) {
  Handshake& handshake = Handshake::of(ssl);
  const Context& context = *handshake.context;
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const CertificateChosen chosen =
      context.choice.choose(name == nullptr ? "" : name, abilities_of(ssl), std::time(nullptr));
  count(handshake, chosen.staple);
  if (chosen.staple == StapleAction::Refuse) return 0;
  handshake.staple = chosen.staple;
  handshake.shown = &context.own[chosen.index];
  if (chosen.index == 0) return 1;  // the context's own
  SSL_certs_clear(ssl);
  const OwnCertificate& own = *handshake.shown;
  return SSL_use_cert_and_key(ssl, own.leaf.get(), own.key.get(), own.chain.get(), 1) == 1 ? 1 : 0;
}

int staple(SSL* ssl, void*) {
  const Handshake& handshake = Handshake::of(ssl);
  if (handshake.staple != StapleAction::Show) return SSL_TLSEXT_ERR_NOACK;
  const std::string& response = handshake.shown->ocsp_response;
  void* copy = OPENSSL_memdup(response.data(), response.size());
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(response.size()));
  return SSL_TLSEXT_ERR_OK;
}

/// Ours are in order of preference; without one in common the connection goes on without ALPN, as
/// Envoy's does.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int offered_size, void* context) {
  const std::string_view ours = static_cast<const Context*>(context)->alpn;
  const std::string_view theirs(reinterpret_cast<const char*>(offered), offered_size);
  const auto next = [](std::string_view list) {
    const size_t size = static_cast<unsigned char>(list.front());
    return list.substr(0, std::min(list.size(), size + 1));
  };
  for (std::string_view left = ours; !left.empty(); left.remove_prefix(next(left).size())) {
    for (std::string_view at = theirs; !at.empty(); at.remove_prefix(next(at).size())) {
      if (next(at) != next(left)) continue;
      *out = reinterpret_cast<const unsigned char*>(next(at).data() + 1);
      *out_size = static_cast<unsigned char>(next(at).size() - 1);
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_NOACK;
}

int seal_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                EVP_MAC_CTX* mac, int sealing) {
  return Handshake::of(ssl).context->tickets(name, iv, cipher, mac, sealing != 0);
}

SSL_TICKET_RETURN open_ticket(SSL* ssl, SSL_SESSION* session, const unsigned char*, size_t,
                              SSL_TICKET_STATUS status, void*) {
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) {
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
  Handshake& handshake = Handshake::of(ssl);
  if (session == nullptr || !may_resume(handshake, *session)) {
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

// --- clients ---

int keep_session(SSL* ssl, SSL_SESSION* session) {
  Handshake& handshake = Handshake::of(ssl);
  if (SSL_SESSION_is_resumable(session) != 1) return 0;
  StoredSession stored{SessionHandle(session), handshake.peer, handshake.verified,
                       handshake.valid_until_s};
  handshake.thread.sessions.keep(handshake.context, handshake.server_name, std::move(stored),
                                 handshake.max_session_keys);
  return 1;  // the reference is ours now
}

}  // namespace

ValidationRequest Handshake::request() const {
  ValidationRequest request;
  request.role = context->server ? PeerRole::Client : PeerRole::Server;
  request.instead_of_names = instead_of_names;
  request.required_name = required_name;
  request.security_level = kSecurityLevel;
  return request;
}

bool may_resume(Handshake& handshake, X509* peer, bool verified, int64_t valid_until_s) {
  const Context& context = *handshake.context;
  handshake.peer = nullptr;
  handshake.verified = false;
  if (peer == nullptr) return context.server && !context.demands_certificate;
  if (valid_until_s <= std::time(nullptr)) return false;
  std::shared_ptr<const ReadCertificate> read = handshake.thread.peers.read(*peer);
  const bool asks = context.validator.wants_certificate() || !handshake.required_name.empty();
  if (asks) {
    const Verdict verdict =
        context.validator.verify_names({peer, nullptr, read.get()}, handshake.request());
    if (!verdict.accepted) return false;
    verified = verified && verdict.verified;
  }
  handshake.peer = std::move(read);
  handshake.verified = verified;
  handshake.valid_until_s = valid_until_s;
  return true;
}

bool may_resume(Handshake& handshake, SSL_SESSION& session) {
  X509* peer = SSL_SESSION_get0_peer(&session);
  void* note = nullptr;
  size_t size = 0;
  SSL_SESSION_get0_ticket_appdata(&session, &note, &size);
  const std::optional<SessionNote> known =
      decode_session_note({static_cast<const char*>(note), size});
  if (peer != nullptr && !known) return false;
  return may_resume(handshake, peer, known && known->verified, known ? known->valid_until_s : 0);
}

void install_verification(SSL_CTX& context) {
  SSL_CTX_set_cert_verify_callback(&context, verify_peer, nullptr);
}

void install_server_callbacks(SSL_CTX& context, const Context& owner) {
  SSL_CTX_set_cert_cb(&context, choose_certificate, nullptr);
  SSL_CTX_set_tlsext_status_cb(&context, staple);
  if (!owner.alpn.empty()) {
    SSL_CTX_set_alpn_select_cb(&context, choose_protocol, const_cast<Context*>(&owner));
  }
  if (!owner.tickets.empty()) SSL_CTX_set_tlsext_ticket_key_evp_cb(&context, seal_ticket);
  SSL_CTX_set_session_ticket_cb(&context, nullptr, open_ticket, nullptr);
}

void install_client_callbacks(SSL_CTX& context) { SSL_CTX_sess_set_new_cb(&context, keep_session); }

}  // namespace remora::tls
