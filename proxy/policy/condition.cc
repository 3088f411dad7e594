#include "proxy/policy/condition.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_join.h>
#include <re2/re2.h>

#include <algorithm>

#include "proxy/base/utf8.h"
#include "proxy/router/route_match.h"

namespace remora::policy {
namespace {

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = utf8_length(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

const CertificateIdentity* verified_peer(const Facts& facts) {
  const TlsFacts* tls = facts.connection.tls;
  return tls != nullptr && tls->peer_verified ? tls->peer.get() : nullptr;
}

bool contains(const CidrRange& range, const Address& address) {
  return range.contains(address) || range.contains(address.unmapped());
}

const Address& address_of(Whose whose, const Facts& facts) {
  switch (whose) {
    case Whose::Connection:
      return facts.connection.remote;
    case Whose::DirectRemote:
      return facts.connection.direct_remote;
    case Whose::Remote:
      return facts.remote;
    case Whose::Local:
      break;
  }
  return facts.connection.local;
}

// -------------------------------------------------------------------------------------------------
// headers

/// Names as the header map has them.
std::string_view header_name(std::string_view name) {
  return name == "host" ? std::string_view(":authority") : name;
}

/// Before inversion.
bool judge_header(const router::HeaderMatch& match, std::string_view value, Toward toward) {
  if (match.kind == router::HeaderMatch::Kind::String) return judge(match.string, value, toward);
  int64_t number = 0;
  return absl::SimpleAtoi(absl::string_view(value.data(), value.size()), &number) &&
         number >= match.range_start && number < match.range_end;
}

/// Before inversion. What grants must hold for each value, for nobody knows which one the
/// application reads; what refuses for one of them, or for all as one list.
bool judge_values(const router::HeaderMatch& match, std::string_view name, Toward toward,
                  const http::HeaderMap& request) {
  size_t count = 0;
  bool all = true, any = false;
  for (const http::HeaderEntry& entry : request.entries()) {
    if (entry.removed || entry.name != name) continue;
    ++count;
    const bool matches = judge_header(match, entry.value, toward);
    all = all && matches;
    any = any || matches;
  }
  if (count == 0) return judge_header(match, {}, toward);
  if (toward == Toward::Grant) return all;
  return any || (count > 1 && judge_header(match, *request.joined(name), toward));
}

bool holds(const HeaderIs& header, const Facts& facts) {
  const router::HeaderMatch& match = header.match;
  if (facts.request == nullptr) return false;
  const std::string_view name = header_name(match.name);
  const bool there = facts.request->find(name) != nullptr;
  if (match.kind == router::HeaderMatch::Kind::Present) {
    return (there == match.present) != match.invert;
  }
  // An absent header satisfies no condition on its value, inverted ones included.
  if (!there && !match.treat_missing_as_empty) return false;
  const Toward toward = match.invert ? opposite(header.toward) : header.toward;
  return judge_values(match, name, toward, *facts.request) != match.invert;
}

// -------------------------------------------------------------------------------------------------
// the other leaves

bool holds(const Always&, const Facts&) { return true; }

bool holds(const AllOf& all, const Facts& facts) {
  return std::ranges::all_of(all.of, [&](const Condition& one) { return one.holds(facts); });
}

bool holds(const AnyOf& any, const Facts& facts) {
  return std::ranges::any_of(any.of, [&](const Condition& one) { return one.holds(facts); });
}

bool holds(const Not& negation, const Facts& facts) { return !negation.of->holds(facts); }

std::optional<std::string_view> path_of(const Facts& facts) {
  if (facts.request == nullptr || !facts.request->has(http::HeaderId::Path)) return std::nullopt;
  return router::path_without_query(facts.request->path());
}

bool holds(const PathIs& path, const Facts& facts) {
  const auto value = path_of(facts);
  return value && judge(path.match, *value, path.toward);
}

bool holds(const PathHasForm& path, const Facts& facts) {
  const auto value = path_of(facts);
  return value && re2::RE2::FullMatch({value->data(), value->size()}, *path.form);
}

bool holds(const AddressIn& in, const Facts& facts) {
  return contains(in.range, address_of(in.whose, facts));
}

bool holds(const LocalPortIn& in, const Facts& facts) {
  const Address& local = facts.connection.local;
  return local.is_ip() && local.port() >= in.first && local.port() < in.end;
}

bool holds(const ServerNameIs& name, const Facts& facts) {
  return judge(name.match, facts.connection.requested_server_name, name.toward);
}

/// To grant, a peer's name is of the first kind that its certificate has, so that no name of one
/// kind passes for one of another; to refuse, any of its names will do.
bool holds(const Authenticated& authenticated, const Facts& facts) {
  const CertificateIdentity* peer = verified_peer(facts);
  if (peer == nullptr) return false;
  if (!authenticated.name) return true;
  const auto one_of = [&](const std::vector<std::string>& names) {
    return std::ranges::any_of(names, [&](const std::string& name) {
      return judge(*authenticated.name, name, authenticated.toward);
    });
  };
  const bool by_subject = judge(*authenticated.name, peer->subject, authenticated.toward);
  if (authenticated.toward != Toward::Grant) {
    return one_of(peer->uri_sans) || one_of(peer->dns_sans) || by_subject;
  }
  if (!peer->uri_sans.empty()) return one_of(peer->uri_sans);
  // A host's name has no scheme: this one only looks like a URI.
  const auto like_uri = [](const std::string& name) {
    return name.find("://") != std::string::npos;
  };
  if (std::ranges::any_of(peer->dns_sans, like_uri)) return false;
  return peer->dns_sans.empty() ? by_subject : one_of(peer->dns_sans);
}

bool holds(const MetadataIs& metadata, const Facts& facts) {
  return metadata.match.matches(facts.metadata);
}

bool holds(const FilterStateIs& state, const Facts& facts) {
  return state.matches(facts.filter_state(state.key));
}

bool holds(const InputIs& is, const Facts& facts) {
  std::string buffer;
  const auto text = text_of(is.input, facts, buffer);
  if (!text) return false;
  if (is.input.input != Input::Header || is.toward == Toward::Either) {
    return judge(is.match, *text, is.toward);
  }
  // As one list, which is how the tree sees it, and each by itself.
  const std::string_view name = header_name(is.input.key);
  const bool joined = judge(is.match, *text, is.toward);
  for (const http::HeaderEntry& entry : facts.request->entries()) {
    if (entry.removed || entry.name != name) continue;
    const bool one = judge(is.match, entry.value, is.toward);
    if (is.toward == Toward::Grant && !one) return false;
    if (is.toward == Toward::Refuse && one) return true;
  }
  return joined;
}

std::optional<std::string_view> known(std::string_view text) {
  if (text.empty()) return std::nullopt;
  return text;
}

std::optional<std::string_view> joined(const std::vector<std::string>& names, std::string& buffer) {
  if (names.empty()) return std::nullopt;
  buffer = absl::StrJoin(names, ",");
  return buffer;
}

std::optional<std::string_view> ip_text(const Address& address, std::string& buffer) {
  if (!address.is_ip()) return std::nullopt;
  buffer = address.ip_string();
  return buffer;
}

std::optional<std::string_view> port_text(const Address& address, std::string& buffer) {
  if (!address.is_ip()) return std::nullopt;
  buffer = std::to_string(address.port());
  return buffer;
}

}  // namespace

bool judge(const StringMatch& match, std::string_view value, Toward toward) {
  if (match.matches(value)) return true;
  return toward == Toward::Refuse && match.kind == StringMatch::Kind::Regex && !is_utf8(value);
}

std::optional<std::string_view> text_of(const InputOf& input, const Facts& facts,
                                        std::string& buffer) {
  const CertificateIdentity* peer = verified_peer(facts);
  switch (input.input) {
    case Input::DestinationIp:
      return ip_text(facts.connection.local, buffer);
    case Input::DestinationPort:
      return port_text(facts.connection.local, buffer);
    case Input::SourceIp:
      return ip_text(facts.remote, buffer);
    case Input::SourcePort:
      return port_text(facts.remote, buffer);
    case Input::DirectSourceIp:
      return ip_text(facts.connection.direct_remote, buffer);
    case Input::ServerName:
      return known(facts.connection.requested_server_name);
    case Input::UriSan:
      return peer == nullptr ? std::nullopt : joined(peer->uri_sans, buffer);
    case Input::DnsSan:
      return peer == nullptr ? std::nullopt : joined(peer->dns_sans, buffer);
    case Input::Subject:
      return peer == nullptr ? std::nullopt : known(peer->subject);
    case Input::FilterState: {
      const std::string* value = facts.filter_state(input.key);
      return value == nullptr ? std::nullopt : std::optional<std::string_view>(*value);
    }
    case Input::Header:
      return facts.request == nullptr ? std::nullopt
                                      : facts.request->joined(header_name(input.key));
  }
  return std::nullopt;
}

bool Condition::holds(const Facts& facts) const {
  return std::visit([&](const auto& what) { return policy::holds(what, facts); }, is);
}

bool Condition::reads_what_filters_leave() const {
  const auto one_reads = [](const std::vector<Condition>& of) {
    return std::ranges::any_of(of, &Condition::reads_what_filters_leave);
  };
  if (const auto* all = std::get_if<AllOf>(&is)) return one_reads(all->of);
  if (const auto* any = std::get_if<AnyOf>(&is)) return one_reads(any->of);
  if (const auto* negation = std::get_if<Not>(&is)) return negation->of->reads_what_filters_leave();
  if (const auto* input = std::get_if<InputIs>(&is)) {
    return input->input.input == Input::FilterState;
  }
  return std::holds_alternative<MetadataIs>(is) || std::holds_alternative<FilterStateIs>(is);
}

}  // namespace remora::policy
