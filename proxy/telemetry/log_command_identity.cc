// Commands on who is at the other end of a connection. A peer is what it proved: a certificate that
// was not verified is none.
#include <absl/strings/str_join.h>

#include "proxy/telemetry/log_command_entry.h"
#include "proxy/telemetry/log_time.h"

namespace remora::telemetry {
namespace {

using http::StreamInfo;
using Arguments = LogArguments;
using Entry = LogCommandEntry;
using Type = Entry::Type;

const TlsFacts* tls_of(const StreamInfo& info) {
  return info.connection == nullptr ? nullptr : info.connection->tls;
}

const CertificateIdentity* peer_of(const StreamInfo& info) {
  const TlsFacts* tls = tls_of(info);
  return tls != nullptr && tls->peer_verified ? tls->peer.get() : nullptr;
}

const CertificateIdentity* local_of(const StreamInfo& info) {
  const TlsFacts* tls = tls_of(info);
  return tls == nullptr ? nullptr : tls->local.get();
}

using Of = const CertificateIdentity* (*)(const StreamInfo& info);

template <Of kOf, std::vector<std::string> CertificateIdentity::*kNames>
bool names(const Arguments&, const StreamInfo& info, std::string& out) {
  const CertificateIdentity* identity = kOf(info);
  if (identity == nullptr || (identity->*kNames).empty()) return false;
  out += absl::StrJoin(identity->*kNames, ",");
  return true;
}

template <Of kOf, std::string CertificateIdentity::*kText>
bool text(const Arguments&, const StreamInfo& info, std::string& out) {
  const CertificateIdentity* identity = kOf(info);
  if (identity == nullptr) return false;
  out += identity->*kText;
  return !(identity->*kText).empty();
}

template <Of kOf, int64_t CertificateIdentity::*kSeconds>
bool time(const Arguments& a, const StreamInfo& info, std::string& out) {
  constexpr WallNs kNsPerSecond = 1'000'000'000;
  const CertificateIdentity* identity = kOf(info);
  if (identity == nullptr) return false;
  append_time(identity->*kSeconds * kNsPerSecond, a.text, Zone::Utc, out);
  return true;
}

bool append(std::string_view value, std::string& out) {
  out.append(value);
  return !value.empty();
}

bool certificate(const Arguments&, const StreamInfo& info, std::string& out) {
  return peer_of(info) != nullptr && append(tls_of(info)->peer_pem(), out);
}

bool version(const Arguments&, const StreamInfo& info, std::string& out) {
  return tls_of(info) != nullptr && append(tls_of(info)->version, out);
}

bool cipher(const Arguments&, const StreamInfo& info, std::string& out) {
  return tls_of(info) != nullptr && append(tls_of(info)->cipher, out);
}

bool session_id(const Arguments&, const StreamInfo& info, std::string& out) {
  return tls_of(info) != nullptr && append(tls_of(info)->session_id, out);
}

template <std::string TlsFingerprints::*kWhich>
bool fingerprint(const Arguments&, const StreamInfo& info, std::string& out) {
  if (info.connection == nullptr || info.connection->fingerprints == nullptr) return false;
  return append(info.connection->fingerprints.get()->*kWhich, out);
}

using Identity = CertificateIdentity;

const Entry kEntries[] = {
    {"DOWNSTREAM_PEER_URI_SAN", Type::String, names<peer_of, &Identity::uri_sans>},
    {"DOWNSTREAM_PEER_DNS_SAN", Type::String, names<peer_of, &Identity::dns_sans>},
    {"DOWNSTREAM_PEER_IP_SAN", Type::String, names<peer_of, &Identity::ip_sans>},
    {"DOWNSTREAM_PEER_EMAIL_SAN", Type::String, names<peer_of, &Identity::email_sans>},
    {"DOWNSTREAM_LOCAL_URI_SAN", Type::String, names<local_of, &Identity::uri_sans>},
    {"DOWNSTREAM_LOCAL_DNS_SAN", Type::String, names<local_of, &Identity::dns_sans>},
    {"DOWNSTREAM_LOCAL_IP_SAN", Type::String, names<local_of, &Identity::ip_sans>},
    {"DOWNSTREAM_LOCAL_EMAIL_SAN", Type::String, names<local_of, &Identity::email_sans>},
    {"DOWNSTREAM_PEER_SUBJECT", Type::String, text<peer_of, &Identity::subject>},
    {"DOWNSTREAM_PEER_ISSUER", Type::String, text<peer_of, &Identity::issuer>},
    {"DOWNSTREAM_PEER_SERIAL", Type::String, text<peer_of, &Identity::serial>},
    {"DOWNSTREAM_PEER_FINGERPRINT_256", Type::String, text<peer_of, &Identity::sha256_fingerprint>},
    {"DOWNSTREAM_PEER_FINGERPRINT_1", Type::String, text<peer_of, &Identity::sha1_fingerprint>},
    {"DOWNSTREAM_PEER_CERT", Type::String, certificate},
    {"DOWNSTREAM_PEER_CERT_V_START", Type::String, time<peer_of, &Identity::not_before_s>,
     Entry::Takes::OptionalArgument, compile_time_format},
    {"DOWNSTREAM_PEER_CERT_V_END", Type::String, time<peer_of, &Identity::not_after_s>,
     Entry::Takes::OptionalArgument, compile_time_format},
    {"DOWNSTREAM_LOCAL_SUBJECT", Type::String, text<local_of, &Identity::subject>},
    {"DOWNSTREAM_TLS_VERSION", Type::String, version},
    {"DOWNSTREAM_TLS_CIPHER", Type::String, cipher},
    {"DOWNSTREAM_TLS_SESSION_ID", Type::String, session_id},
    {"TLS_JA3_FINGERPRINT", Type::String, fingerprint<&TlsFingerprints::ja3>},
    {"TLS_JA4_FINGERPRINT", Type::String, fingerprint<&TlsFingerprints::ja4>},
};

}  // namespace

std::span<const Entry> identity_commands() { return kEntries; }

}  // namespace remora::telemetry
