#include "xds/translate/route_rewrite.h"

#include "api/uri_template_rewrite.pb.h"
#include "proxy/telemetry/log_format.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/uri_template.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace route = envoy::config::route::v3;

uint16_t redirect_status(route::RedirectAction::RedirectResponseCode code) {
  switch (code) {
    case route::RedirectAction::FOUND:
      return 302;
    case route::RedirectAction::SEE_OTHER:
      return 303;
    case route::RedirectAction::TEMPORARY_REDIRECT:
      return 307;
    case route::RedirectAction::PERMANENT_REDIRECT:
      return 308;
    default:
      return 301;
  }
}

}  // namespace

absl::Status read_substitution(const envoy::type::matcher::v3::RegexMatchAndSubstitute& from,
                               const Context& context, std::shared_ptr<const re2::RE2>* pattern,
                               std::string* substitution, const Path& path) {
  const Path at = path.field("substitution");
  REMORA_TRY_ASSIGN(*pattern, regex(from.pattern(), context, path.field("pattern")));
  *substitution = from.substitution();
  REMORA_TRY(check_header_value(*substitution, at));
  std::string error;
  return (*pattern)->CheckRewriteString(*substitution, &error) ? absl::OkStatus() : at.error(error);
}

namespace {

absl::Status read_format(const std::string& text, telemetry::Missing missing,
                         std::shared_ptr<const telemetry::LogFormat>* out, const Path& path) {
  if (text.empty()) return absl::OkStatus();
  REMORA_TRY(check_header_value(text, path));
  auto format = telemetry::LogFormat::text(text, missing);
  if (!format.ok()) return path.error(std::string(format.status().message()));
  *out = std::make_shared<const telemetry::LogFormat>(*std::move(format));
  return absl::OkStatus();
}

absl::Status read_path_rewrites(const route::RouteAction& proto, const Context& context,
                                router::Rewrites* out, const Path& path) {
  const int given = int{!proto.prefix_rewrite().empty()} + int{proto.has_regex_rewrite()} +
                    int{proto.has_path_rewrite_policy()} + int{!proto.path_rewrite().empty()};
  if (given > 1) {
    return path.error(
        "prefix_rewrite, regex_rewrite, path_rewrite_policy and path_rewrite exclude each other");
  }
  REMORA_TRY(check_header_value(proto.prefix_rewrite(), path.field("prefix_rewrite")));
  out->prefix_rewrite = proto.prefix_rewrite();
  out->has_prefix_rewrite = !proto.prefix_rewrite().empty();
  if (proto.has_regex_rewrite()) {
    REMORA_TRY(read_substitution(proto.regex_rewrite(), context, &out->regex_rewrite,
                                 &out->regex_substitution, path.field("regex_rewrite")));
  }
  return read_format(proto.path_rewrite(), telemetry::Missing::Empty, &out->path_rewrite,
                     path.field("path_rewrite"));
}

}  // namespace

absl::Status read_rewrites(const route::RouteAction& proto, const Context& context,
                           router::ClusterAction* out, const Path& path) {
  router::Rewrites rewrites;
  REMORA_TRY(read_path_rewrites(proto, context, &rewrites, path));
  const Path literal = path.field("host_rewrite_literal");
  REMORA_TRY(check_header_value(proto.host_rewrite_literal(), literal));
  rewrites.host_rewrite_literal = proto.host_rewrite_literal();
  if (!proto.host_rewrite_header().empty()) {
    REMORA_TRY(check_header_name(proto.host_rewrite_header(), path.field("host_rewrite_header")));
    rewrites.host_rewrite_header = request_header_name(proto.host_rewrite_header());
  }
  if (proto.has_host_rewrite_path_regex()) {
    REMORA_TRY(read_substitution(proto.host_rewrite_path_regex(), context,
                                 &rewrites.host_rewrite_regex, &rewrites.host_rewrite_substitution,
                                 path.field("host_rewrite_path_regex")));
  }
  REMORA_TRY(read_format(proto.host_rewrite(), telemetry::Missing::Dash, &rewrites.host_rewrite,
                         path.field("host_rewrite")));
  if (rewrites != router::Rewrites()) out->rewrites.edit() = std::move(rewrites);
  out->auto_host_rewrite = proto.auto_host_rewrite().value();
  out->append_x_forwarded_host = proto.append_x_forwarded_host();
  return absl::OkStatus();
}

absl::Status read_template_rewrite(const envoy::config::core::v3::TypedExtensionConfig& proto,
                                   const re2::RE2* form, router::ClusterAction* out,
                                   const Path& path) {
  using Rewrite = envoy::extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig;
  if (form == nullptr) return path.error("needs a path_match_policy of the same kind");
  const Path here = path.field("typed_config");
  auto config = unpack_as<Rewrite>(proto.typed_config(), here);
  if (!config.ok()) return config.status();
  auto substitution = uri_template_rewrite(config->path_template_rewrite(), *form);
  if (!substitution.ok()) {
    return here.field("path_template_rewrite").error(std::string(substitution.status().message()));
  }
  router::Rewrites& rewrites = out->rewrites.edit();
  rewrites.regex_substitution = *std::move(substitution);
  rewrites.regex_rewrite = std::make_shared<const re2::RE2>("^(?:" + form->pattern() + ")$");
  return absl::OkStatus();
}

absl::StatusOr<router::RedirectAction> redirect_action(const route::RedirectAction& proto,
                                                       const Context& context, const Path& path) {
  router::RedirectAction out;
  REMORA_TRY(check_header_value(proto.host_redirect(), path.field("host_redirect")));
  REMORA_TRY(check_header_value(proto.path_redirect(), path.field("path_redirect")));
  REMORA_TRY(check_header_value(proto.prefix_rewrite(), path.field("prefix_rewrite")));
  REMORA_TRY(check_header_value(proto.scheme_redirect(), path.field("scheme_redirect")));
  if (proto.port_redirect() > 65535) return path.field("port_redirect").error("is above 65535");
  out.host = proto.host_redirect();
  out.port = proto.port_redirect();
  out.https = proto.https_redirect();
  out.scheme = proto.scheme_redirect();
  out.has_path = proto.path_rewrite_specifier_case() == route::RedirectAction::kPathRedirect;
  out.path = proto.path_redirect();
  out.has_prefix_rewrite =
      proto.path_rewrite_specifier_case() == route::RedirectAction::kPrefixRewrite;
  out.prefix_rewrite = proto.prefix_rewrite();
  if (proto.has_regex_rewrite()) {
    REMORA_TRY(read_substitution(proto.regex_rewrite(), context, &out.regex_rewrite,
                                 &out.regex_substitution, path.field("regex_rewrite")));
  }
  REMORA_TRY(read_format(proto.path_rewrite(), telemetry::Missing::Empty, &out.path_rewrite,
                         path.field("path_rewrite")));
  out.strip_query = proto.strip_query();
  out.status = redirect_status(proto.response_code());
  return out;
}

}  // namespace remora::xds::translate
