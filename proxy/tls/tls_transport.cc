// Moves bytes between a Buffer and OpenSSL. Edge-triggered: reading goes on until neither the
// socket nor OpenSSL holds a whole record more.
#include "proxy/tls/tls_transport.h"

#include <absl/strings/str_cat.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "proxy/tls/handshake_library.h"

namespace remora::tls {
namespace {

using Stat = stats::TlsSchema::Stat;
using Next = IoResult::Next;

/// A tail block with less room than this is left alone.
constexpr size_t kMinReadBytes = 2048;
/// A piece of at least this size is a record of its own; smaller ones are put together first.
constexpr size_t kWholePieceBytes = 8192;

/// While it lives, OpenSSL looks into the library of handshakes where nobody says in which: to read
/// the certificate in a session it is asked for no other.
class InHandshakeLibrary {
 public:
  InHandshakeLibrary() : before_(OSSL_LIB_CTX_set0_default(handshake_library())) {}
  ~InHandshakeLibrary() { OSSL_LIB_CTX_set0_default(before_); }
  InHandshakeLibrary(const InHandshakeLibrary&) = delete;
  InHandshakeLibrary& operator=(const InHandshakeLibrary&) = delete;

 private:
  OSSL_LIB_CTX* const before_;
};

/// How much to seal next, contiguous at the front of `from`.
std::string_view next_record(Buffer& from, size_t at_least) {
  const std::string_view front = from.front();
  if (at_least > 0) return from.linearize(at_least);
  if (front.size() == from.size() || front.size() >= kWholePieceBytes) {
    return front.substr(0, Buffer::kMaxReserve);
  }
  return from.linearize(std::min(from.size(), Buffer::kMaxReserve));
}

}  // namespace

TlsTransport::TlsTransport(int fd, std::shared_ptr<const FactoryState> factory, ContextPtr context,
                           uint32_t thread)
    : factory_(std::move(factory)),
      handshake_(std::move(context), factory_->stats->at(thread), factory_->threads[thread]),
      ssl_(SSL_new(handshake_.context->ssl.get())) {
  io_.fd = fd;
  BIO* bio = ssl_ == nullptr ? nullptr : new_socket_bio(*handshake_.context->socket_method, io_);
  if (bio == nullptr) {
    fail_with("out of memory");
    return;
  }
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), &handshake_);
  if (handshake_.context->server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

TlsTransport::~TlsTransport() {
  // OpenSSL takes a connection that ends without a goodbye for one whose session is not to be
  // resumed.
  if (state_ == State::Open)
    SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

void TlsTransport::set_client(const ClientSettings& settings, const TransportOptions& options) {
  if (state_ == State::Failed) return;
  handshake_.server_name = settings.sni;
  if (settings.auto_host_sni && !options.host_name.empty()) {
    handshake_.server_name = options.host_name;
  }
  if (!options.server_name.empty()) handshake_.server_name = options.server_name;
  handshake_.required_name = options.required_san;
  handshake_.max_session_keys = settings.max_session_keys;
  const std::string& name = handshake_.server_name;
  if (settings.auto_sni_san_validation) handshake_.instead_of_names = name;
  if (!name.empty() && SSL_set_tlsext_host_name(ssl_.get(), name.c_str()) != 1) {
    fail_with(absl::StrCat("Failed to create upstream TLS due to failure setting SNI: ",
                           take_last_error()));
    return;
  }
  const bool asked = settings.alpn.empty() || options.alpn_decides;
  if (asked && !options.alpn.empty()) offer_protocols(options.alpn);
  if (settings.max_session_keys == 0) return;
  auto stored = handshake_.thread.sessions.take(handshake_.context, name);
  if (!stored) return;
  X509* peer = SSL_SESSION_get0_peer(stored->session.get());
  if (!may_resume(handshake_, peer, stored->verified, stored->valid_until_s)) return;
  offered_ = stored->session.get();
  SSL_set_session(ssl_.get(), stored->session.get());
}

/// What the user of the connection speaks, when the configuration says nothing.
void TlsTransport::offer_protocols(std::string_view names) {
  std::string wire;
  for (size_t at = 0; at < names.size(); ++at) {
    const size_t end = std::min(names.find(',', at), names.size());
    wire += static_cast<char>(end - at);
    wire += names.substr(at, end - at);
    at = end;
  }
  SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                      static_cast<unsigned int>(wire.size()));
}

// --- handshake ---

Next TlsTransport::advance_handshake() {
  if (state_ == State::Failed) {
    errno = io_.error != 0 ? io_.error : ECONNABORTED;
    return Next::Error;
  }
  // A FIN may have come with the same edge as the bytes, and nobody says so while there is a
  // handshake.
  io_.hung_up = true;
  ERR_clear_error();
  const int result = [this] {
    const InHandshakeLibrary here;
    return SSL_do_handshake(ssl_.get());
  }();
  if (result != 1) return on_failure(result);
  complete_handshake();
  return state_ == State::Open ? Next::Ok : Next::Error;
}

void TlsTransport::complete_handshake() {
  if (SSL_session_reused(ssl_.get())) {
    if (!session_still_good()) return;
    keep_renewed_session();
  } else if (SSL_get0_peer_certificate(ssl_.get()) == nullptr) {
    handshake_.peer = nullptr;
    handshake_.verified = false;
  }
  state_ = State::Open;
  facts_.fill(*ssl_, handshake_);
  count_handshake();
}

/// A ticket was judged before it was taken; a session that the server remembered was not.
bool TlsTransport::session_still_good() {
  if (!handshake_.context->server) return true;
  SSL_SESSION* session = SSL_get_session(ssl_.get());
  if (may_resume(handshake_, *session)) return true;
  SSL_CTX_remove_session(handshake_.context->ssl.get(), session);
  handshake_.stats.inc(Stat::fail_verify_error);
  fail_with(
      "TLS_error:|verify cert failed: the resumed session is no longer trusted:TLS_error_end");
  errno = ECONNABORTED;
  return false;
}

/// TLS 1.2: a server that resumes may seal its ticket anew, of which OpenSSL tells nobody.
void TlsTransport::keep_renewed_session() {
  SSL_SESSION* session = SSL_get_session(ssl_.get());
  if (handshake_.context->server || SSL_version(ssl_.get()) >= TLS1_3_VERSION) return;
  if (session == offered_ || SSL_SESSION_is_resumable(session) != 1) return;
  SSL_SESSION_up_ref(session);
  handshake_.thread.sessions.keep(
      handshake_.context, handshake_.server_name,
      {SessionHandle(session), handshake_.peer, handshake_.verified, handshake_.valid_until_s},
      handshake_.max_session_keys);
}

Next TlsTransport::fail_with(std::string_view reason) {
  state_ = State::Failed;
  failure_ = reason;
  return Next::Error;
}

/// What SSL_do_handshake, SSL_read or SSL_write could not do; leaves errno or failure_ behind.
Next TlsTransport::on_failure(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return Next::WouldBlock;
  const QueuedErrors errors = take_errors();
  const bool handshaking = state_ == State::Handshaking;
  state_ = State::Failed;
  // A peer that only left is counted elsewhere, as one over plain TCP is.
  if (!errors.any || errors.system_only || io_.error != 0) {
    errno = io_.error != 0 ? io_.error : ECONNRESET;
    return Next::Error;
  }
  failure_ = absl::StrCat("TLS_error:", errors.text);
  if (errors.verify_failed && !handshake_.reason.empty()) {
    absl::StrAppend(&failure_, ":", handshake_.reason);
  } else if (errors.no_peer_certificate) {
    absl::StrAppend(&failure_, ":peer did not provide required client certificate");
  }
  absl::StrAppend(&failure_, ":TLS_error_end");
  if (errors.no_peer_certificate) handshake_.stats.inc(Stat::fail_verify_no_cert);
  const bool counted = errors.no_peer_certificate || (errors.verify_failed && handshaking);
  if (!counted) handshake_.stats.inc(Stat::connection_error);
  errno = ECONNABORTED;
  return Next::Error;
}

// --- bytes ---

IoResult TlsTransport::read(Buffer& into, size_t max_bytes, bool peer_hung_up) {
  IoResult result;
  io_.begin(peer_hung_up, state_ == State::Open);
  if (state_ != State::Open) {
    result.next = advance_handshake();
    if (result.next != Next::Ok) return result;
    io_.begin(peer_hung_up, true);
  }
  while (result.bytes < max_bytes) {
    const std::span<char> room = into.reserve(std::min(kMinReadBytes, max_bytes - result.bytes));
    const size_t wanted = std::min(room.size(), max_bytes - result.bytes);
    ERR_clear_error();
    size_t got = 0;
    const int outcome = SSL_read_ex(ssl_.get(), room.data(), wanted, &got);
    into.commit(outcome == 1 ? got : 0);
    result.bytes += got;
    if (outcome == 1) continue;
    // close_notify, or a FIN without one: Envoy takes both for the end, and so do the peers that
    // leave it out.
    if (SSL_get_error(ssl_.get(), outcome) == SSL_ERROR_ZERO_RETURN) {
      result.end_of_stream = true;
      result.next = Next::WouldBlock;
      return result;
    }
    result.next = on_failure(outcome);
    // A ticket makes OpenSSL take buffers that only the next write would give back.
    if (result.bytes == 0 && result.next == Next::WouldBlock) SSL_free_buffers(ssl_.get());
    return result;
  }
  return result;
}

IoResult TlsTransport::write(Buffer& from, bool end_stream) {
  IoResult result;
  io_.begin(false, false);
  if (state_ != State::Open) {
    result.next = advance_handshake();
    if (result.next != Next::Ok || from.empty()) return result;
  }
  while (!from.empty() && !io_.full) {
    const std::string_view record = next_record(from, retry_bytes_);
    ERR_clear_error();
    size_t sent = 0;
    const int outcome = SSL_write_ex(ssl_.get(), record.data(), record.size(), &sent);
    if (outcome != 1) {
      result.next = on_failure(outcome);
      retry_bytes_ = result.next == Next::WouldBlock ? record.size() : 0;
      return result;
    }
    retry_bytes_ = 0;
    from.consume(sent);
    result.bytes += sent;
  }
  if (!from.empty() || !io_.send_held() || (end_stream && !send_close_notify())) {
    result.next = io_.error != 0 ? Next::Error : Next::WouldBlock;
    errno = io_.error;
  }
  return result;
}

/// Whether it is on its way. The socket stays open for what the peer still sends, as Envoy's does.
bool TlsTransport::send_close_notify() {
  if (close_notify_sent_) return true;
  ERR_clear_error();
  const int outcome = SSL_shutdown(ssl_.get());
  if (outcome < 0 && SSL_get_error(ssl_.get(), outcome) == SSL_ERROR_WANT_WRITE) return false;
  ERR_clear_error();
  close_notify_sent_ = true;
  return true;
}

std::string_view TlsTransport::negotiated_protocol() const {
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  if (ready()) SSL_get0_alpn_selected(ssl_.get(), &protocol, &size);
  return {reinterpret_cast<const char*>(protocol), size};
}

// --- afterwards ---

bool TlsTransport::still_trusted(uint32_t thread) const {
  const ContextPtr& now = factory_->slots->at(thread);
  if (now == handshake_.context || state_ != State::Open) return true;
  if (now == nullptr) return false;
  if (now->trust() == handshake_.context->trust()) return true;
  X509* leaf = SSL_get0_peer_certificate(ssl_.get());
  if (leaf == nullptr) return !now->demands_certificate;
  ValidationRequest request = handshake_.request();
  request.ignore_time = true;
  const X509Stack remembered = chain_of_session(*ssl_);
  STACK_OF(X509)* chain = remembered ? remembered.get() : SSL_get_peer_cert_chain(ssl_.get());
  return now->validator.verify({leaf, chain, handshake_.peer.get()}, request).accepted;
}

void TlsTransport::count_handshake() {
  stats::Slab<stats::TlsSchema>& stats = handshake_.stats;
  stats.inc(Stat::handshake);
  if (SSL_session_reused(ssl_.get())) stats.inc(Stat::session_reused);
  if (handshake_.peer == nullptr) stats.inc(Stat::no_certificate);
  if (SSL_version(ssl_.get()) == TLS1_2_VERSION) stats.inc(Stat::tls12);
  if (SSL_version(ssl_.get()) == TLS1_3_VERSION) stats.inc(Stat::tls13);
  static constexpr std::pair<uint16_t, Stat> kCiphers[] = {
      {0x1301, Stat::tls_aes_128_gcm_sha256},        {0x1302, Stat::tls_aes_256_gcm_sha384},
      {0x1303, Stat::tls_chacha20_poly1305_sha256},  {0xc02b, Stat::ecdhe_ecdsa_aes128_gcm_sha256},
      {0xc02c, Stat::ecdhe_ecdsa_aes256_gcm_sha384}, {0xcca9, Stat::ecdhe_ecdsa_chacha20_poly1305},
      {0xc02f, Stat::ecdhe_rsa_aes128_gcm_sha256},   {0xc030, Stat::ecdhe_rsa_aes256_gcm_sha384},
      {0xcca8, Stat::ecdhe_rsa_chacha20_poly1305},
  };
  const SSL_CIPHER* used = SSL_get_current_cipher(ssl_.get());
  for (const auto& [id, stat] : kCiphers) {
    if (used != nullptr && SSL_CIPHER_get_protocol_id(used) == id) stats.inc(stat);
  }
}

}  // namespace remora::tls
