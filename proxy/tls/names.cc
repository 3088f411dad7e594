// Rules on names; see the header. Everything compared here was chosen by the peer.
#include "proxy/tls/names.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>

#include <algorithm>

#include "proxy/net/address.h"
#include "proxy/tls/certificate_identity.h"

namespace remora::tls {
namespace {

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase({a.data(), a.size()}, {b.data(), b.size()});
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equal_ignoring_case(text.substr(0, prefix.size()), prefix);
}

/// One label against one that has exactly one "*" standing for any number of bytes.
bool label_matches(std::string_view label, std::string_view pattern) {
  const size_t star = pattern.find('*');
  if (pattern.find('*', star + 1) != std::string_view::npos) return false;
  const std::string_view before = pattern.substr(0, star);
  const std::string_view after = pattern.substr(star + 1);
  return !label.empty() && label.size() >= before.size() + after.size() &&
         equal_ignoring_case(label.substr(0, before.size()), before) &&
         equal_ignoring_case(label.substr(label.size() - after.size()), after);
}

bool any_of(const std::vector<std::string>& names, const SanMatch& rule) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return rule.match.matches(name); });
}

}  // namespace

bool dns_name_matches(std::string_view name, std::string_view pattern) {
  if (equal_ignoring_case(name, pattern)) return true;
  const size_t name_dot = name.find('.');
  const size_t pattern_dot = pattern.find('.');
  if (name_dot == std::string_view::npos || pattern_dot == std::string_view::npos) return false;
  const std::string_view pattern_label = pattern.substr(0, pattern_dot);
  const std::string_view pattern_rest = pattern.substr(pattern_dot + 1);
  // An internationalised label is encoded: a star inside it would stand for part of a code.
  if (pattern_label.find('*') == std::string_view::npos ||
      pattern_rest.find('*') != std::string_view::npos ||
      starts_with_ignoring_case(pattern_label, "xn--")) {
    return false;
  }
  return equal_ignoring_case(name.substr(name_dot + 1), pattern_rest) &&
         label_matches(name.substr(0, name_dot), pattern_label);
}

bool same_ip(std::string_view a, std::string_view b) {
  const absl::StatusOr<Address> first = Address::from_ip(a, 0);
  const absl::StatusOr<Address> second = Address::from_ip(b, 0);
  return first.ok() && second.ok() && *first == *second;
}

bool meets(const SanMatch& rule, const CertificateIdentity& identity, const X509& certificate) {
  const bool exact = rule.match.kind == StringMatch::Kind::Exact;
  switch (rule.type) {
    case SanMatch::Type::Dns:
      if (!exact) return any_of(identity.dns_sans, rule);
      return std::any_of(
          identity.dns_sans.begin(), identity.dns_sans.end(),
          [&](const std::string& name) { return dns_name_matches(rule.match.text, name); });
    case SanMatch::Type::Uri:
      return any_of(identity.uri_sans, rule);
    case SanMatch::Type::Email:
      return any_of(identity.email_sans, rule);
    case SanMatch::Type::Ip:
      if (any_of(identity.ip_sans, rule)) return true;
      return exact &&
             std::any_of(identity.ip_sans.begin(), identity.ip_sans.end(),
                         [&](const std::string& ip) { return same_ip(ip, rule.match.text); });
    case SanMatch::Type::OtherName:
      return any_of(other_names(certificate, rule.oid), rule);
  }
  return false;
}

bool meets_any(const std::vector<SanMatch>& rules, const CertificateIdentity& identity,
               const X509& certificate) {
  return std::any_of(rules.begin(), rules.end(),
                     [&](const SanMatch& rule) { return meets(rule, identity, certificate); });
}

bool stands_for(std::string_view name, const CertificateIdentity& identity) {
  if (Address::from_ip(name, 0).ok()) {
    return std::any_of(identity.ip_sans.begin(), identity.ip_sans.end(),
                       [&](const std::string& ip) { return same_ip(ip, name); });
  }
  return std::any_of(identity.dns_sans.begin(), identity.dns_sans.end(),
                     [&](const std::string& pattern) { return dns_name_matches(name, pattern); });
}

std::string_view trust_domain_of(std::string_view uri) {
  constexpr std::string_view kScheme = "spiffe://";
  if (uri.substr(0, kScheme.size()) != kScheme) return {};
  const size_t end = uri.find('/', kScheme.size());
  if (end == std::string_view::npos) return {};
  return uri.substr(kScheme.size(), end - kScheme.size());
}

std::string names_text(const CertificateIdentity& identity) {
  std::string text;
  for (const auto* names :
       {&identity.dns_sans, &identity.uri_sans, &identity.email_sans, &identity.ip_sans}) {
    for (const std::string& name : *names) {
      if (!text.empty()) text += ", ";
      text += name;
    }
  }
  return text;
}

}  // namespace remora::tls
