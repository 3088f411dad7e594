// x-forwarded-client-cert for any certificate and any header that came: nothing unproved passes,
// and what a slow and obvious reader finds in our element is what the certificate says, whatever
// names it has.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/connection_manager/client_cert.h"

namespace {

using namespace remora;
using http::HeaderId;
using Mode = connection_manager::HttpConfig::ClientCert;
using Pairs = std::vector<std::pair<std::string, std::string>>;

void check(bool holds) {
  if (!holds) std::abort();
}

/// Choices drawn from the input; zeros and empty texts behind its end.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : left_(reinterpret_cast<const char*>(data), size) {}
  unsigned draw(unsigned below) {
    if (left_.empty()) return 0;
    const auto byte = static_cast<unsigned char>(left_.front());
    left_.remove_prefix(1);
    return byte % below;
  }
  bool flip() { return draw(2) == 1; }
  std::string text() {
    const size_t size = std::min<size_t>(draw(32), left_.size());
    std::string out(left_.substr(0, size));
    left_.remove_prefix(size);
    return out;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> out(draw(4));
    for (std::string& one : out) one = text();
    return out;
  }

 private:
  std::string_view left_;
};

struct Tls final : TlsFacts {
  std::string peer_pem() const override { return "PEM"; }
  std::string peer_chain_pem() const override { return "PEM%0APEM"; }
};

bool fit(const std::string& value) {
  return std::ranges::none_of(
      value, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// The pairs of one element; none when the text is more or less than one.
std::optional<Pairs> read_element(std::string_view text) {
  Pairs out;
  while (true) {
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    std::string value;
    const std::string key(text.substr(0, equals));
    text.remove_prefix(equals + 1);
    if (text.starts_with('"')) {
      size_t at = 1;
      for (; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && ++at == text.size()) return std::nullopt;
        value += text[at];
      }
      if (at >= text.size()) return std::nullopt;
      text.remove_prefix(at + 1);
    } else {
      const size_t end = std::min(text.find_first_of(",;\""), text.size());
      value = text.substr(0, end);
      text.remove_prefix(end);
    }
    out.emplace_back(key, value);
    if (text.empty()) return out;
    if (text.front() != ';') return std::nullopt;
    text.remove_prefix(1);
  }
}

/// What our element must say; the subject is told in a spelling of its own.
Pairs expected(const connection_manager::HttpConfig::ClientCertDetails& details, const Tls& tls) {
  Pairs out;
  for (const std::string& uri : tls.local->uri_sans) out.emplace_back("By", uri);
  if (!tls.peer->sha256_fingerprint.empty()) out.emplace_back("Hash", tls.peer->sha256_fingerprint);
  if (details.cert) out.emplace_back("Cert", tls.peer_pem());
  if (details.chain) out.emplace_back("Chain", tls.peer_chain_pem());
  if (details.subject) out.emplace_back("Subject", tls.peer->subject);
  if (details.uri && tls.peer->uri_sans.empty()) out.emplace_back("URI", "");
  if (details.uri) {
    for (const std::string& uri : tls.peer->uri_sans) out.emplace_back("URI", uri);
  }
  if (details.dns) {
    for (const std::string& name : tls.peer->dns_sans) out.emplace_back("DNS", name);
  }
  return out;
}

std::optional<std::string> apply(const connection_manager::HttpConfig& config, const Tls* tls,
                                 const std::vector<std::string>& came) {
  BlockPool pool;
  Arena arena(pool);
  http::HeaderMap request(arena);
  for (const std::string& value : came) request.add(HeaderId::XForwardedClientCert, value);
  connection_manager::apply_client_cert(config, tls, request);
  check(request.count(HeaderId::XForwardedClientCert) <= 1);
  if (!request.has(HeaderId::XForwardedClientCert)) return std::nullopt;
  return std::string(request.get(HeaderId::XForwardedClientCert));
}

void check_own_element(const connection_manager::HttpConfig& config, const Tls& tls,
                       const std::optional<std::string>& own) {
  Pairs pairs = expected(config.client_cert_details, tls);
  const bool sendable =
      std::ranges::all_of(pairs, [](const auto& pair) { return fit(pair.second); });
  check(own.has_value() == (sendable && !pairs.empty()));
  if (!own) return;
  const Pairs found = read_element(*own).value_or(Pairs());
  check(found.size() == pairs.size());
  for (size_t i = 0; i < pairs.size(); ++i) {
    check(found[i].first == pairs[i].first);
    if (pairs[i].first != "Subject") check(found[i].second == pairs[i].second);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices choices(data, size);
  connection_manager::HttpConfig config;
  const auto mode = static_cast<Mode>(choices.draw(5));
  config.client_cert_details = {choices.flip(), choices.flip(), choices.flip(), choices.flip(),
                                choices.flip()};
  auto peer = std::make_shared<CertificateIdentity>();
  auto local = std::make_shared<CertificateIdentity>();
  Tls tls;
  tls.peer_verified = choices.flip();
  peer->uri_sans = choices.texts();
  peer->dns_sans = choices.texts();
  peer->subject = choices.text();
  if (choices.flip()) peer->sha256_fingerprint = "abcd";
  local->uri_sans = choices.texts();
  tls.peer = peer;
  tls.local = local;
  const std::vector<std::string> came = choices.texts();
  std::string joined;
  for (const std::string& value : came) joined += (&value == came.data() ? "" : ",") + value;

  config.client_cert = mode;
  const auto out = apply(config, &tls, came);
  config.client_cert = Mode::SanitizeSet;
  const auto own = apply(config, &tls, {});
  if (tls.peer_verified) check_own_element(config, tls, own);
  if (!tls.peer_verified) check(!own.has_value());

  if (mode == Mode::AlwaysForwardOnly || (mode == Mode::ForwardOnly && tls.peer_verified)) {
    check(out.has_value() == !came.empty() && out.value_or("") == joined);
  } else if (!tls.peer_verified || mode == Mode::Sanitize) {
    check(!out.has_value());
  } else if (mode == Mode::SanitizeSet) {
    check(out == own);
  } else if (own) {
    check(out.has_value() && out->ends_with(*own) && out->starts_with(joined));
  }
  return 0;
}
