// Random policies and facts: the engine must decide as a slow and obvious evaluator does that works
// on a description of the policy, passing along at every step what a match would lead to.
#include <re2/re2.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/policy/engine.h"

namespace {

using namespace remora;
using namespace remora::policy;

/// Choices drawn from the input; zeros behind its end.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  unsigned draw(unsigned below) {
    if (left_ == 0) return 0;
    --left_;
    return *data_++ % below;
  }
  bool flip() { return draw(2) == 1; }
  template <size_t kCount>
  std::string text(const std::string_view (&pool)[kCount]) {
    return std::string(pool[draw(kCount)]);
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

constexpr std::string_view kTexts[] = {"a", "b", "ab", "ba", "", "a,b", "a\xff", "B", "\xc3\xa4"};
constexpr std::string_view kNames[] = {"spiffe://td/a", "spiffe://td/b", "a", "b", "CN=a"};
constexpr std::string_view kHeaderNames[] = {"x", "y", "host"};
constexpr std::string_view kAddresses[] = {"10.0.0.1", "10.1.0.1", "::1", "::ffff:10.0.0.1"};

// -------------------------------------------------------------------------------------------------
// descriptions

struct Text {
  enum Kind { kExact, kPrefix, kSuffix, kContains, kOnlyAAndB } kind = kExact;
  std::string text;
};

struct Described {
  enum Kind {
    kAlways,
    kAll,
    kAny,
    kNot,
    kHeader,
    kPath,
    kSource,
    kPort,
    kSni,
    kPeer,
    kMeta,
    kState
  };
  Kind kind = kAlways;
  std::vector<Described> children;
  std::string name;
  Text text;
  bool present = false, wanted = false, invert = false, missing_is_empty = false, any_name = false;
  unsigned number = 0;
};

Text describe_text(Choices& choices) {
  Text out;
  out.kind = static_cast<Text::Kind>(choices.draw(5));
  out.text = choices.text(kTexts);
  if (out.text.empty()) out.kind = Text::kExact;
  return out;
}

Described describe(Choices& choices, int depth) {
  Described out;
  out.kind = static_cast<Described::Kind>(choices.draw(12));
  const bool group = out.kind >= Described::kAll && out.kind <= Described::kNot;
  if (group && depth == 0) out.kind = Described::kHeader;
  if (group && depth > 0) {
    const unsigned count = out.kind == Described::kNot ? 1 : 1 + choices.draw(3);
    for (unsigned i = 0; i < count; ++i) out.children.push_back(describe(choices, depth - 1));
    return out;
  }
  out.text = describe_text(choices);
  out.invert = choices.flip();
  switch (out.kind) {
    case Described::kHeader:
      out.name = choices.text(kHeaderNames);
      out.present = choices.draw(4) == 0;
      out.wanted = choices.flip();
      out.missing_is_empty = choices.flip();
      break;
    case Described::kPeer:
      out.any_name = choices.draw(4) == 0;
      out.text.text = choices.text(kNames);
      break;
    case Described::kSource:
    case Described::kPort:
      out.number = choices.draw(4);
      break;
    default:
      break;
  }
  return out;
}

// -------------------------------------------------------------------------------------------------
// from descriptions to what is tested

StringMatch build(const Text& text) {
  StringMatch out;
  out.text = text.text;
  switch (text.kind) {
    case Text::kExact:
      out.kind = StringMatch::Kind::Exact;
      break;
    case Text::kPrefix:
      out.kind = StringMatch::Kind::Prefix;
      break;
    case Text::kSuffix:
      out.kind = StringMatch::Kind::Suffix;
      break;
    case Text::kContains:
      out.kind = StringMatch::Kind::Contains;
      break;
    case Text::kOnlyAAndB: {
      static const auto regex = std::make_shared<const re2::RE2>("[ab]+");
      out.kind = StringMatch::Kind::Regex;
      out.regex = regex;
      break;
    }
  }
  return out;
}

CidrRange source_range(unsigned number) {
  switch (number) {
    case 0:
      return *CidrRange::make("10.0.0.0", 16);
    case 1:
      return *CidrRange::make("0.0.0.0", 0);
    case 2:
      return *CidrRange::make("::1", 128);
    default:
      return *CidrRange::make("10.1.0.1", 32);
  }
}

Condition build(const Described& from, Toward toward);

template <class Group>
Condition build_group(const Described& from, Toward toward) {
  Group group;
  for (const Described& child : from.children) group.of.push_back(build(child, toward));
  return Condition{std::move(group)};
}

Condition build_header(const Described& from, Toward toward) {
  HeaderIs out{{}, toward};
  out.match.name = from.name;
  out.match.id = http::header_id_of(from.name);
  out.match.kind =
      from.present ? router::HeaderMatch::Kind::Present : router::HeaderMatch::Kind::String;
  out.match.present = from.wanted;
  out.match.invert = from.invert;
  out.match.treat_missing_as_empty = from.missing_is_empty;
  out.match.string = build(from.text);
  return Condition{std::move(out)};
}

Condition build_leaf(const Described& from, Toward toward) {
  switch (from.kind) {
    case Described::kPath:
      return Condition{PathIs{build(from.text), toward}};
    case Described::kSource:
      return Condition{AddressIn{Whose::DirectRemote, source_range(from.number)}};
    case Described::kPort:
      return Condition{LocalPortIn{from.number, from.number + 2}};
    case Described::kSni:
      return Condition{ServerNameIs{build(from.text), toward}};
    case Described::kPeer: {
      Authenticated out{std::nullopt, toward};
      if (!from.any_name) out.name = build(from.text);
      return Condition{std::move(out)};
    }
    case Described::kMeta: {
      MetadataIs out;
      out.match = {"f", {"k"}, ValueMatch{build(from.text)}, from.invert};
      return Condition{std::move(out)};
    }
    case Described::kState: {
      FilterStateIs out;
      out.key = "k";
      out.match = build(from.text);
      return Condition{std::move(out)};
    }
    default:
      return Condition{Always{}};
  }
}

Condition build(const Described& from, Toward toward) {
  switch (from.kind) {
    case Described::kAll:
      return build_group<AllOf>(from, toward);
    case Described::kAny:
      return build_group<AnyOf>(from, toward);
    case Described::kNot:
      return Condition{
          Not{std::make_unique<const Condition>(build(from.children[0], opposite(toward)))}};
    case Described::kHeader:
      return build_header(from, toward);
    default:
      return build_leaf(from, toward);
  }
}

// -------------------------------------------------------------------------------------------------
// facts, and the slow evaluator

struct FakeTls final : TlsFacts {
  std::string peer_pem() const override { return {}; }
  std::string peer_chain_pem() const override { return {}; }
};

struct World {
  std::vector<std::pair<std::string, std::string>> headers;
  bool has_path = false;
  std::string path, sni, source;
  unsigned port = 0;
  bool tls = false, verified = false;
  std::vector<std::string> uris, hosts;
  std::string subject;
  bool has_meta = false, has_state = false;
  std::string meta, state;
};

World draw_world(Choices& choices) {
  World out;
  for (unsigned i = choices.draw(4); i > 0; --i) {
    std::string name = choices.text(kHeaderNames);
    if (name == "host") name = ":authority";
    out.headers.emplace_back(name, choices.text(kTexts));
  }
  out.has_path = choices.flip();
  out.path = choices.text(kTexts);
  out.sni = choices.text(kTexts);
  out.source = choices.text(kAddresses);
  out.port = choices.draw(6);
  out.tls = choices.flip();
  out.verified = choices.flip();
  for (unsigned i = choices.draw(3); i > 0; --i) out.uris.push_back(choices.text(kNames));
  for (unsigned i = choices.draw(3); i > 0; --i) out.hosts.push_back(choices.text(kNames));
  out.subject = choices.text(kNames);
  out.has_meta = choices.flip();
  out.meta = choices.text(kTexts);
  out.has_state = choices.flip();
  out.state = choices.text(kTexts);
  return out;
}

bool text_holds(const Text& text, const std::string& value) {
  switch (text.kind) {
    case Text::kExact:
      return value == text.text;
    case Text::kPrefix:
      return value.find(text.text) == 0;
    case Text::kSuffix:
      return value.size() >= text.text.size() &&
             value.substr(value.size() - text.text.size()) == text.text;
    case Text::kContains:
      return value.find(text.text) != std::string::npos;
    case Text::kOnlyAAndB:
      return !value.empty() && value.find_first_not_of("ab") == std::string::npos;
  }
  return false;
}

/// What a stranger sent: bytes that are no text are taken to match a regular expression that would
/// refuse.
bool judged(const Text& text, const std::string& value, bool grants) {
  const bool odd = value.find('\xff') != std::string::npos;
  if (text.kind == Text::kOnlyAAndB && odd) return !grants;
  return text_holds(text, value);
}

bool header_holds(const Described& what, const World& world, bool grants) {
  const std::string name = what.name == "host" ? ":authority" : what.name;
  std::vector<std::string> values;
  for (const auto& [key, value] : world.headers) {
    if (key == name) values.push_back(value);
  }
  if (what.present) return (!values.empty() == what.wanted) != what.invert;
  if (values.empty()) {
    if (!what.missing_is_empty) return false;
    values.emplace_back();
  }
  std::string list = values[0];
  for (size_t i = 1; i < values.size(); ++i) list += "," + values[i];
  if (values.size() > 1 && grants == what.invert) values.push_back(list);
  size_t holding = 0;
  for (const std::string& value : values) {
    holding += judged(what.text, value, grants != what.invert) != what.invert;
  }
  return grants ? holding == values.size() : holding > 0;
}

bool peer_holds(const Described& what, const World& world, bool grants) {
  if (!world.tls || !world.verified) return false;
  if (what.any_name) return true;
  std::vector<std::string> names;
  if (!grants) {
    names = world.uris;
    names.insert(names.end(), world.hosts.begin(), world.hosts.end());
    names.push_back(world.subject);
  } else if (!world.uris.empty()) {
    names = world.uris;
  } else if (!world.hosts.empty()) {
    for (const std::string& host : world.hosts) {
      if (host.find("://") != std::string::npos) return false;
    }
    names = world.hosts;
  } else {
    names = {world.subject};
  }
  for (const std::string& name : names) {
    if (judged(what.text, name, grants)) return true;
  }
  return false;
}

bool source_holds(unsigned number, const std::string& source) {
  const std::string plain = source == "::ffff:10.0.0.1" ? "10.0.0.1" : source;
  switch (number) {
    case 0:
      return plain == "10.0.0.1";
    case 1:
      return plain != "::1";
    case 2:
      return plain == "::1";
    default:
      return plain == "10.1.0.1";
  }
}

bool slow(const Described& what, const World& world, bool grants) {
  switch (what.kind) {
    case Described::kAlways:
      return true;
    case Described::kAll: {
      for (const Described& child : what.children) {
        if (!slow(child, world, grants)) return false;
      }
      return true;
    }
    case Described::kAny: {
      for (const Described& child : what.children) {
        if (slow(child, world, grants)) return true;
      }
      return false;
    }
    case Described::kNot:
      return !slow(what.children[0], world, !grants);
    case Described::kHeader:
      return header_holds(what, world, grants);
    case Described::kPath:
      return world.has_path && judged(what.text, world.path, grants);
    case Described::kSource:
      return source_holds(what.number, world.source);
    case Described::kPort:
      return world.port == what.number || world.port == what.number + 1;
    case Described::kSni:
      return judged(what.text, world.sni, grants);
    case Described::kPeer:
      return peer_holds(what, world, grants);
    case Described::kMeta:
      return (world.has_meta && text_holds(what.text, world.meta)) != what.invert;
    case Described::kState:
      return world.has_state && text_holds(what.text, world.state);
  }
  return false;
}

struct DescribedRule {
  Described permission, principal;
};

Decision slow_decision(Action action, const std::vector<DescribedRule>& rules, const World& world) {
  Decision out;
  const bool grants = action == Action::Allow;
  for (size_t i = rules.size(); i > 0; --i) {
    if (slow(rules[i - 1].permission, world, grants) &&
        slow(rules[i - 1].principal, world, grants)) {
      out.rule = static_cast<uint32_t>(i - 1);
    }
  }
  if (action == Action::Log) {
    out.allowed = true;
    out.log = out.rule.has_value();
  } else {
    out.allowed = grants ? out.rule.has_value() : !out.rule.has_value();
  }
  return out;
}

void check(Choices& choices) {
  const auto action = static_cast<Action>(choices.draw(3));
  std::vector<DescribedRule> described;
  for (unsigned i = choices.draw(4); i > 0; --i) {
    Described permission = describe(choices, 4);
    described.push_back({std::move(permission), describe(choices, 4)});
  }
  const World world = draw_world(choices);

  Rules rules;
  rules.action = action;
  const Toward toward = action == Action::Allow ? Toward::Grant : Toward::Refuse;
  for (const DescribedRule& rule : described) {
    rules.rules.push_back({"rule", build(rule.permission, toward), build(rule.principal, toward)});
  }
  const Engine engine(std::move(rules));

  BlockPool pool;
  Arena arena(pool);
  http::HeaderMap headers(arena);
  for (const auto& [name, value] : world.headers) headers.add(name, value);
  if (world.has_path) headers.add(http::HeaderId::Path, world.path);
  ConnectionFacts connection;
  connection.local = *Address::from_ip("10.2.2.2", static_cast<uint16_t>(world.port));
  connection.remote = connection.direct_remote = *Address::from_ip(world.source, 1);
  connection.requested_server_name = world.sni;
  if (world.has_state) connection.filter_state.set("k", world.state);
  if (world.has_meta) connection.metadata.at("f").emplace("k", world.meta);
  FakeTls tls;
  auto peer = std::make_shared<CertificateIdentity>();
  peer->uri_sans = world.uris;
  peer->dns_sans = world.hosts;
  peer->subject = world.subject;
  tls.peer = peer;
  tls.peer_verified = world.verified;
  if (world.tls) connection.tls = &tls;
  Facts facts = facts_of(connection);
  facts.request = &headers;

  const Decision fast = engine.decide(facts);
  const Decision expected = slow_decision(action, described, world);
  if (fast.allowed != expected.allowed || fast.rule != expected.rule || fast.log != expected.log) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices choices(data, size);
  check(choices);
  return 0;
}
