// The conditions that policies are made of: a tree compiled from permissions, principals and
// predicates, and whether it holds for given facts. Immutable values; any thread.
//
// What a client sends may be ambiguous: a header twice, bytes that are no text under a regular
// expression. Then the answer that lets less through is taken, which depends on where a condition
// stands: under ALLOW its holding grants, under DENY it refuses, and each negation turns that
// round. `Toward` says which, once, when the policy is compiled.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proxy/base/string_match.h"
#include "proxy/policy/facts.h"
#include "proxy/router/context_match.h"
#include "proxy/router/route_table.h"

namespace remora::policy {

/// What the holding of a condition leads to. Either: both, further down in a matching tree.
enum class Toward : uint8_t { Grant, Refuse, Either };

inline Toward opposite(Toward toward) {
  if (toward == Toward::Either) return toward;
  return toward == Toward::Grant ? Toward::Refuse : Toward::Grant;
}

/// A fact as text.
enum class Input : uint8_t {
  DestinationIp,
  DestinationPort,
  SourceIp,
  SourcePort,
  DirectSourceIp,
  ServerName,
  UriSan,
  DnsSan,
  Subject,
  FilterState,  // of `key`
  Header,       // of `key`: its values joined by commas
};

struct InputOf {
  Input input = Input::SourceIp;
  std::string key;
};

/// Whose address.
enum class Whose : uint8_t {
  Connection,    // the client's, from the PROXY protocol where that was honoured
  DirectRemote,  // the other end of the socket
  Remote,        // the client's, from x-forwarded-for where that is trusted
  Local,         // the one that the client asked for
};

using router::MetadataMatch;
using router::ValueMatch;
using FilterStateIs = router::FilterStateMatch;

struct Condition;

struct Always {};
struct AllOf {
  std::vector<Condition> of;
};
struct AnyOf {
  std::vector<Condition> of;
};
struct Not {
  std::unique_ptr<const Condition> of;
};
struct HeaderIs {
  router::HeaderMatch match;
  Toward toward = Toward::Grant;
};
struct PathIs {
  StringMatch match;
  Toward toward = Toward::Grant;
};
/// A pattern that is a regular expression over the characters that a path may have.
struct PathHasForm {
  std::shared_ptr<const re2::RE2> form;
};
struct AddressIn {
  Whose whose = Whose::DirectRemote;
  CidrRange range;
};
struct LocalPortIn {
  uint32_t first = 0, end = 0;  // [first, end)
};
struct ServerNameIs {
  StringMatch match;
  Toward toward = Toward::Grant;
};
/// The peer showed a certificate that was verified; its name is one of these.
struct Authenticated {
  std::optional<StringMatch> name;
  Toward toward = Toward::Grant;
};
struct MetadataIs {
  MetadataMatch match;  // of dynamic metadata
};
/// Of a matching tree.
struct InputIs {
  InputOf input;
  StringMatch match;
  Toward toward = Toward::Either;
};

struct Condition {
  std::variant<Always, AllOf, AnyOf, Not, HeaderIs, PathIs, PathHasForm, AddressIn, LocalPortIn,
               ServerNameIs, Authenticated, MetadataIs, FilterStateIs, InputIs>
      is;

  bool holds(const Facts& facts) const;
  /// Whether what filters leave while bytes arrive may change the answer.
  bool reads_what_filters_leave() const;
};

/// The fact as text, in `buffer` where it has to be made; none: it is not known.
std::optional<std::string_view> text_of(const InputOf& input, const Facts& facts,
                                        std::string& buffer);

/// Whether `value`, which a stranger sent, matches. A regular expression cannot judge what is not
/// UTF-8.
bool judge(const StringMatch& match, std::string_view value, Toward toward);

}  // namespace remora::policy
