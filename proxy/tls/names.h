// Rules on the names in a peer's certificate. A rule on one type of name is never met by a name of
// another type. Pure functions; any thread.
#pragma once

#include <string_view>
#include <vector>

#include "proxy/net/tls_facts.h"
#include "proxy/tls/openssl_handles.h"
#include "proxy/tls/secret.h"

namespace remora::tls {

/// Whether a DNS name of a certificate, which may have one "*" in its leftmost label, stands for
/// `name`.
bool dns_name_matches(std::string_view name, std::string_view pattern);
/// Whether both are the same IP address, however they are spelled.
bool same_ip(std::string_view a, std::string_view b);

/// `certificate` is that of `identity`; only other names are read from it.
bool meets(const SanMatch& rule, const CertificateIdentity& identity, const X509& certificate);
bool meets_any(const std::vector<SanMatch>& rules, const CertificateIdentity& identity,
               const X509& certificate);

/// Whether the certificate is one for this DNS name or IP address.
bool stands_for(std::string_view name, const CertificateIdentity& identity);

/// "spiffe://DOMAIN/..." gives DOMAIN; anything else nothing.
std::string_view trust_domain_of(std::string_view uri);

/// "dns.example.com, spiffe://a/b" for error texts.
std::string names_text(const CertificateIdentity& identity);

}  // namespace remora::tls
