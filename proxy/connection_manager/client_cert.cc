#include "proxy/connection_manager/client_cert.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace remora::connection_manager {
namespace {

using http::HeaderId;
using Mode = HttpConfig::ClientCert;

/// Builds "Key=value;Key=value".
class Element {
 public:
  void add(std::string_view key, std::string_view value) {
    begin(key);
    // A name with separators in it must not read as further elements.
    if (value.find_first_of(",;\"") == std::string_view::npos) {
      text_ += value;
      return;
    }
    text_ += '"';
    for (char c : value) {
      if (c == '"' || c == '\\') text_ += '\\';
      text_ += c;
    }
    text_ += '"';
  }
  /// `value` is free of quotes, or has them escaped.
  void add_quoted(std::string_view key, std::string_view value) {
    begin(key);
    text_ += '"';
    text_ += value;
    text_ += '"';
  }
  const std::string& text() const { return text_; }
  /// No byte ends the header or says something else to another reader.
  bool fit_for_header() const {
    return std::ranges::all_of(text_, [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte >= 0x20 && byte != 0x7f;
    });
  }

 private:
  void begin(std::string_view key) {
    if (!text_.empty()) text_ += ';';
    text_ += key;
    text_ += '=';
  }

  std::string text_;
};

/// True when `text` can stand between quotes as it is: each quote and each backslash in it is one
/// of an escaped pair.
bool is_escaped(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') return false;
    if (text[i] == '\\' && ++i == text.size()) return false;
  }
  return true;
}

Element describe(const HttpConfig::ClientCertDetails& details, const TlsFacts& tls) {
  const CertificateIdentity& peer = *tls.peer;
  Element out;
  if (tls.local != nullptr) {
    for (const std::string& uri : tls.local->uri_sans) out.add("By", uri);
  }
  if (!peer.sha256_fingerprint.empty()) out.add("Hash", peer.sha256_fingerprint);
  if (details.cert) {
    if (const std::string pem = tls.peer_pem(); !pem.empty()) out.add_quoted("Cert", pem);
  }
  if (details.chain) {
    if (const std::string pem = tls.peer_chain_pem(); !pem.empty()) out.add_quoted("Chain", pem);
  }
  if (details.subject) {
    if (is_escaped(peer.subject)) {
      out.add_quoted("Subject", peer.subject);
    } else {
      out.add("Subject", peer.subject);
    }
  }
  if (details.uri) {
    if (peer.uri_sans.empty()) out.add("URI", {});
    for (const std::string& uri : peer.uri_sans) out.add("URI", uri);
  }
  if (details.dns) {
    for (const std::string& name : peer.dns_sans) out.add("DNS", name);
  }
  return out;
}

}  // namespace

void apply_client_cert(const HttpConfig& config, const TlsFacts* tls, http::HeaderMap& request) {
  constexpr HeaderId kHeader = HeaderId::XForwardedClientCert;
  const bool proved = tls != nullptr && tls->peer_verified && tls->peer != nullptr;
  const bool forwards = config.client_cert == Mode::AlwaysForwardOnly ||
                        (proved && (config.client_cert == Mode::ForwardOnly ||
                                    config.client_cert == Mode::AppendForward));
  if (!forwards) {
    request.remove(kHeader);
  } else if (request.count(kHeader) > 1) {
    request.set(kHeader, *request.joined("x-forwarded-client-cert"));
  }
  if (!proved) return;
  if (config.client_cert != Mode::AppendForward && config.client_cert != Mode::SanitizeSet) return;
  const Element element = describe(config.client_cert_details, *tls);
  if (!element.fit_for_header()) {
    request.remove(kHeader);
  } else if (!element.text().empty()) {
    request.append(kHeader, request.arena().copy(element.text()));
  }
}

}  // namespace remora::connection_manager
