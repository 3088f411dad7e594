// What a connection has proved, as values. Its thread.
#include <absl/strings/str_cat.h>

#include "proxy/tls/tls_transport.h"

namespace remora::tls {

X509Stack chain_of_session(const SSL& ssl) {
  void* note = nullptr;
  size_t size = 0;
  SSL_SESSION* session = SSL_get_session(&ssl);
  if (session == nullptr || !SSL_is_server(&ssl)) return nullptr;
  SSL_SESSION_get0_ticket_appdata(session, &note, &size);
  const auto known = decode_session_note({static_cast<const char*>(note), size});
  return known ? chain_of(known->chain_der) : nullptr;
}

void Facts::fill(const SSL& ssl, const Handshake& handshake) {
  ssl_ = &ssl;
  version = SSL_get_version(&ssl);
  cipher = SSL_get_cipher_name(&ssl);
  resumed = SSL_session_reused(&ssl) != 0;
  peer = identity_of(handshake.peer);
  peer_verified = peer != nullptr && handshake.verified;
  const Context& context = *handshake.context;
  const OwnCertificate* shown = handshake.shown;
  if (shown == nullptr && !context.own.empty()) shown = &context.own.front();
  if (shown != nullptr) local = identity_of(shown->read);
  if (SSL_version(&ssl) >= TLS1_3_VERSION) return;
  unsigned int size = 0;
  const unsigned char* id = SSL_SESSION_get_id(SSL_get_session(&ssl), &size);
  session_id = to_hex({reinterpret_cast<const char*>(id), size});
}

std::string Facts::peer_pem() const {
  X509* leaf = SSL_get0_peer_certificate(ssl_);
  return leaf == nullptr ? std::string() : url_encoded_pem_of(*leaf);
}

std::string Facts::peer_chain_pem() const {
  X509* leaf = SSL_get0_peer_certificate(ssl_);
  if (leaf == nullptr) return {};
  std::string text = url_encoded_pem_of(*leaf);
  const X509Stack remembered = chain_of_session(*ssl_);
  const STACK_OF(X509)* chain = remembered ? remembered.get() : SSL_get_peer_cert_chain(ssl_);
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* certificate = sk_X509_value(chain, i);
    if (X509_cmp(certificate, leaf) != 0) text += url_encoded_pem_of(*certificate);
  }
  return text;
}

}  // namespace remora::tls
