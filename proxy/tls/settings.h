// The TLS settings of a listener's filter chain or of a cluster, without secrets. Plain values
// compiled on the main thread. Documents:
// envoy.extensions.transport_sockets.tls.v3.{DownstreamTlsContext,UpstreamTlsContext,CommonTlsContext}.
// CONTRACT (additive).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace remora::tls {

enum class Version : uint8_t { Tls10, Tls11, Tls12, Tls13 };

struct CommonSettings {
  Version min_version = Version::Tls12;
  Version max_version = Version::Tls13;
  std::vector<std::string>
      cipher_suites;                // OpenSSL names, TLS 1.2 and below; empty: Envoy's defaults
  std::vector<std::string> curves;  // empty: X25519, P-256
  std::vector<std::string> signature_algorithms;  // empty: OpenSSL's
  std::vector<std::string> alpn;                  // preferred first
};

struct ServerSettings : CommonSettings {
  bool require_client_certificate = false;
  bool session_tickets = true;  // !disable_stateless_session_resumption
  bool session_cache = true;    // !disable_stateful_session_resumption
  uint64_t session_timeout_s = 7200;
  bool prefer_client_ciphers = false;
  bool full_scan_certs_on_sni_mismatch = false;
  /// Sessions are resumed only where this is the same, however similar the certificates and trust:
  /// what tells the filter chain from others (its listener and server names).
  std::string session_scope;
  enum class Staple : uint8_t { Lenient, Strict, Must } ocsp_staple = Staple::Lenient;
};

struct ClientSettings : CommonSettings {
  ClientSettings() { max_version = Version::Tls13; }
  std::string sni;
  bool auto_host_sni = false;
  bool auto_sni_san_validation = false;
  uint32_t max_session_keys = 1;  // 0: no resumption
  bool enforce_rsa_key_usage = true;
};

}  // namespace remora::tls
