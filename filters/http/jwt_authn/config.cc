// Compiles the filter's configuration. A provider without keys, a requirement of a provider that is
// not there, a header name that is none: all refused, with the path. Main thread.
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <map>

#include "api/jwt_authn.pb.h"
#include "filters/http/jwt_authn/jwt_authn.h"
#include "proxy/http/filter_registry.h"
#include "proxy/stats/store.h"
#include "xds/translate/context.h"
#include "xds/translate/match.h"
#include "xds/translate/path.h"
#include "xds/translate/values.h"

namespace remora {
namespace {

namespace proto = envoy::extensions::filters::http::jwt_authn::v3;
using jwt::PlaceKind;
using jwt::Provider;
using jwt::Requirement;
using xds::translate::Path;

constexpr uint64_t kRetryMaxFactor = 10;  // of the base interval, when no maximum is given

std::string_view view(absl::string_view text) { return {text.data(), text.size()}; }

/// The keys of a map in order, so that the same message always compiles to the same.
template <class Map>
std::vector<std::string> names_of(const Map& map) {
  std::vector<std::string> names;
  for (const auto& [name, ignored] : map) names.push_back(name);
  std::ranges::sort(names);
  return names;
}

absl::StatusOr<std::string> header_name(const std::string& name, const Path& path) {
  REMORA_TRY(xds::translate::check_header_name(name, path));
  if (name.front() == ':') return path.error("must not be a pseudo-header");
  return absl::AsciiStrToLower(name);
}

absl::Status read_uri(const envoy::config::core::v3::HttpUri& proto, const Path& path,
                      upstream::RemoteKeysConfig* out) {
  const Path at = path.field("uri");
  std::string_view uri = proto.uri();
  if (const size_t scheme = uri.find("://"); scheme != std::string_view::npos) {
    uri.remove_prefix(scheme + 3);
  }
  const size_t slash = std::min(uri.find_first_of("/?"), uri.size());
  out->authority = uri.substr(0, slash);
  if (out->authority.empty() || out->authority.find('@') != std::string::npos) {
    return at.error("has no host");
  }
  if (slash < uri.size()) out->path = uri.substr(slash);
  if (out->path.front() == '?') out->path.insert(0, 1, '/');
  const auto printable = [](unsigned char c) { return c > ' ' && c < 0x7f && c != '#'; };
  if (!std::ranges::all_of(uri, printable)) return at.error("is not a URI");
  out->cluster = proto.cluster();
  if (out->cluster.empty()) return path.field("cluster").error("is required");
  if (!proto.has_timeout()) return path.field("timeout").error("is required");
  REMORA_TRY_ASSIGN(out->timeout_ms,
                    xds::translate::positive_milliseconds(proto.timeout(), path.field("timeout")));
  return absl::OkStatus();
}

absl::Status read_retries(const envoy::config::core::v3::RetryPolicy& proto, const Path& path,
                          upstream::RemoteKeysConfig* out) {
  out->retries = proto.has_num_retries() ? proto.num_retries().value() : 1;
  if (!proto.has_retry_back_off()) return absl::OkStatus();
  const Path at = path.field("retry_back_off");
  const auto& back_off = proto.retry_back_off();
  if (!back_off.has_base_interval()) return at.field("base_interval").error("is required");
  REMORA_TRY_ASSIGN(out->retry_base_ms, xds::translate::positive_milliseconds(
                                            back_off.base_interval(), at.field("base_interval")));
  out->retry_max_ms = out->retry_base_ms * kRetryMaxFactor;
  if (back_off.has_max_interval()) {
    REMORA_TRY_ASSIGN(out->retry_max_ms, xds::translate::positive_milliseconds(
                                             back_off.max_interval(), at.field("max_interval")));
  }
  if (out->retry_max_ms < out->retry_base_ms) {
    return at.field("max_interval").error("must not be less than base_interval");
  }
  return absl::OkStatus();
}

absl::StatusOr<upstream::RemoteKeysConfig> remote_keys_config(const proto::RemoteJwks& proto,
                                                              const Path& path) {
  upstream::RemoteKeysConfig out;
  if (!proto.has_http_uri()) return path.field("http_uri").error("is required");
  REMORA_TRY(read_uri(proto.http_uri(), path.field("http_uri"), &out));
  if (proto.has_cache_duration()) {
    REMORA_TRY_ASSIGN(out.cache_ms, xds::translate::positive_milliseconds(
                                        proto.cache_duration(), path.field("cache_duration")));
  }
  out.fetch_at_once = proto.has_async_fetch();
  // fast_listener: listeners never wait for keys here, requests do.
  if (proto.async_fetch().has_failed_refetch_duration()) {
    const Path at = path.field("async_fetch");
    REMORA_TRY_ASSIGN(out.failed_refetch_ms, xds::translate::positive_milliseconds(
                                                 proto.async_fetch().failed_refetch_duration(),
                                                 at.field("failed_refetch_duration")));
  }
  if (proto.has_retry_policy()) {
    REMORA_TRY(read_retries(proto.retry_policy(), path.field("retry_policy"), &out));
  }
  return out;
}

/// Compiles one message, piece by piece, into settings that its pieces refer to.
class Compiler {
 public:
  Compiler(const proto::JwtAuthentication& proto, const FactoryContext& context)
      : proto_(proto), context_(context), settings_(std::make_shared<jwt::Settings>()) {}

  absl::StatusOr<std::shared_ptr<const jwt::Settings>> compile() {
    settings_->filter_name = context_.filter_name;
    settings_->bypass_cors_preflight = proto_.bypass_cors_preflight();
    settings_->strip_failure_response = proto_.strip_failure_response();
    settings_->stats = context_.stats.group<jwt::JwtSchema>(
        absl::StrCat(std::string(context_.stats_prefix), ".jwt_authn"));
    for (const std::string& name : names_of(proto_.providers())) {
      REMORA_TRY(add_provider(name, proto_.providers().at(name)));
    }
    REMORA_TRY(add_requirement_map());
    REMORA_TRY(add_rules());
    REMORA_TRY(add_filter_state_rules());
    return settings_;
  }

 private:
  using Children = google::protobuf::RepeatedPtrField<proto::JwtRequirement>;

  // --- providers ---

  absl::Status add_provider(const std::string& name, const proto::JwtProvider& proto) {
    const Path path = root_.entry("providers", name);
    auto out = std::make_unique<Provider>();
    out->name = name;
    out->issuer = proto.issuer();
    for (const std::string& audience : proto.audiences()) out->audiences.add(audience);
    REMORA_TRY(read_limits(proto, path, out.get()));
    REMORA_TRY(read_keys(proto, path, out.get()));
    REMORA_TRY(read_effects(proto, path, out.get()));
    jwt::Places places;
    REMORA_TRY(add_places(proto, path, &places));  // refuses what is wrong there
    settings_->by_issuer.try_emplace(out->issuer, out.get());
    if (out->remote_keys != nullptr) settings_->remote.push_back(out.get());
    providers_.emplace(name, out.get());
    settings_->providers.push_back(std::move(out));
    return absl::OkStatus();
  }

  absl::Status read_limits(const proto::JwtProvider& proto, const Path& path, Provider* out) {
    out->require_expiration = proto.require_expiration();
    if (proto.clock_skew_seconds() != 0) out->clock_skew_s = proto.clock_skew_seconds();
    if (proto.has_subjects()) {
      REMORA_TRY_ASSIGN(out->subjects,
                        xds::translate::string_match(proto.subjects(), context_.translation,
                                                     path.field("subjects")));
    }
    if (proto.has_max_lifetime()) {
      uint64_t ms = 0;
      REMORA_TRY_ASSIGN(
          ms, xds::translate::milliseconds(proto.max_lifetime(), path.field("max_lifetime")));
      out->max_lifetime_s = ms / 1000;
    }
    return absl::OkStatus();
  }

  absl::Status read_keys(const proto::JwtProvider& proto, const Path& path, Provider* out) {
    if (proto.has_local_jwks()) {
      const Path at = path.field("local_jwks");
      std::string text;
      REMORA_TRY_ASSIGN(text,
                        xds::translate::data_source(proto.local_jwks(), at, tls::kMaxKeySetBytes));
      auto keys = tls::KeySet::parse(text);
      if (!keys.ok()) return at.error(view(keys.status().message()));
      out->local_keys = *std::move(keys);
      return absl::OkStatus();
    }
    if (!proto.has_remote_jwks()) return path.error("has neither remote_jwks nor local_jwks");
    const Path at = path.field("remote_jwks");
    auto config = remote_keys_config(proto.remote_jwks(), at);
    if (!config.ok()) return config.status();
    upstream::RemoteKeysSource* source = context_.translation.remote_keys;
    if (source == nullptr) return at.error("is not supported here");
    const auto count = [stats = settings_->stats,
                        main = context_.stats.main_index()](bool fetched) {
      stats->at(main).inc(fetched ? jwt::JwtStat::jwks_fetch_success
                                  : jwt::JwtStat::jwks_fetch_failed);
    };
    out->remote_keys = source->open(*config, context_.stats_prefix, count);
    return absl::OkStatus();
  }

  absl::Status read_effects(const proto::JwtProvider& proto, const Path& path, Provider* out) {
    out->forward = proto.forward();
    out->pad_payload_header = proto.pad_forward_payload_header();
    out->clear_route_cache = proto.clear_route_cache();
    out->payload_in_metadata = proto.payload_in_metadata();
    out->header_in_metadata = proto.header_in_metadata();
    out->failed_status_in_metadata = proto.failed_status_in_metadata();
    const auto& claims = proto.normalize_payload_in_metadata().space_delimited_claims();
    out->space_delimited_claims.assign(claims.begin(), claims.end());
    if (!proto.forward_payload_header().empty()) {
      REMORA_TRY_ASSIGN(out->payload_header, header_name(proto.forward_payload_header(),
                                                         path.field("forward_payload_header")));
      reserve(out->payload_header);
    }
    for (int i = 0; i < proto.claim_to_headers_size(); ++i) {
      const Path at = path.at("claim_to_headers", static_cast<size_t>(i));
      const proto::JwtClaimToHeader& pair = proto.claim_to_headers(i);
      if (pair.claim_name().empty()) return at.field("claim_name").error("is required");
      jwt::ClaimToHeader claim;
      REMORA_TRY_ASSIGN(claim.header, header_name(pair.header_name(), at.field("header_name")));
      claim.claim = absl::StrSplit(pair.claim_name(), '.');
      reserve(claim.header);
      out->claim_headers.push_back(std::move(claim));
    }
    return absl::OkStatus();
  }

  void reserve(const std::string& header) {
    auto& reserved = settings_->reserved_headers;
    if (std::ranges::find(reserved, header) == reserved.end()) reserved.push_back(header);
  }

  absl::Status add_places(const proto::JwtProvider& proto, const Path& path, jwt::Places* out) {
    const std::string& issuer = proto.issuer();
    for (int i = 0; i < proto.from_headers_size(); ++i) {
      const Path at = path.at("from_headers", static_cast<size_t>(i));
      const proto::JwtHeader& header = proto.from_headers(i);
      std::string name;
      REMORA_TRY_ASSIGN(name, header_name(header.name(), at.field("name")));
      REMORA_TRY(
          xds::translate::check_header_value(header.value_prefix(), at.field("value_prefix")));
      out->add(PlaceKind::Header, name, header.value_prefix(), issuer);
    }
    for (const std::string& name : proto.from_params()) {
      if (name.empty()) return path.field("from_params").error("must not be empty");
      out->add(PlaceKind::Parameter, name, "", issuer);
    }
    for (const std::string& name : proto.from_cookies()) {
      if (name.empty()) return path.field("from_cookies").error("must not be empty");
      out->add(PlaceKind::Cookie, name, "", issuer);
    }
    if (proto.from_headers().empty() && proto.from_params().empty() &&
        proto.from_cookies().empty()) {
      out->add(PlaceKind::Header, "authorization", "Bearer ", issuer);
      out->add(PlaceKind::Parameter, "access_token", "", issuer);
    }
    return absl::OkStatus();
  }

  // --- requirements ---

  absl::Status set_provider(const std::string& name, const Path& path, Requirement* out) {
    auto at = providers_.find(name);
    if (at == providers_.end()) {
      return path.error(absl::StrCat("Required provider ['", name, "'] is not configured."));
    }
    out->kind = Requirement::Kind::Provider;
    out->provider = at->second;
    return add_places(proto_.providers().at(name), path, &out->places);
  }

  /// Verifies tokens of `names`, or of every provider when there are none.
  absl::Status set_optional(Requirement::Kind kind, std::vector<std::string> names,
                            const Path& path, Requirement* out) {
    out->kind = kind;
    if (names.empty()) names = names_of(proto_.providers());
    for (const std::string& name : names) {
      REMORA_TRY(add_places(proto_.providers().at(name), path, &out->places));
    }
    return absl::OkStatus();
  }

  /// At most one child makes a token optional; it comes last and looks where the others look.
  absl::Status set_any(const Children& protos, const Path& path, Requirement* out) {
    out->kind = Requirement::Kind::Any;
    Requirement::Kind optional = Requirement::Kind::Nothing;
    std::vector<std::string> names;
    for (int i = 0; i < protos.size(); ++i) {
      const proto::JwtRequirement& child = protos[i];
      if (child.has_allow_missing_or_failed()) {
        optional = Requirement::Kind::AllowMissingOrFailed;
        continue;
      }
      if (child.has_allow_missing()) {
        if (optional == Requirement::Kind::Nothing) optional = Requirement::Kind::AllowMissing;
        continue;
      }
      const Path at = path.at("requirements", static_cast<size_t>(i));
      REMORA_TRY(set_requirement(child, at, &out->children.emplace_back()));
      if (!child.provider_name().empty()) names.push_back(child.provider_name());
      if (child.has_provider_and_audiences()) {
        names.push_back(child.provider_and_audiences().provider_name());
      }
    }
    if (optional == Requirement::Kind::Nothing) return absl::OkStatus();
    return set_optional(optional, std::move(names), path, &out->children.emplace_back());
  }

  absl::Status set_all(const Children& protos, const Path& path, Requirement* out) {
    out->kind = Requirement::Kind::All;
    for (int i = 0; i < protos.size(); ++i) {
      const Path at = path.at("requirements", static_cast<size_t>(i));
      REMORA_TRY(set_requirement(protos[i], at, &out->children.emplace_back()));
    }
    return absl::OkStatus();
  }

  absl::Status check_count(const Children& protos, const Path& path) {
    if (protos.size() >= 2) return absl::OkStatus();
    return path.field("requirements").error("must have at least two elements");
  }

  absl::Status set_requirement(const proto::JwtRequirement& proto, const Path& path,
                               Requirement* out) {
    using Case = proto::JwtRequirement;
    switch (proto.requires_type_case()) {
      case Case::kProviderName:
        return set_provider(proto.provider_name(), path.field("provider_name"), out);
      case Case::kProviderAndAudiences: {
        const Path at = path.field("provider_and_audiences");
        const auto& audiences = proto.provider_and_audiences().audiences();
        if (!audiences.empty()) out->audiences.emplace();
        for (const std::string& audience : audiences) out->audiences->add(audience);
        return set_provider(proto.provider_and_audiences().provider_name(), at, out);
      }
      case Case::kRequiresAny: {
        const Path at = path.field("requires_any");
        REMORA_TRY(check_count(proto.requires_any().requirements(), at));
        return set_any(proto.requires_any().requirements(), at, out);
      }
      case Case::kRequiresAll: {
        const Path at = path.field("requires_all");
        REMORA_TRY(check_count(proto.requires_all().requirements(), at));
        return set_all(proto.requires_all().requirements(), at, out);
      }
      case Case::kAllowMissing:
        return set_optional(Requirement::Kind::AllowMissing, {}, path, out);
      case Case::kAllowMissingOrFailed:
        return set_optional(Requirement::Kind::AllowMissingOrFailed, {}, path, out);
      case Case::REQUIRES_TYPE_NOT_SET:
        break;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<const Requirement*> requirement(const proto::JwtRequirement& proto,
                                                 const Path& path) {
    auto out = std::make_unique<Requirement>();
    REMORA_TRY(set_requirement(proto, path, out.get()));
    settings_->requirements.push_back(std::move(out));
    return settings_->requirements.back().get();
  }

  // --- who has to meet which ---

  absl::Status add_requirement_map() {
    const std::vector<std::string> names = names_of(proto_.requirement_map());
    for (const std::string& name : names) {
      const Path path = root_.entry("requirement_map", name);
      REMORA_TRY_ASSIGN(settings_->by_name[name],
                        requirement(proto_.requirement_map().at(name), path));
    }
    settings_->requirement_names = absl::StrJoin(names, ",");
    return absl::OkStatus();
  }

  absl::Status add_rules() {
    for (int i = 0; i < proto_.rules_size(); ++i) {
      const Path path = root_.at("rules", static_cast<size_t>(i));
      const proto::RequirementRule& proto = proto_.rules(i);
      if (!proto.has_match()) return path.field("match").error("is required");
      jwt::Rule rule;
      REMORA_TRY_ASSIGN(rule.match, xds::translate::route_match(proto.match(), context_.translation,
                                                                path.field("match")));
      if (proto.has_requires()) {
        REMORA_TRY_ASSIGN(rule.requirement, requirement(proto.requires_(), path.field("requires")));
      } else if (proto.requirement_type_case() == proto::RequirementRule::kRequirementName) {
        auto at = settings_->by_name.find(std::string_view(proto.requirement_name()));
        if (at == settings_->by_name.end()) {
          return path.field("requirement_name")
              .error(absl::StrCat("Wrong requirement_name: ", proto.requirement_name(),
                                  ". It should be one of [", settings_->requirement_names, "]"));
        }
        rule.requirement = at->second;
      }
      settings_->rules.push_back(std::move(rule));
    }
    return absl::OkStatus();
  }

  absl::Status add_filter_state_rules() {
    if (!proto_.has_filter_state_rules()) return absl::OkStatus();
    const Path path = root_.field("filter_state_rules");
    const proto::FilterStateRule& proto = proto_.filter_state_rules();
    if (proto.name().empty()) return path.field("name").error("is required");
    settings_->filter_state_name = proto.name();
    for (const std::string& value : names_of(proto.requires_())) {
      const Path at = path.entry("requires", value);
      REMORA_TRY_ASSIGN(settings_->by_filter_state[value],
                        requirement(proto.requires_().at(value), at));
    }
    return absl::OkStatus();
  }

  const Path root_;
  const proto::JwtAuthentication& proto_;
  const FactoryContext& context_;
  std::shared_ptr<jwt::Settings> settings_;
  std::map<std::string, const Provider*> providers_;
};

absl::StatusOr<std::shared_ptr<const http::FilterFactory>> make_jwt_authn(
    std::string_view bytes, const FactoryContext& context) {
  proto::JwtAuthentication message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Path().error("is not a JwtAuthentication");
  }
  auto settings = Compiler(message, context).compile();
  if (!settings.ok()) return settings.status();
  return std::make_shared<http::FilterOf<jwt::JwtAuthn, std::shared_ptr<const jwt::Settings>>>(
      *std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> make_route_config(std::string_view bytes,
                                                              const FactoryContext& /*context*/) {
  const Path path;
  proto::PerRouteConfig message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not a PerRouteConfig");
  }
  auto settings = std::make_shared<jwt::RouteSettings>();
  settings->disabled = message.disabled();
  settings->requirement_name = message.requirement_name();
  if (!settings->disabled && settings->requirement_name.empty()) {
    return path.error("must say disabled: true or a requirement_name");
  }
  return settings;
}

}  // namespace

void register_http_filter_jwt_authn(http::FilterRegistry& registry) {
  registry.add({.type = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                .make = &make_jwt_authn,
                .route_type = "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
                .make_route_config = &make_route_config});
}

}  // namespace remora
