#include "xds/translate/hash_policies.h"

#include "xds/translate/route_rewrite.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using HashPolicy = envoy::config::route::v3::RouteAction::HashPolicy;

absl::Status read_hash_cookie(const HashPolicy::Cookie& from, router::HashPolicy* out,
                              const Path& path) {
  out->kind = router::HashPolicy::Kind::Cookie;
  out->name = from.name();
  if (from.name().empty()) return path.field("name").error("is required");
  REMORA_TRY(check_header_value(from.name(), path.field("name")));
  if (from.has_ttl()) {
    auto ttl = milliseconds(from.ttl(), path.field("ttl"));
    if (!ttl.ok()) return ttl.status();
    out->cookie_ttl_s = *ttl / 1000;
  }
  REMORA_TRY(check_header_value(from.path(), path.field("path")));
  out->cookie_path = from.path();
  for (int i = 0; i < from.attributes_size(); ++i) {
    const auto& attribute = from.attributes(i);
    const Path here = path.at("attributes", i);
    REMORA_TRY(check_header_name(attribute.name(), here.field("name")));
    REMORA_TRY(check_header_value(attribute.value(), here.field("value")));
    out->cookie_attributes.emplace_back(attribute.name(), attribute.value());
  }
  return absl::OkStatus();
}

absl::Status read_hash_header(const HashPolicy::Header& from, const Context& context,
                              router::HashPolicy* out, const Path& path) {
  out->kind = router::HashPolicy::Kind::Header;
  REMORA_TRY(check_header_name(from.header_name(), path.field("header_name")));
  out->name = request_header_name(from.header_name());
  if (!from.has_regex_rewrite()) return absl::OkStatus();
  return read_substitution(from.regex_rewrite(), context, &out->rewrite, &out->substitution,
                           path.field("regex_rewrite"));
}

}  // namespace

absl::Status read_hash_policies(const envoy::config::route::v3::RouteAction& proto,
                                const Context& context, router::ClusterAction* out,
                                const Path& path) {
  for (int i = 0; i < proto.hash_policy_size(); ++i) {
    const HashPolicy& from = proto.hash_policy(i);
    const Path here = path.at("hash_policy", i);
    router::HashPolicy policy;
    policy.terminal = from.terminal();
    switch (from.policy_specifier_case()) {
      case HashPolicy::kHeader:
        REMORA_TRY(read_hash_header(from.header(), context, &policy, here.field("header")));
        break;
      case HashPolicy::kCookie:
        REMORA_TRY(read_hash_cookie(from.cookie(), &policy, here.field("cookie")));
        break;
      case HashPolicy::kConnectionProperties:
        if (!from.connection_properties().source_ip()) continue;
        policy.kind = router::HashPolicy::Kind::SourceIp;
        break;
      case HashPolicy::kQueryParameter:
        policy.kind = router::HashPolicy::Kind::Query;
        policy.name = from.query_parameter().name();
        if (policy.name.empty()) return here.field("query_parameter.name").error("is required");
        break;
      case HashPolicy::kFilterState:
        policy.kind = router::HashPolicy::Kind::FilterState;
        policy.name = from.filter_state().key();
        if (policy.name.empty()) return here.field("filter_state.key").error("is required");
        break;
      case HashPolicy::POLICY_SPECIFIER_NOT_SET:
        return here.error("has no policy specifier that is supported");
    }
    out->hash_policies.push_back(std::move(policy));
  }
  return absl::OkStatus();
}

}  // namespace remora::xds::translate
