#include "xds/translate/rbac.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "api/uri_template.pb.h"
#include "xds/translate/context_match.h"
#include "xds/translate/match.h"
#include "xds/translate/metadata_match.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/unknown_fields.h"
#include "xds/translate/uri_template.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace rbac = envoy::config::rbac::v3;
using policy::Condition;
using policy::Toward;
using policy::Whose;

constexpr uint32_t kMaxPort = 65535;

// What stands for one condition in the configuration, permission or principal, is compiled the same
// way.
class Compiler {
 public:
  Compiler(PolicyLayer layer, const Context& context) : layer_(layer), context_(context) {}

  absl::StatusOr<Condition> condition(const rbac::Permission& from, Toward toward,
                                      const Path& path) const {
    using Rule = rbac::Permission;
    switch (from.rule_case()) {
      case Rule::kAndRules:
        return all_of(from.and_rules().rules(), "rules", toward, path.field("and_rules"));
      case Rule::kOrRules:
        return any_of(from.or_rules().rules(), "rules", toward, path.field("or_rules"));
      case Rule::kAny:
        return always(from.any(), path.field("any"));
      case Rule::kHeader:
        return header(from.header(), toward, path.field("header"));
      case Rule::kUrlPath:
        return url_path(from.url_path(), toward, path.field("url_path"));
      case Rule::kDestinationIp:
        return address_in(from.destination_ip(), Whose::Local, path.field("destination_ip"));
      case Rule::kDestinationPort:
        return port(from.destination_port(), path.field("destination_port"));
      case Rule::kDestinationPortRange:
        return port_range(from.destination_port_range(), path.field("destination_port_range"));
      case Rule::kMetadata:
        return metadata(from.metadata(), path.field("metadata"));
      case Rule::kNotRule:
        return negation(from.not_rule(), toward, path.field("not_rule"));
      case Rule::kRequestedServerName:
        return server_name(from.requested_server_name(), toward,
                           path.field("requested_server_name"));
      case Rule::kUriTemplate:
        return path_form(from.uri_template(), path.field("uri_template"));
      case Rule::kSourcedMetadata:
        return sourced_metadata(from.sourced_metadata(), path.field("sourced_metadata"));
      case Rule::RULE_NOT_SET:
        break;
    }
    return path.error("has no rule that is supported");
  }

  absl::StatusOr<Condition> condition(const rbac::Principal& from, Toward toward,
                                      const Path& path) const {
    using Id = rbac::Principal;
    switch (from.identifier_case()) {
      case Id::kAndIds:
        return all_of(from.and_ids().ids(), "ids", toward, path.field("and_ids"));
      case Id::kOrIds:
        return any_of(from.or_ids().ids(), "ids", toward, path.field("or_ids"));
      case Id::kAny:
        return always(from.any(), path.field("any"));
      case Id::kAuthenticated:
        return authenticated(from.authenticated(), toward, path.field("authenticated"));
      case Id::kSourceIp:
        return address_in(from.source_ip(), Whose::Connection, path.field("source_ip"));
      case Id::kDirectRemoteIp:
        return address_in(from.direct_remote_ip(), Whose::DirectRemote,
                          path.field("direct_remote_ip"));
      case Id::kRemoteIp:
        return address_in(from.remote_ip(), Whose::Remote, path.field("remote_ip"));
      case Id::kHeader:
        return header(from.header(), toward, path.field("header"));
      case Id::kUrlPath:
        return url_path(from.url_path(), toward, path.field("url_path"));
      case Id::kMetadata:
        return metadata(from.metadata(), path.field("metadata"));
      case Id::kFilterState:
        return filter_state(from.filter_state(), path.field("filter_state"));
      case Id::kNotId:
        return negation(from.not_id(), toward, path.field("not_id"));
      case Id::kSourcedMetadata:
        return sourced_metadata(from.sourced_metadata(), path.field("sourced_metadata"));
      case Id::IDENTIFIER_NOT_SET:
        break;
    }
    return path.error("has no identifier that is supported");
  }

  template <class List>
  absl::StatusOr<Condition> any_of(const List& list, std::string_view name, Toward toward,
                                   const Path& path) const {
    policy::AnyOf any;
    REMORA_TRY_ASSIGN(any.of, conditions(list, name, toward, path));
    return one_or(std::move(any));
  }

 private:
  template <class List>
  absl::StatusOr<std::vector<Condition>> conditions(const List& list, std::string_view name,
                                                    Toward toward, const Path& path) const {
    if (list.empty()) return path.field(name).error("must not be empty");
    std::vector<Condition> out;
    for (int i = 0; i < list.size(); ++i) {
      auto one = condition(list[i], toward, path.at(name, i));
      if (!one.ok()) return one.status();
      out.push_back(*std::move(one));
    }
    return out;
  }

  /// A list of one is that one.
  template <class Several>
  static Condition one_or(Several several) {
    if (several.of.size() == 1) return std::move(several.of.front());
    return Condition{std::move(several)};
  }

  template <class List>
  absl::StatusOr<Condition> all_of(const List& list, std::string_view name, Toward toward,
                                   const Path& path) const {
    policy::AllOf all;
    REMORA_TRY_ASSIGN(all.of, conditions(list, name, toward, path));
    return one_or(std::move(all));
  }

  template <class Proto>
  absl::StatusOr<Condition> negation(const Proto& from, Toward toward, const Path& path) const {
    auto inner = condition(from, policy::opposite(toward), path);
    if (!inner.ok()) return inner;
    return Condition{policy::Not{std::make_unique<const Condition>(*std::move(inner))}};
  }

  static absl::StatusOr<Condition> always(bool any, const Path& path) {
    if (!any) return path.error("must be true");
    return Condition{policy::Always{}};
  }

  absl::StatusOr<Condition> header(const envoy::config::route::v3::HeaderMatcher& from,
                                   Toward toward, const Path& path) const {
    if (layer_ == PolicyLayer::Network) return path.error("there are no headers over TCP");
    policy::HeaderIs out{{}, toward};
    REMORA_TRY_ASSIGN(out.match, header_match(from, context_, path));
    return Condition{std::move(out)};
  }

  absl::StatusOr<Condition> url_path(const envoy::type::matcher::v3::PathMatcher& from,
                                     Toward toward, const Path& path) const {
    if (!from.has_path()) return path.field("path").error("is required");
    policy::PathIs out{{}, toward};
    REMORA_TRY_ASSIGN(out.match, string_match(from.path(), context_, path.field("path")));
    return Condition{std::move(out)};
  }

  static absl::StatusOr<Condition> path_form(
      const envoy::config::core::v3::TypedExtensionConfig& from, const Path& path) {
    using Template = envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig;
    const Path here = path.field("typed_config");
    auto config = unpack_as<Template>(from.typed_config(), here);
    if (!config.ok()) return config.status();
    auto form = uri_template(config->path_template());
    if (!form.ok()) {
      return here.field("path_template").error(std::string(form.status().message()));
    }
    return Condition{policy::PathHasForm{*std::move(form)}};
  }

  static absl::StatusOr<Condition> address_in(const envoy::config::core::v3::CidrRange& from,
                                              Whose whose, const Path& path) {
    policy::AddressIn out{whose, {}};
    REMORA_TRY_ASSIGN(out.range, cidr_range(from, path));
    return Condition{std::move(out)};
  }

  static absl::StatusOr<Condition> port(uint32_t port, const Path& path) {
    if (port > kMaxPort) return path.error("is above 65535");
    return Condition{policy::LocalPortIn{port, port + 1}};
  }

  static absl::StatusOr<Condition> port_range(const envoy::type::v3::Int32Range& range,
                                              const Path& path) {
    if (range.start() < 0 || range.end() > static_cast<int>(kMaxPort) + 1) {
      return path.error("is not within 0 and 65536");
    }
    if (range.start() >= range.end()) return path.error("ends before it starts");
    return Condition{policy::LocalPortIn{static_cast<uint32_t>(range.start()),
                                         static_cast<uint32_t>(range.end())}};
  }

  absl::StatusOr<Condition> server_name(const envoy::type::matcher::v3::StringMatcher& from,
                                        Toward toward, const Path& path) const {
    policy::ServerNameIs out{{}, toward};
    REMORA_TRY_ASSIGN(out.match, string_match(from, context_, path));
    return Condition{std::move(out)};
  }

  absl::StatusOr<Condition> authenticated(const rbac::Principal::Authenticated& from, Toward toward,
                                          const Path& path) const {
    policy::Authenticated out{std::nullopt, toward};
    if (from.has_principal_name()) {
      REMORA_TRY_ASSIGN(
          out.name, string_match(from.principal_name(), context_, path.field("principal_name")));
    }
    return Condition{std::move(out)};
  }

  absl::StatusOr<Condition> metadata(const envoy::type::matcher::v3::MetadataMatcher& from,
                                     const Path& path) const {
    policy::MetadataIs out;
    REMORA_TRY_ASSIGN(out.match, metadata_match(from, context_, path));
    return Condition{std::move(out)};
  }

  absl::StatusOr<Condition> sourced_metadata(const rbac::SourcedMetadata& from,
                                             const Path& path) const {
    const Path here = path.field("metadata_matcher");
    if (from.metadata_source() != rbac::DYNAMIC) {
      return path.field("metadata_source").error("only DYNAMIC is supported");
    }
    if (!from.has_metadata_matcher()) return here.error("is required");
    return metadata(from.metadata_matcher(), here);
  }

  absl::StatusOr<Condition> filter_state(const envoy::type::matcher::v3::FilterStateMatcher& from,
                                         const Path& path) const {
    auto out = filter_state_match(from, context_, path);
    if (!out.ok()) return out.status();
    return Condition{*std::move(out)};
  }

  const PolicyLayer layer_;
  const Context& context_;
};

/// Even where unknown fields are accepted elsewhere: a policy that is read in part is another
/// policy.
absl::Status all_known(const google::protobuf::Message& message, const Path& path) {
  absl::Status first;
  find_unknown(message, path, [&](const Unknown& unknown) {
    if (first.ok()) first = Path(unknown.path).error(unknown.what);
  });
  return first;
}

policy::Action action_of(rbac::RBAC::Action action) {
  if (action == rbac::RBAC::DENY) return policy::Action::Deny;
  return action == rbac::RBAC::LOG ? policy::Action::Log : policy::Action::Allow;
}

absl::StatusOr<policy::Rules::Rule> rule(const std::string& name, const rbac::Policy& from,
                                         Toward toward, const Compiler& compiler,
                                         const Path& path) {
  const std::string_view kCel = "conditions in CEL are not supported";
  if (from.has_condition()) return path.field("condition").error(kCel);
  if (from.has_checked_condition()) return path.field("checked_condition").error(kCel);
  policy::Rules::Rule out;
  out.name = name;
  REMORA_TRY_ASSIGN(out.permission,
                    compiler.any_of(from.permissions(), "permissions", toward, path));
  REMORA_TRY_ASSIGN(out.principal, compiler.any_of(from.principals(), "principals", toward, path));
  return out;
}

}  // namespace

absl::StatusOr<policy::Rules> rbac_rules(const rbac::RBAC& proto, PolicyLayer layer,
                                         const Context& context, const Path& path) {
  REMORA_TRY(all_known(proto, path));
  const Compiler compiler(layer, context);
  policy::Rules out;
  out.action = action_of(proto.action());
  const Toward toward = out.action == policy::Action::Allow ? Toward::Grant : Toward::Refuse;
  std::vector<std::string> names;
  for (const auto& [name, policy] : proto.policies()) names.push_back(name);
  std::ranges::sort(names);
  for (const std::string& name : names) {
    auto compiled =
        rule(name, proto.policies().at(name), toward, compiler, path.entry("policies", name));
    if (!compiled.ok()) return compiled.status();
    out.rules.push_back(*std::move(compiled));
  }
  return out;
}

}  // namespace remora::xds::translate
